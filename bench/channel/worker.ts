import { dial, listen } from "./lines.ts";
import type { Line, Lines } from "./lines.ts";
import type { Orders, Report } from "./protocol.ts";

/** The first byte of a message says what is to be done with it. */
const KIND = { one: 0, last: 1, echo: 2 } as const;

process.once("message", (message) => {
  void run(message as Orders);
});

async function run(orders: Orders): Promise<void> {
  if (orders.role === "receiver") {
    const address = await listen(orders, (bytes, from) => {
      if (bytes[0] !== KIND.one) void from.send(bytes);
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
  const echoUs = await echo(lines.first, orders, (callback) => (answered = callback));
  const flight = await inFlight(lines.first, orders, (callback) => (answered = callback));
  report({ kind: "done", broadcastMs, echoUs, inFlightPerSecond: flight.perSecond, inFlightUs: flight.us, ackUs: await times(lines.acknowledged, orders, 1), ackInFlightUs: await times(lines.acknowledged, orders, orders.inFlight), rpcUs: await times(lines.ask, orders, 1), rpcInFlightUs: await times(lines.ask, orders, orders.inFlight) });
}

/** From the first message until every receiver has said that it has the last one. */
async function broadcast({ all: line }: Lines, orders: Orders, answers: (count: number) => Promise<void>): Promise<number> {
  const message = new Uint8Array(orders.bytes);
  const last = new Uint8Array(orders.bytes).fill(KIND.last, 0, 1);
  let beganMs = 0;
  for (const messages of [Math.ceil(orders.messages / 5), orders.messages]) { // the first is to warm up
    const all = answers(orders.targets.length);
    beganMs = performance.now();
    for (let n = 1; n <= messages; n++) await line.send(n === messages ? last : message);
    await all;
  }
  return performance.now() - beganMs;
}

async function echo(line: Line, orders: Orders, onAnswer: (callback: () => void) => void): Promise<number[]> {
  const message = new Uint8Array(orders.bytes).fill(KIND.echo, 0, 1);
  const timesUs: number[] = [];
  for (let n = 0; n < orders.echoes; n++) {
    const beganMs = performance.now();
    const answer = new Promise<void>((resolve) => onAnswer(resolve));
    void line.send(message);
    await answer;
    timesUs.push((performance.now() - beganMs) * 1_000);
  }
  return timesUs.slice(Math.floor(orders.echoes / 5));
}

/** 64 echoes at a time. Answers come in the order of the questions. */
function inFlight(line: Line, orders: Orders, onAnswer: (callback: () => void) => void): Promise<{ readonly perSecond: number; readonly us: readonly number[] }> {
  const message = new Uint8Array(orders.bytes).fill(KIND.echo, 0, 1);
  const total = orders.echoes * 10;
  const begun: number[] = [];
  const us: number[] = [];
  const ask = () => {
    begun.push(performance.now());
    void line.send(message);
  };
  return new Promise((resolve) => {
    const beganMs = performance.now();
    onAnswer(() => {
      us.push((performance.now() - (begun[us.length] ?? 0)) * 1_000);
      if (us.length === total) resolve({ perSecond: total / ((performance.now() - beganMs) / 1_000), us });
      else if (begun.length < total) ask();
    });
    while (begun.length < orders.inFlight) ask();
  });
}

/** What takes its time there and back, so many at a time. */
async function times(send: ((bytes: Uint8Array) => Promise<unknown>) | undefined, orders: Orders, lanes: number): Promise<number[]> {
  if (send === undefined) return [];
  const message = new Uint8Array(orders.bytes);
  const timesUs: number[] = [];
  let begun = 0;
  const lane = async () => {
    while (begun++ < orders.echoes * Math.ceil(lanes / 16)) {
      const beganMs = performance.now();
      await send(message);
      timesUs.push((performance.now() - beganMs) * 1_000);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return timesUs.slice(Math.floor(timesUs.length / 5));
}

function report(what: Report): void {
  process.send?.(what);
}
