import { dial, listen } from "./lines.ts";
import type { Line } from "./lines.ts";
import type { Orders, Report } from "./protocol.ts";

/** The first byte of a message says what is to be done with it. */
const KIND = { one: 0, last: 1, echo: 2 } as const;

process.once("message", (message) => {
  void run(message as Orders);
});

async function run(orders: Orders): Promise<void> {
  if (orders.role === "receiver") {
    const address = await listen(orders, (bytes, from) => {
      if (bytes[0] !== KIND.one) from.send(bytes);
    });
    report({ kind: "listening", address });
    return;
  }
  let answered: () => void = () => {};
  const lines = await dial(orders, () => answered());
  const answers = (count: number) =>
    new Promise<void>((resolve) => {
      let missing = count;
      answered = () => --missing === 0 && resolve();
    });
  const broadcastMs = await broadcast(lines, orders, answers);
  const [first] = lines as [Line];
  const echoUs = await echo(first, orders, (callback) => (answered = callback));
  report({ kind: "done", broadcastMs, echoUs, inFlightPerSecond: await inFlight(first, orders, (callback) => (answered = callback)) });
}

/** From the first message until every receiver has said that it has the last one. */
async function broadcast(lines: readonly Line[], orders: Orders, answers: (count: number) => Promise<void>): Promise<number> {
  const message = new Uint8Array(orders.bytes);
  const last = new Uint8Array(orders.bytes).fill(KIND.last, 0, 1);
  let beganMs = 0;
  for (const messages of [Math.ceil(orders.messages / 5), orders.messages]) { // the first is to warm up
    const all = answers(lines.length);
    beganMs = performance.now();
    for (let n = 1; n <= messages; n++) for (const line of lines) await sendOn(line, n === messages ? last : message);
    await all;
  }
  return performance.now() - beganMs;
}

/** Waits only where it must: a promise for each message would be most of what is measured. */
function sendOn(line: Line, message: Uint8Array): Promise<void> | undefined {
  return line.send(message) ? undefined : again(line, message);
}

async function again(line: Line, message: Uint8Array): Promise<void> {
  do await line.ready();
  while (!line.send(message));
}

async function echo(line: Line, orders: Orders, onAnswer: (callback: () => void) => void): Promise<number[]> {
  const message = new Uint8Array(orders.bytes).fill(KIND.echo, 0, 1);
  const timesUs: number[] = [];
  for (let n = 0; n < orders.echoes; n++) {
    const beganMs = performance.now();
    const answer = new Promise<void>((resolve) => onAnswer(resolve));
    line.send(message);
    await answer;
    timesUs.push((performance.now() - beganMs) * 1_000);
  }
  return timesUs.slice(Math.floor(orders.echoes / 5));
}

function inFlight(line: Line, orders: Orders, onAnswer: (callback: () => void) => void): Promise<number> {
  const message = new Uint8Array(orders.bytes).fill(KIND.echo, 0, 1);
  const total = orders.echoes * 10;
  return new Promise((resolve) => {
    const beganMs = performance.now();
    let sent = 0;
    let came = 0;
    onAnswer(() => {
      if (++came === total) resolve(total / ((performance.now() - beganMs) / 1_000));
      else if (sent++ < total) line.send(message);
    });
    for (; sent < orders.inFlight; sent++) line.send(message);
  });
}

function report(what: Report): void {
  process.send?.(what);
}
