import { violation } from "./frames.ts";
import { CONTROL_STREAM } from "./transport.ts";

/** What a frame counts for beside its bytes, so that a million empty ones are not free. */
const FRAME_COST = 64;

/** What a frame of that length takes of a stream's window, on both sides. */
export function costOf(length: number): number {
  return length + FRAME_COST;
}

/**
 * The receiver's side of flow control: for each stream, how much the peer may still begin to send. A frame may begin while anything is left, also one that is larger than what is left: so a window and one frame is the most that waits to be consumed.
 */
export class ReceiveWindows {
  readonly #windowBytes: number;
  /** What the peer may still send, as this side knows; its own number is never larger. */
  readonly #left: Array<number | undefined> = [];
  /** Consumed, and not told yet. */
  readonly #owed: Array<number | undefined> = [];

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  /** A frame begins. Throws `PROTOCOL_VIOLATION` if the peer had nothing left. */
  begin(stream: number, length: number): void {
    if (stream === CONTROL_STREAM) return;
    const left = this.#left[stream] ?? this.#windowBytes;
    if (left <= 0) throw violation(`more on stream ${stream} than its window of ${this.#windowBytes} bytes`);
    this.#left[stream] = left - costOf(length);
  }

  /** A frame was consumed. Returns what to tell the peer: 0 as long as it is not worth a piece of its own. */
  consumed(stream: number, length: number): number {
    if (stream === CONTROL_STREAM) return 0;
    const owed = (this.#owed[stream] ?? 0) + costOf(length);
    if (owed < this.#windowBytes / 2) {
      this.#owed[stream] = owed;
      return 0;
    }
    this.#owed[stream] = 0;
    this.#left[stream] = (this.#left[stream] ?? this.#windowBytes) + owed;
    return owed;
  }
}
