import type { History, RecordRead } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";

interface Reader {
  readonly read: RecordRead;
  readonly newest: number;
  /** How many failovers this reader has taken notice of, at the least. */
  readonly failovers: number;
}

/**
 * Whoever reads a group's record gets it without a gap: each event once and in order, and the number of those that were forgotten in between. Sequence numbers are gap-free within one epoch: after
 * a failover a reader may begin anew, once: an answer that lay in a sleeping process may tell of the one before the last.
 */
export function recordIsGapFree(history: History): Violation[] {
  const violations: Violation[] = [];
  const readers = new Map<string, Reader>();
  let failovers = 0;
  for (const event of history.events) {
    if (event.kind === "started") readers.delete(event.process); // another run under the same name
    if (event.kind === "failed-over") failovers += 1;
    if (event.kind !== "record-read") continue;
    const before = readers.get(event.process);
    const complain = (message: string) => {
      violations.push({ check: "recordIsGapFree", message: `${who(event)} ${message}`, atMs: event.t, evidence: before === undefined ? [event] : [before.read, event] });
    };
    const isElsewhere = before !== undefined && event.after !== before.newest;
    // The notice is taken when it begins anew, not at the first read after the failover: that may have been answered before.
    if (isElsewhere && before.failovers >= failovers) complain(`read the record on from ${event.after}, where it had read up to ${before.newest}`);
    let expected = event.after + event.skipped + 1;
    for (const sequence of event.sequences) {
      if (sequence !== expected) {
        complain(`read the record after ${event.after}, ${event.skipped} of it forgotten, and found ${sequence} where ${expected} is due`);
        break;
      }
      expected += 1;
    }
    readers.set(event.process, { read: event, newest: event.sequences.at(-1) ?? event.after, failovers: before === undefined ? failovers : before.failovers + (isElsewhere ? 1 : 0) });
  }
  return violations;
}
