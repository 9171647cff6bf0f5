import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FlowReceiver, Outbox, SequenceWindow } from "../../src/channel/index.ts";
import type { GivenUp } from "../../src/channel/index.ts";
import { isTribuneError, seededRandom } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";

const LIMITS = { keptBytes: 1_000_000, awaited: 1_000, maxRetries: 1_000 };
const ASYNC = { bytes: 1, deadlineMs: Infinity, awaited: false };
const add = <Message>(outbox: Outbox<Message>, message: Message, { bytes, deadlineMs, awaited }: typeof ASYNC) => outbox.add(message, bytes, deadlineMs, awaited);
const violates = (error: unknown) => isTribuneError(error, "PROTOCOL_VIOLATION");

describe("a window of numbers", () => {
  it("says of each number once that it is new, exactly, in any order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 400 }), (numbers) => {
        const window = new SequenceWindow(64);
        const model = new Set<number>();
        for (const number of numbers) {
          let next = 1;
          while (model.has(next)) next++;
          const expected = model.has(number) ? "duplicate" : number >= next + 64 ? "beyond" : "new";
          assert.equal(window.see(number), expected);
          if (expected === "new") model.add(number);
        }
        let next = 1;
        while (model.has(next)) next++;
        assert.deepEqual([window.next, window.ahead], [next, model.size - (next - 1)]);
      }),
      { numRuns: 500 },
    );
  });

  it("takes ten million numbers, mixed within its size and each twice, in the memory of one", () => {
    const window = new SequenceWindow();
    const random = seededRandom(3);
    const total = 10_000_000;
    const block = 64;
    let [taken, dropped] = [0, 0];
    for (let from = 1; from <= total; from += block) {
      const turn = Math.floor(random.next() * block);
      for (let n = 0; n < block; n++) if (window.see(from + ((n * 37 + turn) % block)) === "new") taken++;
      if (window.see(from + turn) === "duplicate") dropped++;
    }
    assert.deepEqual([taken, dropped, window.next, window.ahead], [total, total / block, total + 1, 0]);
  });
});

describe("an outbox", () => {
  it("that is told that its connection will never take what is due makes that a gap, which counts for no more than any gap", () => {
    const outbox = new Outbox<string>({ keptBytes: 1_000, awaited: 1, maxRetries: 1_000 });
    add(outbox, "too large", { bytes: 5_000, deadlineMs: 10, awaited: true });
    assert.equal(outbox.hasRoom, false);
    assert.equal(outbox.refuseDue(), "too large");
    assert.deepEqual([outbox.keptBytes, outbox.hasRoom, outbox.earliestDeadlineMs, outbox.settledBelow], [64, true, Infinity, 2]);
    assert.equal(outbox.refuseDue(), undefined, "it is a gap by now, and told once");
    add(outbox, "small", ASYNC);
    assert.deepEqual(sendAll(outbox), ["gap 1", "small"]);
    outbox.received(3);
    assert.deepEqual([outbox.keptBytes, outbox.refuseDue()], [0, undefined]);
  });

  it("gives out what is kept in order, once per connection, and all that was not received again on the next one", () => {
    const outbox = new Outbox<string>(LIMITS);
    for (const message of ["a", "b", "c"]) add(outbox, message, ASYNC);
    assert.deepEqual(sendAll(outbox), ["a", "b", "c"]);
    assert.deepEqual(sendAll(outbox), []);
    outbox.received(2);
    outbox.connectionBegan();
    assert.deepEqual([outbox.due, outbox.message(2), outbox.message(1)], [2, "b", undefined]);
    assert.deepEqual(sendAll(outbox), ["b", "c"]);
    outbox.received(4);
    outbox.connectionBegan();
    assert.deepEqual([sendAll(outbox), outbox.keptBytes, outbox.receivedBelow], [[], 0, 4]);
  });

  it("counts what was given up until its gap was received, so that a peer that is away for long fills no memory", () => {
    const outbox = new Outbox<string>({ keptBytes: 1_000, awaited: 1_000, maxRetries: 1 });
    let taken = 0;
    for (let nowMs = 0; nowMs < 1_000; nowMs++) {
      if (outbox.hasRoom) taken = add(outbox, "soon over", { bytes: 100, deadlineMs: nowMs + 1, awaited: false });
      outbox.giveUp(nowMs + 1);
    }
    assert.ok(taken > 10 && taken <= 1_000 / 64 + 1, String(taken));
    assert.deepEqual(sendAll(outbox).length, taken);
    outbox.received(taken + 1);
    assert.deepEqual([outbox.keptBytes, outbox.hasRoom], [0, true]);
  });

  it("makes a gap of what is past its deadline, at its place, and keeps the place until it was received", () => {
    const outbox = new Outbox<string>(LIMITS);
    add(outbox, "a", ASYNC);
    add(outbox, "b", { ...ASYNC, deadlineMs: 50 });
    add(outbox, "c", ASYNC);
    assert.equal(outbox.earliestDeadlineMs, 50);
    assert.deepEqual([outbox.giveUp(49), outbox.giveUp(50), outbox.giveUp(51)], [[], [{ number: 2, message: "b", reason: "deadline" }], []]);
    assert.deepEqual(sendAll(outbox), ["a", "gap 2", "c"]);
    outbox.connectionBegan();
    assert.deepEqual(sendAll(outbox), ["a", "gap 2", "c"]);
    assert.equal(outbox.earliestDeadlineMs, Infinity);
  });

  it("gives up what was sent too often, when there is a connection to say so", () => {
    const outbox = new Outbox<string>({ ...LIMITS, maxRetries: 2 });
    add(outbox, "a", ASYNC);
    for (let connection = 1; connection <= 3; connection++) {
      outbox.connectionBegan();
      assert.deepEqual(outbox.giveUp(0), []);
      assert.deepEqual(sendAll(outbox), ["a"]);
      assert.deepEqual(outbox.giveUp(0), [], "it is under way");
    }
    outbox.connectionBegan();
    assert.deepEqual(outbox.giveUp(0), [{ number: 1, message: "a", reason: "retries" }]);
    assert.deepEqual(sendAll(outbox), ["gap 1"]);
  });

  it("is bounded, by bytes and by what is awaited, and takes one message of any size", () => {
    const outbox = new Outbox<string>({ keptBytes: 10, awaited: 2, maxRetries: 1 });
    add(outbox, "large", { ...ASYNC, bytes: 100 });
    assert.equal(outbox.hasRoom, false);
    sendAll(outbox);
    outbox.received(2);
    for (let n = 0; n < 2; n++) add(outbox, "awaited", { bytes: 1, deadlineMs: Infinity, awaited: true });
    assert.equal(outbox.hasRoom, false);
    sendAll(outbox);
    outbox.received(4);
    assert.equal(outbox.hasRoom, false, "received is not handled");
    assert.deepEqual([outbox.settledBelow, outbox.settle(2), outbox.settle(2), outbox.settledBelow, outbox.hasRoom], [2, "awaited", undefined, 3, true]);
  });

  it("keeps thousands in their order, however they come and go, and forgets the room for them", () => {
    const outbox = new Outbox<number>(LIMITS);
    const random = seededRandom(8);
    let [received, last] = [1, 0];
    for (let round = 0; round < 200; round++) {
      for (let n = Math.floor(random.next() * 200); n > 0; n--) assert.equal(add(outbox, last + 1, ASYNC), ++last);
      for (let { due } = outbox; due > 0; { due } = outbox) {
        assert.equal(outbox.message(due), due);
        outbox.sent();
      }
      received += Math.floor(random.next() ** 2 * (last + 2 - received));
      outbox.received(received);
      assert.deepEqual([outbox.receivedBelow, outbox.keptBytes, outbox.message(received)], [received, last + 1 - received, received <= last ? received : undefined]);
      if (random.next() < 0.1) outbox.connectionBegan();
    }
    assert.ok(last > 10_000);
    outbox.received(last + 1);
    assert.deepEqual([outbox.keptBytes, add(outbox, last + 1, ASYNC), outbox.message(last + 1)], [0, last + 1, last + 1]);
  });

  it("ends the connection of who says that it has what was never sent", () => {
    const outbox = new Outbox<string>(LIMITS);
    add(outbox, "a", ASYNC);
    for (const next of [2, 3, 0, -1, 1.5, Number.NaN]) assert.throws(() => outbox.received(next), violates, String(next));
    for (const number of [0, 2, 1.5]) assert.throws(() => outbox.settle(number), violates, String(number));
    sendAll(outbox);
    outbox.received(2);
    outbox.received(1); // an old word
    assert.equal(outbox.receivedBelow, 2);
  });
});

describe("a flow over connections that break", () => {
  it("is handled in order, at most once, completely but for told gaps, with every outcome known, whatever is lost and when", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), (seed, messages) => {
        const random = seededRandom(seed);
        const sender = new Outbox<number>({ ...LIMITS, maxRetries: random.next() < 0.5 ? 1 : 1_000 });
        const receiver = new FlowReceiver<string>({ ordered: true });
        const handled: number[] = [];
        const gaps: number[] = [];
        const givenUp: Array<GivenUp<number>> = [];
        const outcomes = new Map<number, string>();
        type Word = { readonly kind: "message" | "gap"; readonly number: number; readonly settledBelow: number };
        type Answer = { readonly kind: "received"; readonly next: number } | { readonly kind: "missing"; readonly next: number } | { readonly kind: "outcome"; readonly number: number; readonly outcome: string };
        let [there, back]: [Word[], Answer[]] = [[], []];
        let added = 0;
        const connect = (nowMs: number) => {
          [there, back] = [[], []]; // all that was under way is lost
          receiver.connectionBegan();
          back.push({ kind: "received", next: receiver.next }, ...[...receiver.outcomes()].map(([number, outcome]) => ({ kind: "outcome" as const, number, outcome })));
          sender.connectionBegan();
          givenUp.push(...sender.giveUp(nowMs));
        };
        for (let step = 0; step < 100_000; step++) {
          const calm = step > 3_000;
          const draw = random.next();
          if (draw < 0.2 && added < messages && sender.hasRoom) {
            added++;
            assert.equal(add(sender, added, { bytes: 10, deadlineMs: random.next() < 0.1 ? step + 50 : Infinity, awaited: added % 2 === 0 }), added);
          } else if (draw < 0.5) {
            const { due } = sender;
            const message = sender.message(due);
            if (due > 0 && (message === undefined || message === due)) {
              there.push({ kind: message === undefined ? "gap" : "message", number: due, settledBelow: sender.settledBelow });
              sender.sent();
            }
          } else if (draw < 0.75) {
            const word = there.shift();
            if (word !== undefined) {
              receiver.settled(word.settledBelow);
              const arrival = receiver.arrive(word.number);
              if (arrival === "take" && word.kind === "gap") gaps.push(word.number);
              if (arrival === "take" && word.kind === "message") {
                handled.push(word.number);
                if (word.number % 2 === 0) {
                  receiver.finished(word.number, `done ${word.number}`);
                  back.push({ kind: "outcome", number: word.number, outcome: `done ${word.number}` });
                }
              }
              const known = arrival === "duplicate" ? receiver.outcomeOf(word.number) : undefined;
              if (known !== undefined) back.push({ kind: "outcome", number: word.number, outcome: known });
              if (arrival === "missing-before") back.push({ kind: "missing", next: receiver.next });
              else if (arrival !== "still-missing") back.push({ kind: "received", next: receiver.next });
            }
          } else if (draw < 0.96 || calm) {
            const answer = back.shift();
            if (answer?.kind === "received") sender.received(answer.next);
            else if (answer?.kind === "missing") sender.goBackTo(answer.next);
            else if (answer !== undefined && sender.settle(answer.number) !== undefined) outcomes.set(answer.number, answer.outcome);
          } else if (draw < 0.98) {
            givenUp.push(...sender.giveUp(step));
          } else if (draw < 0.985) {
            if (there.length > 0) there.splice(Math.floor(random.next() * there.length), 1); // no transport does that; the flow would find it out all the same
          } else {
            connect(step);
          }
          if (step === 3_001) connect(step);
          if (calm && added === messages && sender.receivedBelow === messages + 1 && there.length === 0 && back.length === 0) break;
        }
        assert.deepEqual(handled, handled.toSorted((a, b) => a - b), "in order");
        assert.equal(new Set(handled).size, handled.length, "at most once");
        assert.deepEqual([...handled, ...gaps].sort((a, b) => a - b), Array.from({ length: messages }, (_, n) => n + 1), "handled or told, each");
        const lost = new Set(givenUp.map(({ number }) => number));
        for (const gap of gaps) assert.ok(lost.has(gap), "a gap is an error of the sender");
        for (const number of handled) if (number % 2 === 0 && !lost.has(number)) assert.equal(outcomes.get(number), `done ${number}`);
        assert.deepEqual([sender.keptBytes, sender.settledBelow], [0, messages + 1]);
        receiver.settled(sender.settledBelow);
        assert.equal(receiver.keptOutcomes, 0);
      }),
      { numRuns: 300 },
    );
  });

  it("that may arrive in any order is still taken once each", () => {
    const receiver = new FlowReceiver<never>({ ordered: false });
    assert.deepEqual([3, 1, 3, 2, 1, 4].map((number) => receiver.arrive(number)), ["take", "take", "duplicate", "take", "duplicate", "take"]);
    assert.equal(receiver.next, 5);
    assert.deepEqual([receiver.arrive(5_000), receiver.arrive(5_001)], ["missing-before", "still-missing"]);
  });

  it("asks the sender once to go back for what is missing, and again on the next connection", () => {
    const receiver = new FlowReceiver<never>({ ordered: true });
    assert.deepEqual([1, 3, 4, 3].map((number) => receiver.arrive(number)), ["take", "missing-before", "still-missing", "still-missing"]);
    receiver.connectionBegan();
    assert.deepEqual([3, 2, 4, 3].map((number) => receiver.arrive(number)), ["missing-before", "take", "missing-before", "take"]);
  });
});

function sendAll(outbox: Outbox<string>): string[] {
  const said: string[] = [];
  for (let { due } = outbox; due > 0; { due } = outbox) {
    said.push(outbox.message(due) ?? `gap ${due}`);
    outbox.sent();
  }
  return said;
}
