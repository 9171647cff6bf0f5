import type { Clock, Timer } from "../../src/kernel/index.ts";

/** The clock of one process: stands still in effect while that is frozen, and for ever once it was killed. */
export class ProcessClock implements Clock {
  state: "running" | "frozen" | "killed" = "running";
  readonly #world: Clock;
  #late: Array<() => void> = [];

  constructor(world: Clock) {
    this.#world = world;
  }

  monotonicMs(): number {
    return this.#world.monotonicMs();
  }

  wallMs(): number {
    return this.#world.wallMs();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    let isCancelled = false;
    const run = () => {
      if (isCancelled) return;
      if (this.state === "running") callback();
      else if (this.state === "frozen") this.#late.push(run);
    };
    const timer = this.#world.setTimer(delayMs, run);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** Everything that fell due meanwhile runs now, late. */
  thaw(): void {
    if (this.state !== "frozen") return;
    this.state = "running";
    const late = this.#late;
    this.#late = [];
    for (const each of late) each();
  }
}
