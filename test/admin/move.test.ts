import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MoveProgress } from "../../src/admin/index.ts";
import { checkStill } from "../../src/admin/move.ts";
import type { ElectionRow, GroupReading } from "../../src/store/index.ts";
import type { MemoryProvider } from "../../src/store/memory/index.ts";
import { electionRow } from "../support/rows.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";
import { lead, led, Office } from "./office.ts";

/** A group of two, of whom `a` leads `work`, and another store on the same clock. */
async function setting(): Promise<{ readonly world: World; readonly office: Office; readonly a: Node; readonly token: string; readonly elsewhere: World; readonly to: MemoryProvider }> {
  const world = new World();
  const [a, b] = (await world.start("a", "b")) as [Node, Node];
  const token = await led(world, a, "work");
  lead(b, "work");
  const elsewhere = new World();
  return { world, office: new Office(world), a, token, elsewhere, to: elsewhere.store };
}

describe("moving a group to another store", () => {
  it("leaves nobody who leads on the old one, and tokens go on growing on the new one", async () => {
    const { world, office, token, elsewhere, to } = await setting();
    const steps: MoveProgress[] = [];
    const outcome = await office.ask(office.admin.move(to, { onProgress: (progress) => steps.push(progress) }));
    assert.deepEqual(steps, [{ step: "paused", election: "work" }, { step: "resigned", election: "work", node: "a", token }, { step: "made", generation: 2 }]);
    assert.deepEqual([outcome.elections, outcome.generation], [[{ election: "work", token }], { from: 1, to: 2 }]);
    assert.ok(BigInt(outcome.tokensAbove) > BigInt(token));
    await world.pass(20_000);
    assert.ok(world.nodes.every(({ cluster }) => cluster.election("work").term === undefined && cluster.election("work").current?.paused?.reason.startsWith("moved to")), "paused for good");

    const [moved] = (await elsewhere.start("a")) as [Node];
    lead(moved, "work");
    await elsewhere.until(() => moved.cluster.election("work").term !== undefined, 20_000);
    assert.ok((moved.cluster.election("work").term?.token ?? 0) > Number(outcome.tokensAbove));
    assert.ok(moved.cluster.view.version > (world.nodes[0]?.cluster.view.version ?? 0), "and so do the numbers of views");
    await office.admin.close();
  });

  it("raises a group that is left on the new store from an earlier time", async () => {
    const { office, token, elsewhere, to } = await setting();
    const [former] = (await elsewhere.start("former")) as [Node];
    const old = await led(elsewhere, former, "work");
    await elsewhere.resolve(former.cluster.stop());
    const outcome = await office.ask(office.admin.move(to));
    for (const before of [token, old]) assert.ok(BigInt(outcome.tokensAbove) > BigInt(before));
    await office.admin.close();
  });

  it("is refused where the group lives on the new store, or that is the same one; nothing is paused then", async () => {
    const { world, office, elsewhere, to } = await setting();
    await elsewhere.start("c");
    await assert.rejects(office.ask(office.admin.move(to)), { code: "INVALID_OPTIONS", message: /1 live member on .*: c/ });
    await assert.rejects(office.ask(office.admin.move(world.store)), { code: "INVALID_OPTIONS", message: /2 live members/ });
    assert.ok(world.nodes.every(({ cluster }) => cluster.election("work").current?.paused === null));
    await office.admin.close();
  });

  it("stops where a holder does not resign in time, and goes on when it is run again", async () => {
    const { world, office, a, to } = await setting();
    a.cut();
    await assert.rejects(office.ask(office.admin.move(to, { timeoutMs: 1_000 })), { code: "STOP_OVERRUN", about: "work" });
    a.heal();
    const outcome = await office.ask(office.admin.move(to));
    assert.equal(outcome.generation.to, 2);
    assert.ok(world.nodes.every(({ cluster }) => cluster.election("work").term === undefined));
    await office.admin.close();
  });

  it("does not count as done where an election is not paused, or not free, at the end", () => {
    const reading = (over: Partial<ElectionRow>) => ({ elections: [electionRow({ election: "work", paused: { reason: "moved", by: "ops", atMs: 1 }, ...over })] }) as unknown as GroupReading;
    checkStill(reading({}));
    assert.throws(() => checkStill(reading({ paused: null })), { code: "NOT_PAUSED", about: "work", message: /was resumed, or is new/ });
    assert.throws(() => checkStill(reading({ holder: { incarnation: "i", node: "a" } })), { code: "NOT_PAUSED", about: "work", message: /was taken/ });
    checkStill(reading({ election: "coordinator", paused: null }));
  });
});
