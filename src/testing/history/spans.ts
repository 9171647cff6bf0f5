import { bisect } from "./bisect.ts";
import type { HistoryEvent } from "./history.ts";

/** A stretch of time, in milliseconds on the history's clock. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The stretches in which the store could not be used. */
export function outages(events: readonly HistoryEvent[], endMs: number): Span[] {
  const pairing = new Pairing();
  for (const event of events) {
    if (event.kind === "outage-began") pairing.begin(event.t);
    else if (event.kind === "outage-ended") pairing.end(event.t);
  }
  return pairing.close(endMs);
}

/** The stretches in which a process did not run. */
export function pauses(events: readonly HistoryEvent[], process: string, endMs: number): Span[] {
  return pausesByProcess(events.filter((event) => event.process === process), endMs).get(process) ?? [];
}

/** The stretches in which a process could not reach the store. */
export function cuts(events: readonly HistoryEvent[], process: string, endMs: number): Span[] {
  const pairing = new Pairing();
  for (const event of events) {
    if (event.process !== process) continue;
    if (event.kind === "cut-off") pairing.begin(event.t);
    else if (event.kind === "mended") pairing.end(event.t);
  }
  return pairing.close(endMs);
}

/** The stretches in which processes did not run, of all that ever stood still. */
export function pausesByProcess(events: readonly HistoryEvent[], endMs: number): Map<string, Span[]> {
  const pairings = new Map<string, Pairing>();
  for (const event of events) {
    if (event.kind !== "paused" && event.kind !== "resumed") continue;
    let pairing = pairings.get(event.process);
    if (pairing === undefined) pairings.set(event.process, (pairing = new Pairing()));
    if (event.kind === "paused") pairing.begin(event.t);
    else pairing.end(event.t);
  }
  return new Map([...pairings].map(([process, pairing]) => [process, pairing.close(endMs)]));
}

/** Makes stretches of beginnings and ends; one that begins within another is part of it. */
export class Pairing {
  readonly #spans: Span[] = [];
  #depth = 0;
  #fromMs = 0;

  /** Whether a stretch has begun and not ended. */
  get isOpen(): boolean {
    return this.#depth > 0;
  }

  /** When the last stretch that has ended did so. */
  get endedMs(): number | undefined {
    return this.#spans.at(-1)?.toMs;
  }

  begin(atMs: number): void {
    if (this.#depth++ === 0) this.#fromMs = atMs;
  }

  end(atMs: number): void {
    if (this.#depth > 0 && --this.#depth === 0) this.#spans.push({ fromMs: this.#fromMs, toMs: atMs });
  }

  /** All stretches in their order; one that has not ended goes on until `endMs`. */
  close(endMs: number): Span[] {
    return this.isOpen ? [...this.#spans, { fromMs: this.#fromMs, toMs: endMs }] : [...this.#spans];
  }
}

/** Stretches that follow each other without overlapping, made for many questions. */
export class Timeline {
  readonly #spans: readonly Span[];
  /** How long all stretches before the one of the same index are together. */
  readonly #beforeMs: number[] = [];

  constructor(spans: readonly Span[]) {
    this.#spans = spans;
    let sumMs = 0;
    for (const span of spans) {
      this.#beforeMs.push(sumMs);
      sumMs += span.toMs - span.fromMs;
    }
    this.#beforeMs.push(sumMs);
  }

  /** How much of the time between the two the stretches cover. */
  coveredMs(fromMs: number, toMs: number): number {
    return this.#coveredUntil(toMs) - this.#coveredUntil(fromMs);
  }

  /** Whether any stretch has a moment in common with that time, ends included. */
  touches(fromMs: number, toMs: number): boolean {
    const first = this.#spans[bisect(this.#spans, (span) => span.toMs >= fromMs)];
    return first !== undefined && first.fromMs <= toMs;
  }

  #coveredUntil(ms: number): number {
    const index = bisect(this.#spans, (span) => span.toMs > ms);
    const span = this.#spans[index];
    return (this.#beforeMs[index] ?? 0) + (span === undefined ? 0 : Math.max(0, ms - span.fromMs));
  }
}
