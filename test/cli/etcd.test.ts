import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TestContext } from "node:test";
import { findEtcd, startEtcd } from "../support/etcd-server.ts";
import type { EtcdCluster } from "../support/etcd-server.ts";
import { requireOrSkip } from "../support/required.ts";
import { Run, tribune } from "./run.ts";

/** Has what a URL must write in another way. */
const PASSWORD = "s3cr:t@/?";

/** A lease that does not run out, however busy the machine is. */
const CALM = ["--lease-ms", "60000", "--beat-ms", "1000", "--stop-budget-ms", "600"];

describe("on etcd", () => {
  let found: EtcdCluster | { readonly missing: string };
  before(async () => {
    const programs = await findEtcd();
    found = "missing" in programs ? programs : await startEtcd({ programs, auth: true });
  });
  after(async () => {
    if (!("missing" in found)) await found.stop();
  });

  /** A user of the test's own who may read and write below one prefix, or a skip in plain sight. */
  async function place(t: TestContext, name: string, { readonly = false } = {}): Promise<{ readonly cluster: EtcdCluster; readonly url: string; readonly prefix: string } | undefined> {
    if ("missing" in found) {
      requireOrSkip(t, "etcd", found.missing);
      return undefined;
    }
    const prefix = `${name}/`;
    await found.control(["user", "add", `${name}:${PASSWORD}`]);
    await found.control(["role", "add", name]);
    await found.control(["role", "grant-permission", name, "--prefix=true", readonly ? "read" : "readwrite", prefix]);
    await found.control(["role", "grant-permission", name, "--prefix=true", "readwrite", "tribune_demo_"]);
    await found.control(["user", "grant-role", name, name]);
    return { cluster: found, prefix, url: found.urlOf({ user: name, password: PASSWORD, prefix: name }) };
  }

  function assertSilent(...texts: readonly string[]): void {
    for (const text of texts) for (const secret of [PASSWORD, encodeURIComponent(PASSWORD)]) assert.ok(!text.includes(secret), text);
  }

  it("the demo holds what it shows there, too, removes its keys, and prints no password", async (t) => {
    const where = await place(t, "demo");
    if (where === undefined) return;
    const ended = await tribune(t, ["demo", "--json", "--verbose", "--store", where.url]);
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
    assert.match(ended.stdout, /\{"step":"done","ok":true,"tookMs":\d+\}\n$/);
    assert.equal(await where.cluster.control(["get", "tribune_demo_", "--prefix", "--keys-only"]), "");
    assertSilent(ended.stdout, ended.stderr);
  });

  it("lead, status, members, elections, events, pause, resume, transfer, evict and resign work, and no output has the password", async (t) => {
    const where = await place(t, "operating");
    if (where === undefined) return;
    const env = { TRIBUNE_STORE: where.url, TRIBUNE_GROUP: "billing" };
    const lead = (node: string) => new Run(t, ["lead", "--election", "scheduler", "--node", node, "--json", "--verbose", ...CALM, "--", "sh", "-c", "exec sleep 300"], env);
    const ada = lead("ada");
    await ada.event("leading");
    const ben = lead("ben");
    await ben.event("contending");
    const status = await tribune(t, ["status", "--verbose"], env);
    assert.match(status.stdout, /\nscheduler +ada /);
    const members = await tribune(t, ["members"], env);
    assert.match(members.stdout, /ada[^]*ben/);
    const transferred = await tribune(t, ["transfer", "scheduler", "ben"], env);
    await ben.event("leading");
    const paused = await tribune(t, ["pause", "scheduler", "--reason", "maintenance"], env);
    const elections = await tribune(t, ["elections"], env);
    assert.match(elections.stdout, /maintenance/);
    const resumed = await tribune(t, ["resume", "scheduler"], env);
    const evicted = await tribune(t, ["evict", "ada", "--reason", "tried"], env);
    assert.equal((await ada.closed).code, 4);
    const resigned = await tribune(t, ["resign", "scheduler"], env);
    assert.match(resigned.stdout, /^ben gave up term \d+ of scheduler/);
    const events = await tribune(t, ["events", "--json"], env);
    assert.match(events.stdout, /eviction-requested/);
    ben.process.kill("SIGTERM");
    const ended = await ben.closed;
    const all = [status, members, transferred, paused, elections, resumed, evicted, resigned, events];
    assert.deepEqual([...all, ended].map((each) => each.code), [...all.map(() => 0), 0], all.map((each) => each.stderr).join("\n"));
    assertSilent(...[...all, ended, await ada.closed].flatMap((each) => [each.stdout, each.stderr]));
  });

  it("migrate makes the schema once, and prints the one command that does", async (t) => {
    const where = await place(t, "migrating");
    if (where === undefined) return;
    const env = { TRIBUNE_STORE: where.url };
    const printed = await tribune(t, ["migrate", "--print"], env);
    assert.match(printed.stdout, /^etcdctl put migrating\/schema '\{"version":\d+,"worksWith":\d+\}'/m);
    assert.equal(await where.cluster.control(["get", "migrating/", "--prefix", "--keys-only"]), "");
    const [first, second] = [await tribune(t, ["migrate"], env), await tribune(t, ["migrate"], env)];
    assert.deepEqual([printed.code, first.code, second.code], [0, 0, 0], first.stderr + second.stderr);
    assert.match(await where.cluster.control(["get", "migrating/", "--prefix", "--keys-only"]), /^migrating\/schema\s*$/);
    assertSilent(printed.stdout, first.stdout, second.stdout);
  });

  it("doctor measures the way, the quorum and the space, and prints no password", async (t) => {
    const where = await place(t, "healthy");
    if (where === undefined) return;
    const ended = await tribune(t, ["doctor", "--json"], { TRIBUNE_STORE: where.url, TRIBUNE_GROUP: "billing" });
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
    const checks = (JSON.parse(ended.stdout) as { readonly findings: readonly { readonly check: string; readonly level: string }[] }).findings;
    const levels = new Map(checks.map(({ check, level }) => [check, level]));
    assert.deepEqual(["server", "clock", "endpoints", "write", "space"].map((check) => levels.get(check)), ["ok", "ok", "ok", "ok", "ok"]);
    assert.deepEqual([levels.get("quorum"), levels.get("way")], ["warn", "warn"], "one member, and a password without TLS");
    assertSilent(ended.stdout, ended.stderr);
  });

  it("doctor of a user who may only read is exit code 1, with the permission that is missing", async (t) => {
    const where = await place(t, "readonly", { readonly: true });
    if (where === undefined) return;
    const ended = await tribune(t, ["doctor"], { TRIBUNE_STORE: where.url });
    assert.equal(ended.code, 1, ended.stdout + ended.stderr);
    assert.match(ended.stdout.replace(/\s+/g, " "), /etcdctl role grant-permission ROLE --prefix=true readwrite readonly\//);
    const refused = await tribune(t, ["migrate"], { TRIBUNE_STORE: where.url });
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /^error STORE_PERMISSION_DENIED: /);
  });

  it("a wrong password is exit code 3, one line, and says neither password", async (t) => {
    const where = await place(t, "wrong");
    if (where === undefined) return;
    const url = where.cluster.urlOf({ user: "wrong", password: "also s3cr:t", prefix: "wrong" });
    const ended = await tribune(t, ["status"], { TRIBUNE_STORE: url, TRIBUNE_GROUP: "billing" });
    assert.equal(ended.code, 3);
    assert.match(ended.stderr, /^error STORE_AUTH_FAILED: .*\n$/);
    assert.ok(!ended.stderr.includes("s3cr"));
    const nobody = await tribune(t, ["status"], { TRIBUNE_STORE: where.cluster.urlOf({ prefix: "wrong" }), TRIBUNE_GROUP: "billing" });
    assert.equal(nobody.code, 3);
    assert.match(nobody.stderr, /^error STORE_AUTH_FAILED: /);
  });
});
