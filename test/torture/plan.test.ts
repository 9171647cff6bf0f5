import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../src/kernel/index.ts";
import { readOptions, UsageError } from "./options.ts";
import { drawPlan, FAULT_KINDS } from "./plan.ts";

describe("the plan of a torture", () => {
  it("is the same for the same seed, and another for another", () => {
    const draw = (seed: number) => drawPlan(seededRandom(seed), FAULT_KINDS, 40, 500);
    assert.deepEqual(draw(7), draw(7));
    assert.notDeepEqual(draw(7), draw(8));
  });

  it("has every kind of fault before any comes again", () => {
    const plan = drawPlan(seededRandom(1), FAULT_KINDS, 2 * FAULT_KINDS.length, 500);
    assert.equal(new Set(plan.slice(0, FAULT_KINDS.length).map((fault) => fault.kind)).size, FAULT_KINDS.length);
    assert.equal(new Set(plan.slice(FAULT_KINDS.length).map((fault) => fault.kind)).size, FAULT_KINDS.length);
  });

  it("has no faults where none can be done", () => {
    assert.deepEqual(drawPlan(seededRandom(1), [], 10, 500), []);
  });
});

describe("the options of a torture", () => {
  const read = (...args: string[]) => readOptions(args, () => 42);

  it("have defaults, and a seed that is new each time", () => {
    const { store, seed, nodes, leaseMs, beatMs, durationMs } = read();
    assert.deepEqual({ store, seed, nodes, leaseMs, beatMs, durationMs }, { store: "sqlite", seed: 42, nodes: 5, leaseMs: 2_000, beatMs: 500, durationMs: 60_000 });
  });

  it("beat four times in a lease unless told otherwise", () => {
    assert.equal(read("--lease", "4000").beatMs, 1_000);
    assert.equal(read("--lease", "4000", "--beat", "500").beatMs, 500);
  });

  for (const [args, says] of [
    [["--nodes", "2"], /--nodes/],
    [["--seed", "x"], /--seed must be a number/],
    [["--minutes", ""], /--minutes/],
    [["--store", "mysql"], /--store/],
    [["--faults", "kill-nod"], /there is no "kill-nod"/],
    [["--break", "all"], /--break/],
    [["--lease", "1000", "--beat", "900"], /--beat must be at most half/],
    [["--nonsense"], /nonsense/],
  ] as const) {
    it(`refuse ${args.join(" ")}`, () => {
      assert.throws(() => read(...args), (error: unknown) => error instanceof UsageError && says.test(error.message));
    });
  }
});
