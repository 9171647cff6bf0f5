import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AppRecord, Wish } from "../../src/farm/index.ts";
import { seededRandom } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";
import { beginning, BrokenPromise, CORE, keyOf, moves, release, settle } from "./model.ts";
import type { Budget, Core, State } from "./model.ts";

const NO_FAULTS: Budget = { coordinatorDeaths: 0, memberDeaths: 0, starts: 0, timeouts: 0, cancels: 0 };
const id = (n: number) => String(n).padStart(32, "a");
const deploy = (n: number, rolling: { readonly by: number } | null = null): Wish => ({ id: id(n), by: "n0", kind: "deploy", release: { ...release(String(n)), id: id(n) }, prepareMs: 1_000, rolling: rolling && { ...rolling, waveMs: 1_000 } });
const undeploy: Wish = { id: id(90), by: "n0", kind: "undeploy" };
const rollback: Wish = { id: id(91), by: "n0", kind: "rollback", version: null, prepareMs: 1_000, rolling: null };

/** Every interleaving there is, each state once; each also has to come to rest from where it is. Answers how many there are. */
function explore(from: State, core: Core = CORE): { readonly states: number; readonly outcomes: ReadonlySet<string> } {
  const seen = new Set([keyOf(from)]);
  const stack = [from];
  const outcomes = new Set<string>();
  for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
    for (const { next } of moves(state, core)) {
      const key = keyOf(next);
      if (seen.has(key)) continue;
      seen.add(key);
      stack.push(next);
    }
    for (const { kind, result, code } of settle(state, core).record.outcomes) outcomes.add(`${kind} ${result} ${code ?? ""}`.trim());
  }
  return { states: seen.size, outcomes };
}

/** One way through, drawn from a seed. */
function walk(seed: number, core: Core): void {
  const random = seededRandom(seed);
  const some = (most: number) => Math.floor(random.next() * (most + 1));
  const count = 1 + some(3);
  const wishes = [deploy(1, random.next() < 0.5 ? { by: 1 + some(1) } : null), ...(random.next() < 0.5 ? [deploy(2)] : []), ...(random.next() < 0.3 ? [undeploy] : []), ...(random.next() < 0.3 ? [rollback] : [])];
  const unlucky = () => (random.next() < 0.2 ? [`n${some(count - 1)}`] : []);
  let state = beginning(count, wishes, { coordinatorDeaths: some(2), memberDeaths: some(2), starts: some(2), timeouts: some(1), cancels: some(1) }, { refusing: unlucky(), failing: unlucky() });
  for (let n = 0; n < 80; n++) {
    const possible = moves(state, core);
    const move = possible[Math.floor(random.next() * possible.length)];
    if (move === undefined) break;
    state = move.next;
  }
  settle(state, core);
}

describe("the decisions of a farm", () => {
  it("are all or nothing in every interleaving of two members, a coordinator that is replaced, and a time that runs out", () => {
    const { states, outcomes } = explore(beginning(2, [deploy(1)], { ...NO_FAULTS, coordinatorDeaths: 1, timeouts: 1 }));
    assert.ok(states > 500, String(states));
    assert.deepEqual([...outcomes].sort(), ["deploy committed", "deploy rolled-back FARM_TIMEOUT"]);
  });

  it("are so when a member dies, comes back, or comes new", () => {
    const { states, outcomes } = explore(beginning(2, [deploy(1)], { ...NO_FAULTS, memberDeaths: 1, starts: 1 }));
    assert.ok(states > 500, String(states));
    assert.ok(outcomes.has("deploy committed"));
  });

  it("roll back on one no, and when it is called off", () => {
    assert.deepEqual([...explore(beginning(2, [deploy(1)], { ...NO_FAULTS, coordinatorDeaths: 1 }, { refusing: ["n1"] })).outcomes], ["deploy rolled-back FARM_PREPARE_FAILED"]);
    assert.deepEqual([...explore(beginning(2, [deploy(1)], { ...NO_FAULTS, cancels: 1 })).outcomes].sort(), ["deploy committed", "deploy rolled-back ABORTED"]);
  });

  it("take a rolling deployment wave by wave, and all of it back when a wave fails, also over a new coordinator", () => {
    const healthy = explore(beginning(2, [deploy(1, { by: 1 })], { ...NO_FAULTS, coordinatorDeaths: 1 }));
    assert.deepEqual([...healthy.outcomes], ["deploy committed"]);
    const failing = explore(beginning(2, [deploy(1, { by: 1 })], { ...NO_FAULTS, coordinatorDeaths: 1 }, { failing: ["n1"] }));
    assert.deepEqual([...failing.outcomes], ["deploy rolled-back FARM_ACTIVATE_FAILED"]);
    const dying = explore(beginning(2, [deploy(1, { by: 1 })], { ...NO_FAULTS, memberDeaths: 1 }));
    assert.ok(dying.outcomes.has("deploy rolled-back FARM_MEMBER_LEFT"));
  });

  it("keep two wishes of one name apart, in whatever order they come", () => {
    assert.ok(explore(beginning(1, [deploy(1), deploy(2), undeploy], { ...NO_FAULTS, coordinatorDeaths: 1 })).states > 300);
    assert.ok(explore(beginning(2, [deploy(1), rollback], NO_FAULTS)).outcomes.has("rollback committed"));
  });

  it("hold on any way through larger worlds", () => {
    fc.assert(fc.property(fc.nat(), (seed) => walk(seed, CORE)), { numRuns: 5_000 });
  });

  it("admit waves by number and by zone, in order of joining", () => {
    const wish = deploy(1, { by: 1 });
    assert.ok(wish.kind === "deploy");
    const change = { ...wish, phase: "rolling" as const, admitted: ["a"], wave: ["a"], rolling: { by: "zone" as const, waveMs: 1 } };
    const record: AppRecord = { name: "app", current: null, history: [], change, outcomes: [] };
    const members = [["a", "x"], ["b", "y"], ["c", "z"], ["d", "y"]].map(([node = "", zone = ""]) => ({ node, incarnation: node, zone }));
    const step = CORE.coordinatorStep({ record, members, votes: new Map(), reports: new Map([["a", { release: wish.release.id, version: "1", failed: null }]]), waitedMs: 0 });
    assert.deepEqual(step.kind === "write" && step.record.change?.admitted, ["a", "b", "d"]);
  });
});

describe("the model of a farm", () => {
  const caught = (core: Partial<Core>) => assert.throws(() => {
    const mutant = { ...CORE, ...core };
    for (const rolling of [null, { by: 1 }]) explore(beginning(2, [deploy(1, rolling)], { ...NO_FAULTS, coordinatorDeaths: 1, timeouts: 1 }, { refusing: [] }), mutant);
    for (const rolling of [null, { by: 1 }]) explore(beginning(2, [deploy(1, rolling)], { ...NO_FAULTS, starts: 1, memberDeaths: 1 }), mutant);
    explore(beginning(2, [deploy(1, { by: 1 })], NO_FAULTS, { failing: ["n1"] }), mutant);
    for (let seed = 0; seed < 500; seed++) walk(seed, mutant);
  }, BrokenPromise);
  const everybodySaidYes: Core["coordinatorStep"] = (sight) =>
    CORE.coordinatorStep({ ...sight, votes: new Map(sight.members.map(({ incarnation, node }) => [incarnation, { change: "", node, incarnation, yes: true, code: null, why: null }])) });

  it("catches a coordinator that counts no votes", () => caught({ coordinatorStep: everybodySaidYes }));
  it("catches one that is content with a majority", () =>
    caught({ coordinatorStep: (sight) => (sight.votes.size * 2 > sight.members.length - 1 && [...sight.votes.values()].every(({ yes }) => yes) ? everybodySaidYes(sight) : CORE.coordinatorStep(sight)) }));
  it("catches one that takes silence for a yes when the time is over", () => caught({ coordinatorStep: (sight) => (sight.waitedMs > 0 ? everybodySaidYes(sight) : CORE.coordinatorStep(sight)) }));
  it("catches one that never gives up waiting", () => caught({ coordinatorStep: (sight) => CORE.coordinatorStep({ ...sight, waitedMs: 0, ...(sight.record.change?.phase === "rolling" ? {} : { reports: new Map() }) }), memberStep: (record, node, local, nowMs) => (node === "n1" && record.change?.phase === "preparing" ? { kind: "rest" } : CORE.memberStep(record, node, local, nowMs)) }));
  it("catches a decision that is told before it is stored", () => caught({ hasty: true }));
  it("catches a member that applies what is only proposed", () =>
    caught({ memberStep: (record, node, local, nowMs) => (record.change !== null && local.voted === record.change.id && local.active?.id !== record.change.release.id ? { kind: "activate", release: record.change.release } : CORE.memberStep(record, node, local, nowMs)) }));
  it("catches a newcomer that is skipped", () => caught({ memberStep: (record, node, local, nowMs) => (local.active === null && local.voted === null ? { kind: "rest" } : CORE.memberStep(record, node, local, nowMs)) }));
  it("catches a wave that is not waited for", () => caught({ coordinatorStep: (sight) => CORE.coordinatorStep(sight.record.change?.phase === "rolling" ? { ...sight, reports: new Map(sight.members.map(({ incarnation }) => [incarnation, { release: sight.record.change?.release.id ?? null, version: null, failed: null }])) } : sight) }));
  it("catches a reverted wave whose members do not go back", () =>
    caught({ memberStep: (record, node, local, nowMs) => (local.active !== null && record.outcomes[0]?.result === "rolled-back" && local.active.id !== record.current?.id ? { kind: "rest" } : CORE.memberStep(record, node, local, nowMs)) }));
  it("catches what was prepared and is never let go", () => caught({ memberStep: (record, node, local, nowMs) => { const step = CORE.memberStep(record, node, local, nowMs); return step.kind === "discard" ? { kind: "rest" } : step; } }));
});
