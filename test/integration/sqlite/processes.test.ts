import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";
import { CALL, joined, NOTHING_SEEN } from "./member.ts";
import { child } from "./children.ts";
import type { Child } from "./children.ts";
import { folder, withDatabase } from "./place.ts";

const PROCESSES = 8;

describe("several processes on one SQLite file", () => {
  const home = folder();
  after(() => home.remove());

  /** All of them ready first, so that they begin together. */
  const together = async (...args: readonly string[]): Promise<readonly Child[]> => {
    const children = await Promise.all(Array.from({ length: PROCESSES }, () => child(...args)));
    for (const each of children) each.go();
    return children;
  };

  it("make file and schema together, see one epoch, and win each token exactly once", { timeout: 120_000 }, async () => {
    const path = home.file("race.db");
    const rounds = 60;
    const children = await together("race", path, String(rounds));
    const results = await Promise.all(children.map((each) => each.result<{ epoch: string; won: number[] }>()));
    assert.equal(new Set(results.map((each) => each.epoch)).size, 1);
    const won = results.flatMap((each) => each.won).sort((x, y) => x - y);
    const first = 2 ** 32;
    assert.deepEqual(won, Array.from(won, (_, n) => first + n), "no token twice, none left out");
    assert.ok(won.length >= rounds);
  });

  it("lose no increment that they make in fenced transactions while they depose each other", { timeout: 120_000 }, async () => {
    const path = home.file("counter.db");
    withDatabase(path, (database) => database.exec("CREATE TABLE counter (value INTEGER NOT NULL); INSERT INTO counter VALUES (0)"));
    const children = await together("increment", path, "15");
    const results = await Promise.all(children.map((each) => each.result<{ committed: number; refused: number }>()));
    const committed = results.reduce((sum, each) => sum + each.committed, 0);
    const value = withDatabase(path, (database) => database.prepare("SELECT value FROM counter").get()?.["value"]);
    assert.ok(committed > 0);
    assert.equal(value, committed);
  });

  it("wait for one that is frozen in a write transaction, and go on as soon as it dies", { timeout: 120_000 }, async () => {
    const path = home.file("frozen.db");
    const clock = new VirtualClock();
    const a = await joined(path, { clock });
    const frozen = await child("hold", path);
    frozen.go();
    assert.equal(await frozen.line(), "holding");
    const refused = assert.rejects(a.beat(1, {}, 1_000), { code: "STORE_BUSY" });
    await clock.advance(1_000);
    await refused;
    assert.equal((await a.session.look({ cursor: NOTHING_SEEN, watch: "all" }, CALL)).presence.length, 1, "reading goes on");
    await frozen.kill();
    assert.equal((await a.beat(2)).accepted, true);
    await a.session.close();
  });
});
