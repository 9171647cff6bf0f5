import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openAdmin } from "../../src/admin/index.ts";
import type { KeysStatus, RotationOutcome } from "../../src/admin/index.ts";
import type { Cluster } from "../../src/cluster/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { annexOf } from "../../src/membership/index.ts";
import { sqlite } from "../../src/store/sqlite/index.ts";
import type { StoreSession } from "../../src/store/index.ts";
import { decodeRing, HeldKeys, KEY_RING_DOCUMENT, tcp } from "../../src/transport/index.ts";
import type { PeerUnreachable } from "../../src/transport/index.ts";
import { groupWith } from "./group.ts";
import { place, Run, tribune, until } from "./run.ts";
import type { Place } from "./run.ts";

const CHANNEL = { channel: { host: "127.0.0.1" } };
const QUICKLY = ["--settle-ms", "1500"];

/** What somebody reads who can read the store. */
async function reading<T>({ store }: Place, ask: (session: StoreSession) => Promise<T>): Promise<T> {
  const provider = sqlite({ path: store.slice("sqlite:".length) });
  const session = await provider.open({ group: "billing", node: "a-test", clock: systemClock, random: systemRandom, logger: silentLogger, deadlineMs: 10_000, statementLimitMs: 10_000, createSchema: false });
  try {
    return await ask(session);
  } finally {
    await session.close();
    await provider.close();
  }
}

/** Dials a member with keys that somebody has kept; answers how it came out: "unauthenticated", or that the key is good and the name is none of a member. */
async function intrude(ring: string, member: { readonly node: string; readonly incarnation: string; readonly address: string }): Promise<string> {
  const outcome = Promise.withResolvers<string>();
  const endpoint = await tcp({ host: "127.0.0.1" }).open({
    group: "billing",
    node: "intruder",
    incarnation: "intruder",
    known: () => member,
    handlers: { up: () => outcome.resolve("taken"), down() {}, unreachable: ({ reason }: PeerUnreachable) => outcome.resolve(reason), frame() {} },
    keys: new HeldKeys(decodeRing(ring)),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    deadlineMs: 30_000,
  });
  try {
    endpoint.link(member);
    return await outcome.promise;
  } finally {
    await endpoint.close({ deadlineMs: 1_000 });
  }
}

describe("tribune keys", () => {
  it("rotates the key of a group that talks: nothing is lost, who comes later is let in, and the old key is refused", async (t) => {
    const where = place(t);
    const [ada, ben] = (await groupWith(t, where, CHANNEL, "ada", "ben")) as [Cluster, Cluster];
    const heard: unknown[] = [];
    ben.channel.listen("news", (message) => void heard.push(message.value()));
    const guest = new Run(t, ["listen", "news", "--json", "--node", "guest", "--host", "127.0.0.1"], where.env);
    const kept = (await reading(where, (session) => session.readDocument({ name: KEY_RING_DOCUMENT }, { deadlineMs: 10_000 })))?.text ?? assert.fail("there are keys");
    const row = (await reading(where, (session) => session.readGroup({ deadlineMs: 10_000 })))?.view?.members.find(({ node }) => node === "ben") ?? assert.fail("ben is a member");
    const target = { node: "ben", incarnation: row.incarnation, address: String(annexOf(row.metadata)["channel"]) };
    await until("the guest is there", () => ada.channel.reachability(ada.view.members.find(({ node }) => node === "guest")?.incarnation ?? "")?.connected === true);
    assert.equal(await intrude(kept, target), "unknown-peer", "the key is good, and it is no member");

    const done = { yet: false };
    let sent = 0;
    const sending = (async () => {
      const failed: unknown[] = [];
      while (!done.yet) {
        const { ok, results } = await ada.channel.send("news", ++sent, { to: ["ben", "guest"], deadlineMs: 60_000 });
        if (!ok) failed.push([sent, ...results]);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return failed;
    })();
    const ended = await tribune(t, ["keys", "rotate", "--json", ...QUICKLY], where.env);
    assert.equal(ended.code, 0, ended.stderr);
    const outcome = JSON.parse(ended.stdout) as RotationOutcome;
    assert.match(ended.stderr, /is accepted by all within 1\.5 s\n.*is used by all within 1\.5 s\n.*is refused\n$/);
    await until("the old key is refused", async () => (await intrude(kept, target)) === "unauthenticated");
    await until("all are connected by the new key", () => ada.channel.reachability(target.incarnation)?.connected === true);
    const [late] = (await groupWith(t, where, CHANNEL, "late")) as [Cluster];
    assert.equal((await late.channel.send("news", "from late", { to: ["ben"] })).ok, true);
    done.yet = true;
    assert.deepEqual(await sending, []);
    assert.deepEqual(heard.filter((each) => typeof each === "number"), Array.from({ length: sent }, (_, n) => n + 1), "each once, in order");
    await until("the guest has printed all", () => guest.events("message").length >= sent);
    assert.deepEqual(guest.events("message").map(({ value }) => value), Array.from({ length: sent }, (_, n) => n + 1));

    const status = JSON.parse((await tribune(t, ["keys", "status", "--json"], where.env)).stdout) as KeysStatus;
    assert.deepEqual(status.keys.map(({ id, state }) => [id, state]), [[outcome.retired[0], "retired"], [outcome.active, "active"]]);
    const text = await tribune(t, ["keys", "status"], where.env);
    assert.match(text.stdout, /^KEY +STATE +CREATED\n[0-9a-f]{16} +retired +\d{4}-[^\n]+\n[0-9a-f]{16} +active +\d{4}-/);
    const secrets = [kept, (await reading(where, (session) => session.readDocument({ name: KEY_RING_DOCUMENT }, { deadlineMs: 10_000 })))?.text ?? ""].flatMap((ring) => decodeRing(ring).keys.map(({ secret }) => secret)).filter((secret) => secret !== "");
    for (const secret of secrets) for (const shown of [ended, text]) assert.doesNotMatch(shown.stdout + shown.stderr, new RegExp(secret));
  });

  it("goes on with a rotation that was called off", async (t) => {
    const where = place(t);
    await groupWith(t, where, CHANNEL, "ada");
    const first = new Run(t, ["keys", "rotate", "--settle-ms", "600000"], where.env);
    const [, key] = await first.line(/^([0-9a-f]{16}) is accepted by all within/);
    first.process.kill("SIGINT");
    const stopped = await first.exited;
    assert.equal(stopped.code, 1);
    assert.match(stopped.stderr, /\nerror ABORTED: /);
    const again = await tribune(t, ["keys", "rotate", "--json", "--settle-ms", "10"], where.env);
    const { active, resumed, retired } = JSON.parse(again.stdout) as RotationOutcome;
    assert.deepEqual([active, resumed, retired.length], [key, true, 1]);
    assert.match((await tribune(t, ["keys", "rotate", "--settle-ms", "10"], where.env)).stdout, /^[0-9a-f]{16} is used now, after [\d.]+ m?s; refused from now on: [0-9a-f]{16}\n$/);
  });

  it("says so where the group has no keys, and makes none", async (t) => {
    const where = place(t);
    await groupWith(t, where, {}, "ada");
    for (const what of ["status", "rotate"]) {
      const ended = await tribune(t, ["keys", what], where.env);
      assert.deepEqual([ended.code, ended.stdout], [1, ""]);
      assert.match(ended.stderr, /^error KEYS_MISSING: group billing has no keys: /);
    }
    const admin = openAdmin({ store: where.store, group: "billing" });
    await assert.rejects(admin.keys(), { code: "KEYS_MISSING" });
    await assert.rejects(admin.rotateKeys({ settleMs: 0 }), { code: "KEYS_MISSING" });
    await admin.close();
  });
});
