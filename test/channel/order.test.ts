import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { comparePositions, OrderLog, START } from "../../src/channel/index.ts";
import type { Entry, Position } from "../../src/channel/index.ts";
import { OrderSender } from "../../src/channel/order-sender.ts";
import { decodeOrder, encodeOrder } from "../../src/channel/order-words.ts";
import type { OrderWord } from "../../src/channel/order-words.ts";
import { Owed } from "../../src/channel/owed.ts";
import { Succession } from "../../src/channel/succession.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";

interface Content {
  readonly view: number;
  readonly name: string;
}

const SENDER = { node: "n", incarnation: "i" };
const at = (epoch: number, number: number): Position => ({ epoch, number });
const entry = (position: Position, n: number, before = at(position.epoch, position.number - 1), sender = SENDER): Entry<Content> => ({ position, before, sender, n, bytes: 1, content: { view: 1, name: `${sender.incarnation}${n}` } });

describe("what a member has of one order", () => {
  it("is taken upwards only, each message once, whatever comes and however often", () => {
    fc.assert(fc.property(fc.array(fc.record({ epoch: fc.integer({ min: 1, max: 4 }), ofEpoch: fc.integer({ min: 0, max: 2 }), number: fc.integer({ min: 1, max: 6 }), n: fc.integer({ min: 1, max: 8 }), leader: fc.constantFrom("p", "q") })), (arrivals) => {
      const log = new OrderLog<Content>(1_000);
      const taken: Array<Entry<Content>> = [];
      for (const { epoch, ofEpoch, number, n, leader } of arrivals) {
        const each = entry(at(Math.max(1, epoch - ofEpoch), number), n);
        if (["take", "take-after-gap"].includes(log.arrive(epoch, leader, each))) taken.push(each);
      }
      for (const [n, each] of taken.entries()) if (n > 0) assert.ok(comparePositions(each.position, (taken[n - 1] as Entry<Content>).position) > 0);
      assert.equal(new Set(taken.map(({ content }) => content.name)).size, taken.length);
    }), { numRuns: 1_000 });
  });

  it("tells of a hole, of who has been succeeded, and nothing of a hole before a new member's first", () => {
    const log = new OrderLog<Content>(1_000);
    assert.deepEqual([log.arrive(3, "p", entry(at(3, 7), 1)), log.arrive(3, "p", entry(at(3, 8), 2)), log.arrive(3, "p", entry(at(3, 10), 3)), log.arrive(3, "p", entry(at(3, 9), 3))], ["take", "take", "take-after-gap", "duplicate"]);
    assert.deepEqual([log.begin(5, "q", at(3, 10)), log.arrive(3, "p", entry(at(3, 11), 4)), log.arrive(5, "p", entry(at(5, 1), 4)), log.begin(7, "r", at(5, 2)), log.begin(7, "r", at(5, 2))], ["whole", "stale", "stale", "gap", "whole"]);
  });

  it("is kept up to its bound, the newest of it", () => {
    const log = new OrderLog<Content>(10);
    for (let n = 1; n <= 100; n++) log.take(entry(at(1, n), n));
    const kept = log.after(START);
    assert.ok(kept.length >= 5 && kept.length <= 10);
    assert.deepEqual(kept.map(({ n }) => n), Array.from({ length: kept.length }, (_, k) => 101 - kept.length + k));
  });
});

describe("a new sequencer", () => {
  const standing = (last: Position | undefined, ...ordered: Array<[string, number]>) => ({ last, since: 1, ordered });

  it("waits for everybody, fetches what it lacks from the one that is furthest, and gives the others what they lack", () => {
    const succession = new Succession(["a", "b", "c", "d"]);
    succession.stands("a", standing(at(3, 5), ["s", 4]));
    succession.stands("b", standing(at(3, 9), ["s", 6]));
    succession.stands("c", standing(undefined));
    assert.deepEqual(succession.next(at(3, 7)), { kind: "wait" });
    succession.left("d");
    assert.deepEqual([succession.next(at(3, 7)), succession.next(at(3, 7))], [{ kind: "fetch", from: "b", after: at(3, 7) }, { kind: "wait" }]);
    succession.fetched("b");
    assert.deepEqual(succession.next(at(3, 9)), { kind: "begin", after: at(3, 9), complete: true, behind: [["a", standing(at(3, 5), ["s", 4])], ["c", standing(undefined)]], ordered: [["s", 4], ["s", 6]] });
  });

  it("goes to the next one when the one that it fetches from leaves, and begins incompletely when its time is over", () => {
    const succession = new Succession(["a", "b", "c"]);
    succession.stands("a", standing(at(3, 5)));
    succession.stands("b", standing(at(3, 9)));
    succession.stands("c", standing(at(3, 8)));
    assert.equal(succession.next(at(3, 5)).kind, "fetch");
    succession.left("b");
    assert.deepEqual(succession.next(at(3, 5)), { kind: "fetch", from: "c", after: at(3, 5) });
    const other = new Succession(["a", "b"]);
    other.stands("a", standing(at(3, 5)));
    other.late();
    assert.deepEqual(other.next(at(3, 6)), { kind: "begin", after: at(3, 6), complete: false, behind: [["a", standing(at(3, 5))]], ordered: [] });
  });

  it("that nobody has kept enough for begins after what is known to be there, so that all learn of the hole", () => {
    const succession = new Succession(["a"]);
    succession.stands("a", standing(at(3, 9)));
    assert.equal(succession.next(at(3, 2)).kind, "fetch");
    succession.fetched("a");
    const step = succession.next(at(3, 2));
    assert.deepEqual(step.kind === "begin" && step.after, at(3, 9));
  });
});

describe("what a member sends in one order", () => {
  const about = { bytes: 1, deadlineMs: Infinity, targets: ["a", "b"] };

  it("is due again after a succession that all answered, unless it has its place; and interrupted after any other", () => {
    const sender = new OrderSender<string>({ keptBytes: 100, awaited: 100 });
    for (const each of ["one", "two", "three"]) sender.add(each, { ...about, awaited: true });
    assert.deepEqual(sender.due().map(({ n }) => n), [1, 2, 3]);
    sender.ordered(1);
    assert.deepEqual([sender.begun(true, 2), sender.due().map(({ n }) => n)], [[], [3]]);
    sender.add("four", { ...about, awaited: true });
    assert.deepEqual([sender.begun(false, 2).map(({ content }) => content), sender.due().map(({ content }) => content)], [["three"], ["four"]]);
  });

  it("is given up when it cannot be given to the sequencer, unless it was seen in its place", () => {
    const sender = new OrderSender<string>({ keptBytes: 100, awaited: 100 });
    for (const each of ["one", "two"]) sender.add(each, { ...about, awaited: true });
    sender.due();
    sender.ordered(1);
    assert.deepEqual([sender.giveUp(1), sender.giveUp(2)?.content, sender.giveUp(2)], [undefined, "two", undefined]);
    assert.equal(sender.settle(1, "a")?.content, "one");
  });

  it("is gone with its place if nobody waits, with its last outcome, its deadline, or its last target", () => {
    const sender = new OrderSender<string>({ keptBytes: 100, awaited: 1 });
    const full = () => !sender.hasRoom;
    sender.add("async", { ...about, awaited: false });
    assert.ok(full());
    sender.ordered(1);
    sender.add("outcomes", { ...about, awaited: true });
    assert.deepEqual([full(), sender.settle(2, "a")?.content, sender.settle(2, "a"), full(), sender.settle(2, "b")?.content, full()], [true, "outcomes", undefined, true, "outcomes", false]);
    sender.add("deadline", { ...about, awaited: true, deadlineMs: 5 });
    assert.deepEqual([sender.earliestDeadlineMs, sender.overdue(4).length, sender.overdue(5).length, full()], [5, 0, 1, false]);
    sender.add("left", { ...about, awaited: true });
    assert.deepEqual([sender.left("a").length, sender.left("b").length, full()], [1, 1, false]);
  });
});

describe("outcomes for who is not known yet", () => {
  it("are kept until a view comes, and no longer than anybody waits for them", () => {
    const owed = new Owed<{ readonly dueMs: number }>();
    for (let n = 0; n < 5_000; n++) owed.add({ dueMs: n + 10 }, n);
    assert.ok(owed.size <= 10, `${owed.size}`);
    assert.deepEqual([...owed.take()].map(({ dueMs }) => dueMs), Array.from({ length: 10 }, (_, k) => 5_000 + k));
    owed.add({ dueMs: 5 }, 5);
    assert.equal(owed.size, 0);
  });
});

describe("words about one order", () => {
  const epoch = fc.maxSafeNat();
  const number = fc.integer({ min: 1, max: 2 ** 48 - 1 });
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/);
  const place = fc.record({ epoch, number: fc.integer({ min: 0, max: 2 ** 48 - 1 }) });
  const token = fc.oneof(fc.constant({ token: undefined, election: undefined }), fc.record({ token: epoch, election: fc.option(name, { nil: undefined }) }));
  const about = fc.tuple(fc.record({ awaited: fc.boolean(), enveloped: fc.boolean(), view: epoch, payload: fc.uint8Array({ maxLength: 40 }) }), token).map(([rest, of]) => ({ ...rest, ...of }));
  const word: fc.Arbitrary<OrderWord> = fc.oneof(
    fc.record({ kind: fc.constant("submit" as const), epoch, n: number, about }),
    fc.record({ kind: fc.constantFrom("ordered" as const, "fill" as const), epoch, position: place, before: place, sender: fc.record({ node: name, incarnation: name }), n: number, about }),
    fc.record({ kind: fc.constant("outcome" as const), n: number, outcome: fc.oneof(fc.constant({ status: "delivered" as const }), fc.record({ status: fc.constant("failed" as const), code: fc.stringMatching(/^[A-Z][A-Z0-9_]{0,30}$/), message: fc.string({ maxLength: 50 }) })) }),
    fc.record({ kind: fc.constantFrom("recover" as const, "fetched" as const, "refused" as const), epoch }),
    fc.record({ kind: fc.constant("standing" as const), epoch, since: epoch, last: fc.option(place, { nil: undefined }), ordered: fc.array(fc.tuple(name, number), { maxLength: 30 }) }),
    fc.record({ kind: fc.constant("fetch" as const), epoch, after: place }),
    fc.record({ kind: fc.constant("begin" as const), epoch, after: place, complete: fc.boolean(), orderedUpTo: fc.integer({ min: 0, max: 2 ** 48 - 1 }) }),
    fc
      .tuple(number, number, fc.record({ incarnation: name, outcome: fc.record({ status: fc.constant("failed" as const), code: fc.stringMatching(/^[A-Z][A-Z0-9_]{0,30}$/), message: fc.string({ maxLength: 50 }) }) }))
      .map(([a, b, rest]) => ({ kind: "missed" as const, first: Math.min(a, b), n: Math.max(a, b), ...rest })),
  );

  it("are read as they were written", () => {
    fc.assert(fc.property(word, (each) => {
      const read = decodeOrder(encodeOrder(each));
      const plain = (value: OrderWord) => ("about" in value ? { ...value, about: { ...value.about, payload: [...value.about.payload] } } : value);
      assert.deepEqual(structuredClone(plain(read)), structuredClone(plain(each)));
    }), { numRuns: 1_000 });
  });

  it("are read or refused for any bytes, any truncation and any changed byte", () => {
    const reads = (bytes: Uint8Array) => {
      try {
        decodeOrder(bytes);
      } catch (error) {
        assert.ok(isTribuneError(error, "PROTOCOL_VIOLATION"), String(error));
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), reads), { numRuns: 5_000 });
    fc.assert(fc.property(word, fc.nat(), fc.nat(255), (each, where, value) => {
      const bytes = new Uint8Array(encodeOrder(each));
      reads(bytes.map((byte, n) => (n === where % bytes.length ? value : byte)));
      reads(bytes.subarray(0, where % bytes.length));
    }), { numRuns: 3_000 });
  });
});
