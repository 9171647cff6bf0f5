import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TestContext } from "node:test";
import { postgresForTests } from "../support/postgres-server.ts";
import type { TestPostgres } from "../support/postgres-server.ts";
import { requireOrSkip } from "../support/required.ts";
import { Run, tribune } from "./run.ts";

describe("on PostgreSQL", () => {
  let found: TestPostgres | { readonly missing: string };
  before(async () => {
    found = await postgresForTests();
  });
  after(async () => {
    if (!("missing" in found)) await found.stop();
  });

  /** A database of the test's own, or a skip in plain sight. */
  async function database(t: TestContext): Promise<{ readonly name: string; readonly url: string } | undefined> {
    if (!("missing" in found)) return await found.createDatabase();
    requireOrSkip(t, "postgres", found.missing);
    return undefined;
  }

  it("the demo holds what it shows there, too, and drops its table", async (t) => {
    const place = await database(t);
    if (place === undefined) return;
    const ended = await tribune(t, ["demo", "--json", "--store", place.url]);
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
    assert.match(ended.stdout, /\{"step":"done","ok":true,"tookMs":\d+\}\n$/);
    const tables = await (found as TestPostgres).query("select tablename from pg_tables where tablename like 'tribune_demo%'", [], { database: place.name });
    assert.deepEqual(tables, []);
  });

  it("lead, status and resign work, and no output has the password", async (t) => {
    const place = await database(t);
    if (place === undefined) return;
    const password = decodeURIComponent(new URL(place.url).password);
    const env = { TRIBUNE_STORE: place.url, TRIBUNE_GROUP: "billing" };
    const run = new Run(t, ["lead", "--election", "scheduler", "--node", "ada", "--preset", "fast", "--verbose", "--", "sh", "-c", 'echo "runs $TRIBUNE_TOKEN"; exec sleep 300'], env);
    await run.line(/^runs \d+$/);
    const status = await tribune(t, ["status", "--verbose"], env);
    assert.match(status.stdout, /\nscheduler +ada /);
    const resigned = await tribune(t, ["resign", "scheduler"], env);
    assert.match(resigned.stdout, /^ada gave up term \d+ of scheduler/);
    run.process.kill("SIGTERM");
    const ended = await run.closed;
    assert.deepEqual([status.code, resigned.code, ended.code], [0, 0, 0]);
    if (password !== "") for (const text of [ended.stderr, ended.stdout, status.stdout, status.stderr, resigned.stdout]) assert.ok(!text.includes(password));
  });

  it("transfer, pause, resume and evict work, and a leader that is killed is succeeded by evidence of its death", async (t) => {
    const place = await database(t);
    if (place === undefined) return;
    const env = { TRIBUNE_STORE: place.url, TRIBUNE_GROUP: "billing" };
    const lead = (node: string) => new Run(t, ["lead", "--election", "scheduler", "--node", node, "--json", "--lease-ms", "60000", "--beat-ms", "1000", "--stop-budget-ms", "600", "--crash-detection", "evidence", "--", "sh", "-c", "exec sleep 300"], env);
    const ada = lead("ada");
    await ada.event("leading");
    const ben = lead("ben");
    await ben.event("contending");
    const follow = new Run(t, ["elections", "--follow", "--json"], env);
    await follow.line(/"election":"scheduler".*"candidates":\[[^\]]*"ben"/);
    const moved = await tribune(t, ["transfer", "scheduler", "ben"], env);
    assert.match(moved.stdout, /^ben holds scheduler now/, moved.stderr);
    const paused = await tribune(t, ["pause", "scheduler", "--reason", "a test"], env);
    assert.match(paused.stdout, /^scheduler is paused; ben keeps term/);
    const resumed = await tribune(t, ["resume", "scheduler"], env);
    assert.equal(resumed.code, 0, resumed.stderr);
    ben.process.kill("SIGKILL");
    await ada.event("leading", 1); // long before a lease of a minute is over, or this test would not wait for it
    const evicted = await tribune(t, ["evict", "ada", "--reason", "a test"], env);
    assert.match(evicted.stdout, /^ada left .*it held .*scheduler/, evicted.stderr);
    assert.equal((await ada.closed).code, 4);
    const events = await tribune(t, ["events"], env);
    assert.match(events.stdout, /declared-dead +ben .*crashed/);
  });

  it("a wrong password and a database that is not there are exit code 3, on one line, without any password", async (t) => {
    const place = await database(t);
    if (place === undefined) return;
    const wrong = new URL(place.url);
    wrong.password = "geheim-and-wrong";
    const missing = new URL(place.url);
    missing.pathname = "/no_such_database_here";
    const [absent, refused] = await Promise.all([missing, wrong].map((url) => tribune(t, ["status", "--store", url.href, "--group", "g"])));
    const asksForOne = new URL(place.url).password !== ""; // a server of somebody else's may let everybody in
    for (const ended of asksForOne ? [absent, refused] : [absent]) {
      assert.equal(ended?.code, 3, ended?.stderr);
      assert.match(ended?.stderr ?? "", /^error STORE_\w+: [^\n]+\n$/);
      assert.doesNotMatch(ended?.stderr ?? "", /geheim/);
    }
    assert.match(absent?.stderr ?? "", /^error STORE_DATABASE_MISSING: /);
  });
});
