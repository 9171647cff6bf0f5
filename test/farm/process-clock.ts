import type { Clock, Timer } from "../../src/kernel/index.ts";

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Virtual time that waits for the disk: between two timers all promises have settled, and all that was asked of the file system has been answered. To those who live in it a disk takes no time. */
export class DiskClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #entries = new Set<Entry>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs + Date.UTC(2026, 0, 1);
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const entry: Entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#entries.add(entry);
    return { cancel: () => this.#entries.delete(entry) };
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#entries.delete(next);
      this.#nowMs = next.atMs;
      next.callback();
      await settle();
    }
    this.#nowMs = untilMs;
  }

  #next(untilMs: number): Entry | undefined {
    let best: Entry | undefined;
    for (const entry of this.#entries) if (entry.atMs <= untilMs && (best === undefined || entry.atMs < best.atMs || (entry.atMs === best.atMs && entry.order < best.order))) best = entry;
    return best;
  }
}

/** The clock of one process: stands still in effect while that is frozen, and for ever once it was killed. */
export class ProcessClock implements Clock {
  state: "running" | "frozen" | "killed" = "running";
  readonly #world: DiskClock;
  #late: Array<() => void> = [];

  constructor(world: DiskClock) {
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

async function settle(): Promise<void> {
  do await new Promise((resolve) => void setImmediate(resolve));
  while (process.getActiveResourcesInfo().some((each) => each.startsWith("FSReq") || each === "CloseReq"));
}
