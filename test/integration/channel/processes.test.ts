import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { postgresForSuite } from "../../support/postgres-suite.ts";
import { Troupe } from "./troupe.ts";

/** What all stores have to bring about; `place` answers the URL of a store of the test's own, or skips the test. */
function exchanges(place: (t: TestContext) => Promise<string | undefined>): void {
  const troupe = async (t: TestContext) => {
    const store = await place(t);
    if (store === undefined) return undefined;
    const members = new Troupe(store);
    t.after(() => members.end());
    return members;
  };

  it("exchange messages, survive a kill, take the next incarnation in with the state, and leave nothing open", { timeout: 120_000 }, async (t) => {
    const members = await troupe(t);
    if (members === undefined) return;
    const a = await members.start("a", { notes: ["alpha"] });
    const b = await members.start("b");
    const c = await members.start("c");
    for (const joiner of [b, c]) assert.deepEqual((await joiner.next("started"))["notes"], ["alpha"], "the state is there when start() resolves");
    assert.deepEqual(await c.send("hello", "all"), { a: "delivered", b: "delivered", c: "delivered" });
    assert.deepEqual(await b.send("one", ["a"]), { a: "delivered" });
    await a.next("heard", { from: "b", value: "one" });

    const first = (await b.next("started"))["incarnation"];
    await b.kill();
    const results = await a.send("is b there?", ["b", "c"]);
    assert.deepEqual(results, { b: "left", c: "delivered" }, "the wait ends when b has left, not with the deadline");
    const again = await members.start("b");
    const { incarnation, notes } = await again.next("started");
    assert.notEqual(incarnation, first);
    assert.deepEqual(notes, ["alpha"]);
    await a.next("view", { members: ["a", "c", "b"] });
    assert.deepEqual(await a.send("welcome back", "all"), { a: "delivered", b: "delivered", c: "delivered" });

    for (const member of [again, c, a]) await member.stop();
  });

  it("refuse a member that protects its connections in another way, and go on without it", { timeout: 120_000 }, async (t) => {
    const members = await troupe(t);
    if (members === undefined) return;
    const a = await members.start("a", { notes: ["alpha"] });
    const plain = members.begin("plain", { channel: { host: "127.0.0.1", security: "plaintext", statesTimeoutMs: 2_000 } });
    assert.equal((await plain.next("failed"))["code"], "STATE_UNAVAILABLE", "nobody gives it the state");
    const b = await members.start("b");
    assert.deepEqual(await b.send("hello", ["a"]), { a: "delivered" });
    for (const member of [b, a]) await member.stop();
  });
}

describe("members on SQLite", () => {
  exchanges(async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "tribune-channel-"));
    t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
    return `sqlite:${join(folder, "cluster.db")}`;
  });
});

describe("members on PostgreSQL", () => {
  const postgres = postgresForSuite();
  exchanges(async (t) => (await postgres(t)?.createDatabase())?.url);
});
