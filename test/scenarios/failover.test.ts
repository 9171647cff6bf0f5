import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Term } from "../../src/election/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";

/** Leads `scheduler` on a node, and notes its terms. */
function lead(node: Node, terms: Array<Term<MemoryTransaction>>): void {
  void node.cluster.election("scheduler").lead(async (term) => {
    terms.push(term);
    await new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve()));
  });
}

describe("three nodes on one store", () => {
  it("see the same view, with the oldest as coordinator", async () => {
    const world = new World();
    const nodes = await world.start("a", "b", "c");
    await world.until(() => nodes.every((node) => node.cluster.view.members.length === 3));
    assert.deepEqual(nodes.map((node) => node.cluster.view.members.map((member) => member.node)), [["a", "b", "c"], ["a", "b", "c"], ["a", "b", "c"]]);
    assert.deepEqual(nodes.map((node) => node.cluster.view.coordinator?.node), ["a", "a", "a"]);
    assert.equal(new Set(nodes.map((node) => node.cluster.view.version)).size, 1);
  });

  it("one leads at a time; a killed leader is succeeded within the promised time by a greater token", async () => {
    const world = new World();
    const nodes = await world.start("a", "b", "c");
    const terms: Array<Term<MemoryTransaction>> = [];
    const [a, b, c] = nodes as [Node, Node, Node];
    lead(b, terms);
    await world.until(() => terms.length === 1);
    lead(a, terms);
    lead(c, terms);
    await world.pass(2_000);
    assert.equal(terms.length, 1);
    b.kill();
    const tookMs = await world.until(() => terms.length === 2, 10_000, "a successor");
    assert.ok(tookMs <= a.cluster.worstFailoverMs + 50, `${tookMs} ms`);
    assert.ok((terms[1] as Term).token > (terms[0] as Term).token);
    await world.until(() => a.cluster.view.members.length === 2, 10_000, "the view without the dead");
    for (const node of [a, c]) await world.resolve(node.cluster.stop());
  });

  it("a frozen leader does not believe in itself when it wakes, and its fenced write fails", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const terms: Array<Term<MemoryTransaction>> = [];
    lead(a, terms);
    await world.until(() => terms.length === 1);
    lead(b, terms);
    const first = terms[0] as Term<MemoryTransaction>;
    assert.equal(first.mayAct(), true);
    a.freeze();
    await world.until(() => terms.length === 2, 10_000, "a successor");
    const waking = a.thaw();
    assert.equal(first.mayAct(), false);
    await assert.rejects(first.transaction(() => undefined), { code: "TERM_LOST" });
    await waking;
    await world.until(() => a.log.includes("rejoined"), 20_000, "a rejoin");
    assert.equal((terms[1] as Term).mayAct(), true);
    for (const node of [a, b]) await world.resolve(node.cluster.stop());
  });

  it("a graceful stop hands over at once", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const terms: Array<Term<MemoryTransaction>> = [];
    lead(a, terms);
    await world.until(() => terms.length === 1);
    lead(b, terms);
    await world.pass(100);
    const stopped = a.cluster.stop();
    const tookMs = await world.until(() => terms.length === 2, 5_000, "a successor");
    assert.ok(tookMs <= 100, `${tookMs} ms`);
    await world.resolve(stopped);
    await world.until(() => b.cluster.view.members.length === 1 && b.cluster.view.coordinator?.node === "b", 5_000, "the view without a");
    await world.resolve(b.cluster.stop());
  });
});
