import type { Operation, Orders } from "./protocol.ts";

/** What the first byte, or the first character, of a message says of it. */
export const KIND = { one: 65, acknowledge: 66, echo: 67 } as const;

/** What the sender has. Messages are as long as was ordered. */
export interface Lines {
  /** To all targets. Nothing if more may follow at once; otherwise what to wait for. */
  broadcast(): Promise<unknown> | undefined;
  /** What there is of {@link Operation}; each resolves when it is done, and rejects if it cannot be. */
  readonly operations: Readonly<Partial<Record<Operation, () => Promise<unknown>>>>;
}

/** A message of the ordered length. */
export function messageOf(orders: Orders, kind: (typeof KIND)[keyof typeof KIND]): Uint8Array {
  return new Uint8Array(orders.bytes).fill(kind);
}

/** Answers that come on one line in the order of the questions. */
export class Answers {
  readonly #waiting: Array<() => void> = [];
  #at = 0;

  next(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  came(): void {
    this.#waiting[this.#at++]?.();
    if (this.#at === this.#waiting.length) this.#at = this.#waiting.length = 0;
  }
}

/** A line to one other process. */
export interface Line {
  send(bytes: Uint8Array): Promise<unknown> | undefined;
}

/** What a process answers that has nothing but lines: a few bytes to say that it has a message, or the message itself. */
export function answer(bytes: Uint8Array, line: Line, received: () => void): void {
  if (bytes[0] === KIND.echo) void line.send(bytes);
  else if (bytes[0] === KIND.acknowledge) void line.send(ACKNOWLEDGEMENT);
  else received();
}

const ACKNOWLEDGEMENT = new Uint8Array(8);

/** What can be done over lines alone, one to each target. */
export function linesOf(orders: Orders, lines: ReadonlyArray<Line & { readonly answers: Answers }>): Lines {
  const [first] = lines as readonly [Line & { readonly answers: Answers }];
  const one = messageOf(orders, KIND.one);
  const acknowledge = messageOf(orders, KIND.acknowledge);
  const echo = messageOf(orders, KIND.echo);
  const ask = (line: Line & { readonly answers: Answers }, bytes: Uint8Array) => {
    void line.send(bytes);
    return line.answers.next();
  };
  return {
    broadcast() {
      let waiting: Promise<unknown> | undefined;
      for (const line of lines) waiting = line.send(one) ?? waiting;
      return waiting;
    },
    operations: { echo: () => ask(first, echo), acknowledged: () => Promise.all(lines.map((line) => ask(line, acknowledge))), requestAll: () => Promise.all(lines.map((line) => ask(line, echo))) },
  };
}
