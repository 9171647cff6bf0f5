/** Of two writes the one with the greater version stands, at every member. A time of the hybrid logical clock, and the incarnation that wrote. */
export interface Version {
  /** {@link TICKS_PER_MS} for each millisecond of a wall clock that never goes back. */
  readonly time: number;
  readonly member: string;
}

/** How many versions one millisecond has room for; one more borrows from the next millisecond. 2⁵³ ticks last until the year 2248. */
export const TICKS_PER_MS = 1_024;

/** Older than every write. */
export const NEVER: Version = Object.freeze({ time: 0, member: "" });

/** Which of two writes came first: by time, and where that is the same by the member's name, which is the same at everybody. */
export function compareVersions(a: Version, b: Version): number {
  if (a.time !== b.time) return a.time - b.time;
  if (a.member === b.member) return 0;
  return a.member < b.member ? -1 : 1;
}

/** The time of the hybrid logical clock for a moment of a wall clock. */
export function timeAt(wallMs: number): number {
  return Math.max(0, Math.floor(wallMs)) * TICKS_PER_MS;
}

/**
 * A hybrid logical clock (Kulkarni et al., "Logical physical clocks", 2014): near the wall clock, greater than all that was seen, never twice the same. A wall clock
 * that is ahead pulls those of the others ahead; one that is behind, or steps back, costs nothing.
 */
export class VersionClock {
  #last = 0;

  /** The time of a new write. */
  next(wallMs: number): number {
    this.#last = Math.max(this.#last + 1, timeAt(wallMs));
    return this.#last;
  }

  /** Somebody's write was seen: later ones here are greater. */
  saw(time: number): void {
    if (time > this.#last) this.#last = time;
  }

  /** The greatest time that was given or seen. */
  get last(): number {
    return this.#last;
  }
}
