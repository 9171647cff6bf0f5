import { abortError } from "../../kernel/index.ts";
import type { Clock, Timer } from "../../kernel/index.ts";

/** How often the locks are looked at, which the kernel tells nobody of. A death is heard of after half of this on average; what it costs is in the README. */
const POLL_MS = 20;

/** How many looks apart the rows are read again. Whoever opens another session ends the one before it, which is heard of at once; this is for who was not armed yet. */
const POLLS_PER_READING = 50;

/**
 * Resolves when one of the locks is free, and rejects as `over` says. `readKeys` tells which locks, or `undefined` if that cannot be read now; what it throws is what this rejects with.
 */
export function attendLocks(options: {
  readonly clock: Clock;
  readonly over: AbortSignal;
  readonly readKeys: () => readonly string[] | undefined;
  readonly isFree: (key: string) => boolean;
}): Promise<void> {
  const { clock, over, readKeys, isFree } = options;
  return new Promise((resolve, reject: (error: unknown) => void) => {
    let timer: Timer | undefined;
    let keys: readonly string[] | undefined;
    let polls = 0;
    const end = (settle: () => void) => {
      timer?.cancel();
      over.removeEventListener("abort", aborted);
      settle();
    };
    const aborted = () => end(() => reject(abortError(over, "attend")));
    const poll = () => {
      try {
        if (keys === undefined || polls % POLLS_PER_READING === 0) keys = readKeys();
        polls += 1;
        if (keys?.some(isFree) === true) return end(resolve);
      } catch (error) {
        return end(() => reject(error));
      }
      timer = clock.setTimer(POLL_MS, poll);
    };
    if (over.aborted) return aborted();
    over.addEventListener("abort", aborted, { once: true });
    poll();
  });
}
