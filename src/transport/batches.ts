import type { Batch } from "./send-queues.ts";

/** What is written at once, at most. */
export const BATCH_BYTES = 64 * 1024;

/** How many idle buffers are kept: a process with a thousand idle links keeps these and no more. */
const KEPT = 32;

const idle: Uint8Array[] = [];

/** A buffer to fill; give it back when it has been written. */
export function borrowBatch(): Batch {
  return { buffer: idle.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES), at: 0 };
}

export function returnBatch(batch: Batch): void {
  if (idle.length < KEPT) idle.push(batch.buffer);
}
