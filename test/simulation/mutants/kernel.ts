import type { Mutant } from "./mutant.ts";

const ELAPSED = "src/kernel/elapsed.ts";

/** Clocks. */
export const kernelMutants: readonly Mutant[] = [
  {
    name: "monotonic-clock-alone",
    wrong: "Trust is measured on the monotonic clock alone, which stands still while the machine sleeps: `performance.now()` on most platforms.",
    changes: [{ file: ELAPSED, from: "    return monotonicMs + this.#gainedMs;", to: "    return monotonicMs;" }],
  },
  {
    name: "wall-clock-alone",
    wrong: "Trust is measured on the wall clock alone, which administrators and time servers step back: `Date.now()` in most lease libraries.",
    changes: [{ file: ELAPSED, from: "    return monotonicMs + this.#gainedMs;", to: "    return this.#clock.wallMs();" }],
  },
];
