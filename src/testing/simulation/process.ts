import type { Clock, Random, Timer } from "../../kernel/index.ts";
import type { Appointment, Schedule } from "./schedule.ts";

/** What the clocks of a machine are like. */
export interface ClockTraits {
  /** How fast its clocks run: 1.004 gains four milliseconds each second. */
  readonly rate: number;
  /** What its wall clock shows at the beginning of the simulation. */
  readonly wallMs: number;
  /** Whether it has a clock that counts sleep and cannot be stepped. */
  readonly hasBootClock: boolean;
}

/** Node's timers take no less. */
const SHORTEST_TIMER_MS = 1;

/** More than arithmetic can be off by: a timer that fires finds its time come. */
const NEVER_EARLY_MS = 0.001;

/** More than what kernel/elapsed.ts takes for noise. */
const COINCIDENCE_MS = 30;

/** A timer of a process: due on the process's monotonic clock. */
class ProcessTimer implements Timer {
  readonly dueMs: number;
  callback: (() => void) | undefined;
  appointment: Appointment | undefined;
  readonly #timers: Set<ProcessTimer>;

  constructor(dueMs: number, callback: () => void, timers: Set<ProcessTimer>) {
    this.dueMs = dueMs;
    this.callback = callback;
    this.#timers = timers;
  }

  cancel(): void {
    this.callback = undefined;
    this.appointment?.cancel();
    this.#timers.delete(this);
  }
}

/**
 * One run of a program on a machine of its own, with that machine's clocks: they run at their own rate, the wall clock is off and may be stepped. The process may be frozen
 * (its clocks go on, nothing runs), its machine may sleep (also the monotonic clock stands still), and it may be killed.
 */
export class SimulatedProcess implements Clock {
  readonly name: string;
  readonly bootMs?: () => number;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #timers = new Set<ProcessTimer>();
  /** What arrived while nothing ran, and timers that fell due. */
  readonly #inbox: Array<() => void> = [];
  readonly #overdue: ProcessTimer[] = [];
  #state: "running" | "frozen" | "asleep" | "dead" = "running";
  #rate: number;
  /** Monotonic time when `#anchorMs` was the true time. */
  #monotonicMs = 0;
  #anchorMs: number;
  #wallOffsetMs: number;
  #sleptMs = 0;
  #wokeMs: number | undefined;
  #resumedMs = Number.NEGATIVE_INFINITY;
  #steppedBackMs = Number.NEGATIVE_INFINITY;
  /** How far the wall clock was ahead of the monotonic one when the program last read it. */
  #gapReadMs: number;

  constructor(name: string, traits: ClockTraits, schedule: Schedule, random: Random) {
    this.name = name;
    this.#schedule = schedule;
    this.#random = random;
    this.#rate = traits.rate;
    this.#anchorMs = schedule.nowMs;
    // As on a real machine the monotonic clock begins anywhere.
    this.#monotonicMs = schedule.nowMs * traits.rate + 1_000;
    this.#wallOffsetMs = traits.wallMs - 1_000;
    this.#gapReadMs = this.#wallOffsetMs;
    if (traits.hasBootClock) this.bootMs = () => this.monotonicMs() + this.#sleptMs;
  }

  get state(): "running" | "frozen" | "asleep" | "dead" {
    return this.#state;
  }

  /** What the next process on this machine begins with. */
  get traits(): ClockTraits {
    return { rate: this.#rate, wallMs: this.#wallOffsetMs + 1_000, hasBootClock: this.bootMs !== undefined };
  }

  // ---- what the program sees

  monotonicMs(): number {
    return this.#state === "asleep" ? this.#monotonicMs : this.#monotonicMs + (this.#schedule.nowMs - this.#anchorMs) * this.#rate;
  }

  wallMs(): number {
    if (this.#state === "running") this.#gapReadMs = this.#gapMs;
    return this.monotonicMs() + this.#sleptMs + this.#wallOffsetMs;
  }

  /** For how long it has been awake, on its own clock; since ever, if its machine never slept. */
  awakeMs(): number {
    return this.#wokeMs === undefined ? Number.POSITIVE_INFINITY : this.monotonicMs() - this.#wokeMs;
  }

  /** For how long it has run without having stood still, in true time. */
  get ranMs(): number {
    return this.#state === "running" ? this.#schedule.nowMs - this.#resumedMs : 0;
  }

  /** How long ago, in true time, its wall clock was last stepped back. */
  get sinceSteppedBackMs(): number {
    return this.#schedule.nowMs - this.#steppedBackMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = new ProcessTimer(this.monotonicMs() + Math.max(SHORTEST_TIMER_MS, delayMs), callback, this.#timers);
    this.#timers.add(timer);
    this.#appoint(timer);
    return timer;
  }

  /** Runs `arrival` as soon as the process runs, or never. */
  deliver(arrival: () => void): void {
    if (this.#state === "running" && this.#inbox.length === 0) arrival();
    else if (this.#state !== "dead") this.#inbox.push(arrival);
  }

  // ---- what is done to it

  /** Stops the process, as SIGSTOP or a blocked event loop does; its clocks go on. */
  freeze(): void {
    if (this.#state === "running") this.#state = "frozen";
  }

  /** Puts the machine to sleep: the monotonic clock stands still, too. */
  sleep(): void {
    if (this.#state !== "running") return;
    this.#anchor();
    this.#state = "asleep";
  }

  /** Lets the process go on after either. `first` runs before anything else does, as the first line of a program might. */
  resume(first: () => void = () => undefined): void {
    if (this.#state !== "frozen" && this.#state !== "asleep") return;
    this.#anchor();
    if (this.#state === "asleep") {
      this.#wokeMs = this.#monotonicMs;
      // A step back by just as long as it slept, since the clocks were last read, is what kernel/elapsed.ts says that it misses: it is not by just as long.
      if (Math.abs(this.#gapMs - this.#gapReadMs) < COINCIDENCE_MS) this.#wallOffsetMs -= 2 * COINCIDENCE_MS;
    }
    this.#state = "running";
    this.#resumedMs = this.#schedule.nowMs;
    first();
    for (const timer of this.#timers) this.#appoint(timer);
    const timers = this.#overdue.splice(0).sort((a, b) => a.dueMs - b.dueMs);
    const fire = () => {
      for (const timer of timers) this.#schedule.in(0, () => this.#fire(timer));
    };
    const read = () => this.#readInbox();
    // What the event loop looks at first after a long pause is not for the program to know.
    if (this.#random.next() < 0.5) {
      fire();
      read();
    } else {
      read();
      fire();
    }
  }

  /** As SIGKILL: nothing of it ever runs again, and nobody is told. */
  kill(): void {
    this.#state = "dead";
    for (const timer of this.#timers) timer.cancel();
    this.#inbox.length = 0;
    this.#overdue.length = 0;
  }

  /** Steps the wall clock, as an administrator or a time server does. */
  stepWall(byMs: number): void {
    if (byMs < 0) this.#steppedBackMs = this.#schedule.nowMs;
    this.#wallOffsetMs += byMs;
  }

  /** Lets the clocks run at another rate from here on. */
  setRate(rate: number): void {
    this.#anchor();
    this.#rate = rate;
    for (const timer of this.#timers) this.#appoint(timer);
  }

  get #gapMs(): number {
    return this.#sleptMs + this.#wallOffsetMs;
  }

  /** Lets the clocks count from here: before the rate or the state changes. */
  #anchor(): void {
    if (this.#state === "asleep") this.#sleptMs += (this.#schedule.nowMs - this.#anchorMs) * this.#rate;
    else this.#monotonicMs = this.monotonicMs();
    this.#anchorMs = this.#schedule.nowMs;
  }

  #readInbox(): void {
    if (this.#inbox.length === 0) return;
    this.#schedule.in(0, () => {
      if (this.#state !== "running") return; // whoever lets it go on begins this again
      this.#inbox.shift()?.();
      this.#readInbox();
    });
  }

  #appoint(timer: ProcessTimer): void {
    timer.appointment?.cancel();
    timer.appointment = this.#schedule.in((timer.dueMs - this.monotonicMs()) / this.#rate + NEVER_EARLY_MS, () => this.#fallDue(timer));
  }

  #fallDue(timer: ProcessTimer): void {
    if (this.#state === "running") this.#fire(timer);
    else if (this.#state === "frozen") this.#overdue.push(timer);
    // Asleep: its time stands still; it is appointed anew at the waking.
  }

  #fire(timer: ProcessTimer): void {
    const { callback } = timer;
    if (callback === undefined) return;
    if (this.#state !== "running") {
      this.#overdue.push(timer);
      return;
    }
    timer.cancel();
    callback();
  }
}
