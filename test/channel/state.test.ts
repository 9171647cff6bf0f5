import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { afterRound, giverOrder } from "../../src/channel/index.ts";
import type { SharedState, StateOptions, StatePage, StateProgress } from "../../src/channel/index.ts";
import { decodePage, decodeWanted, encodePage, encodeWanted } from "../../src/channel/state-words.ts";
import { isTribuneError, seededRandom } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";
import { bytes, Members, text } from "./members.ts";
import type { TestMember } from "./members.ts";

type Three = [TestMember, TestMember, TestMember];

const key = (n: number) => String(n).padStart(6, "0");

/** Entries by key, in pages of some; each page takes its time. */
class Entries implements SharedState {
  readonly entries = new Map<string, string>();
  readonly #members: Members;
  readonly #pageSize: number;
  applied = 0;
  ended = 0;
  pageMs = 0;

  constructor(members: Members, count: number, pageSize = 10) {
    this.#members = members;
    this.#pageSize = pageSize;
    for (let n = 0; n < count; n++) this.entries.set(key(n), `value ${n}`);
  }

  async *snapshot(after: string, signal: AbortSignal): AsyncIterable<StatePage> {
    try {
      const keys = [...this.entries.keys()].toSorted().filter((each) => each > after);
      for (let at = 0; at < keys.length && !signal.aborted; at += this.#pageSize) {
        const page = keys.slice(at, at + this.#pageSize);
        const pageMs = this.pageMs;
        if (pageMs > 0) await new Promise<void>((resolve) => void this.#members.clock.setTimer(pageMs, resolve));
        yield { bytes: Buffer.from(JSON.stringify(page.map((each) => [each, this.entries.get(each)]))), cursor: page.at(-1) ?? "" };
      }
    } finally {
      this.ended++;
    }
  }

  apply({ bytes }: StatePage): void {
    this.applied++;
    for (const [each, value] of JSON.parse(text(bytes)) as Array<[string, string]>) {
      assert.equal(this.entries.has(each), false, `${each} came twice`);
      this.entries.set(each, value);
    }
  }
}

async function three(seed: number, count: number, options: StateOptions = {}, pageSize = 10): Promise<{ readonly members: Members; readonly all: Three; readonly states: [Entries, Entries, Entries] }> {
  const members = new Members(seed);
  const all = (await members.start(3)) as Three;
  const states: [Entries, Entries, Entries] = [new Entries(members, count, pageSize), new Entries(members, count, pageSize), new Entries(members, 0, pageSize)];
  for (const [n, { channel }] of all.entries()) channel.state("cache", states[n] as Entries, options);
  // The first two are members of some standing: alone, one after the other, there was nothing that they could have got.
  for (const each of [all[0], all[1]]) {
    each.channel.setView({ version: 1, members: [each], coordinator: null });
    await members.outcome(each.channel.obtainStates({ deadlineMs: 1_000 }));
  }
  members.publish();
  await members.clock.advanceUntil(() => members.isWhole(), 10_000, "everybody is connected");
  return { members, all, states };
}

describe("a state", () => {
  it("comes to a joiner from the oldest member, page by page, with progress", async () => {
    const { members, all, states } = await three(71, 95);
    const progress: StateProgress[] = [];
    all[2].channel.on("state", (event) => void progress.push(event));
    const [report] = await members.outcome(all[2].channel.obtainStates({ deadlineMs: 60_000 }));
    assert.deepEqual([report?.state, report?.from, report?.pages], ["cache", ["node-1"], 10]);
    assert.deepEqual([...states[2].entries], [...states[0].entries]);
    assert.deepEqual(progress.map(({ from, pages }) => `${from} ${pages}`), Array.from({ length: 10 }, (_, n) => `node-1 ${n + 1}`));
    assert.equal(progress.at(-1)?.bytes, report?.bytes);
    assert.deepEqual([states[0].ended, states[1].ended], [1, 0]);
    assert.deepEqual(await members.outcome(all[2].channel.obtainStates({ deadlineMs: 1_000 })).then(([again]) => again?.pages), 0, "it has it");
  });

  it("goes on with another member, where it stopped, when the giver dies half-way", async () => {
    const { members, all, states } = await three(72, 200);
    states[0].pageMs = 100;
    const obtaining = all[2].channel.obtainStates({ deadlineMs: 60_000 });
    await members.clock.advanceUntil(() => states[2].applied === 7, 5_000, "some of it came");
    members.network.bar("node-1", "node-3");
    members.network.bar("node-3", "node-1");
    members.publish([all[1], all[2]]);
    const [report] = await members.outcome(obtaining);
    assert.deepEqual([report?.from, report?.pages], [["node-1", "node-2"], 20]);
    assert.deepEqual([...states[2].entries], [...states[1].entries]);
  });

  it("loses no page to a giver that is too slow and is asked again later", async () => {
    const { members, all, states } = await three(73, 100, { pageMs: 300, pauseMs: 50 });
    // Both are slow now and then: pages come when nobody waits for them any more.
    let [asked, slow] = [0, 0];
    for (const each of [states[0], states[1]]) Object.defineProperty(each, "pageMs", { get: () => (asked++ % 3 === 1 && ++slow > 0 ? 400 : 20) });
    const [report] = await members.outcome(all[2].channel.obtainStates({ deadlineMs: 120_000 }), 120_000);
    assert.ok(slow > 1 && (report?.from.length ?? 0) > 1, `${slow} were slow`);
    assert.deepEqual([...states[2].entries], [...states[0].entries]);
  });

  it("loses no page to one that is asked again while it still makes the page that nobody waits for", async () => {
    const { members, all, states } = await three(78, 60, { pageMs: 300, pauseMs: 50 });
    members.publish([all[0], all[2]]); // nobody else gives it
    let asked = 0;
    Object.defineProperty(states[0], "pageMs", { get: () => (asked++ === 2 ? 400 : 20) });
    await members.outcome(all[2].channel.obtainStates({ deadlineMs: 60_000 }));
    assert.deepEqual([...states[2].entries], [...states[0].entries]);
  });

  it("comes over connections that break", async () => {
    for (let seed = 80; seed < 84; seed++) {
      const { members, all, states } = await three(seed, 300);
      states[0].pageMs = 10;
      states[1].pageMs = 10;
      const obtaining = all[2].channel.obtainStates({ deadlineMs: 120_000 });
      for (let n = 0; n < 10; n++) {
        await members.clock.advance(members.random.next() * 100);
        members.network.break("node-1", "node-3", members.random.next() < 0.5 ? "lost" : "arrive");
      }
      await members.outcome(obtaining, 120_000);
      assert.deepEqual([...states[2].entries], [...states[0].entries]);
    }
  });

  it("that nobody gives is asked for again, then missed; or at once; or begun without", async () => {
    for (const [whenNobody, expected] of [["retry", "STATE_UNAVAILABLE"], ["fail", "STATE_UNAVAILABLE"], ["empty", 0]] as const) {
      const members = new Members(74);
      const [, b] = (await members.start(2)) as Three; // the first one does not have it
      b.channel.state("cache", new Entries(members, 0), { whenNobody });
      const began = members.clock.monotonicMs();
      const outcome = await members.outcome(b.channel.obtainStates({ deadlineMs: 5_000 }).then(([report]) => report?.pages, (error: unknown) => (isTribuneError(error) ? error.code : error)));
      assert.deepEqual([outcome, members.clock.monotonicMs() - began >= 5_000], [expected, whenNobody === "retry"]);
    }
  });

  it("that is given in pages that are none is missed with what is wrong with them", async () => {
    for (const [page, wrong] of [[{ bytes: bytes("x"), cursor: 5 }, /the cursor 5/], [{ bytes: bytes("x") }, /the cursor undefined/], [{ bytes: "x", cursor: "x" }, /no bytes/]] as const) {
      const { members, all, states } = await three(78, 1);
      for (const giver of states) giver.snapshot = async function* () {
        yield page as unknown as StatePage;
      };
      await assert.rejects(members.outcome(all[2].channel.obtainStates({ deadlineMs: 5_000 })), (error) => isTribuneError(error, "STATE_UNAVAILABLE") && /node-[12] failed last, with INVALID_OPTIONS/.test(error.message) && wrong.test(error.message) && /snapshot/.test(error.next ?? ""));
    }
  });

  it("is begun by the oldest of members that start together, and comes to the others from it", async () => {
    const members = new Members(75);
    const all = await members.start(3);
    const states = all.map(() => new Entries(members, 0));
    for (const [n, { channel }] of all.entries()) channel.state("cache", states[n] as Entries);
    states[0]?.entries.set(key(1), "its own");
    const reports = await members.outcome(Promise.all(all.map(({ channel }) => channel.obtainStates({ deadlineMs: 10_000 }))));
    assert.deepEqual(reports.flat().map(({ from }) => from.slice(0, 1)).slice(0, 1), [[]]);
    for (const each of states) assert.deepEqual([...each.entries], [[key(1), "its own"]]);
  });

  it("is not obtained when a page cannot be applied, or its caller gives up", async () => {
    const { members, all, states } = await three(76, 50);
    states[2].apply = () => {
      throw new Error("no room");
    };
    await assert.rejects(members.outcome(all[2].channel.obtainStates({ deadlineMs: 5_000 })), /no room/);
    const { members: others, all: [, , joiner], states: [slow] } = await three(77, 50);
    slow.pageMs = 1_000;
    const abort = new AbortController();
    const obtaining = joiner.channel.obtainStates({ deadlineMs: 60_000, signal: abort.signal });
    const outcome = obtaining.catch((error: unknown) => isTribuneError(error, "ABORTED"));
    await others.clock.advance(500);
    abort.abort();
    assert.equal(await others.outcome(outcome), true);
  });
});

describe("a transfer of a state", () => {
  it("asks the oldest first, then the others in any order, each once", () => {
    const members = Array.from({ length: 6 }, (_, n) => ({ incarnation: `i${n}` }));
    const seen = new Set<string>();
    const random = seededRandom(1);
    for (let n = 0; n < 200; n++) {
      const order = giverOrder(members, "i3", random).map(({ incarnation }) => incarnation);
      assert.equal(order[0], "i0");
      assert.deepEqual(order.toSorted(), ["i0", "i1", "i2", "i4", "i5"]);
      seen.add(order.join());
    }
    assert.ok(seen.size > 10);
    assert.deepEqual(giverOrder(members.slice(0, 1), "i0", { next: () => 0 }), []);
  });

  it("begins without only where nobody can have it, or where that was asked for", () => {
    assert.equal(afterRound("retry", { answers: [], isOldest: true }), "empty");
    assert.equal(afterRound("retry", { answers: ["not-ready", "not-ready"], isOldest: true }), "empty");
    assert.equal(afterRound("retry", { answers: ["not-ready", "gave-nothing"], isOldest: true }), "again");
    assert.equal(afterRound("retry", { answers: ["not-ready"], isOldest: false }), "again");
    assert.equal(afterRound("fail", { answers: ["gave-nothing"], isOldest: true }), "fail");
    assert.equal(afterRound("empty", { answers: ["gave-nothing"], isOldest: false }), "empty");
  });

  it("has words that are read as they were written, and refused when they are none", () => {
    const violates = (error: unknown) => isTribuneError(error, "PROTOCOL_VIOLATION");
    fc.assert(fc.property(fc.string({ minLength: 1, unit: "grapheme", maxLength: 50 }), fc.uint8Array({ maxLength: 50 }), fc.stringMatching(/^[0-9a-f]{32}$/), (cursor, bytes, transfer) => {
      const page = decodePage(encodePage({ cursor, bytes }));
      assert.deepEqual([page?.cursor, new Uint8Array(page?.bytes ?? [])], [cursor, bytes]);
      assert.deepEqual(decodeWanted(encodeWanted({ transfer, after: cursor })), { transfer, after: cursor });
    }));
    assert.equal(decodePage(encodePage(undefined)), undefined);
    for (const bytes of [[], [1], [0, 0], [2, 0, 1, 65], [1, 0, 0], [1, 0, 9, 65], [1, 255, 255, 65]]) assert.throws(() => decodePage(Uint8Array.from(bytes)), violates, String(bytes));
    for (const length of [0, 15, 16 + 2_049]) assert.throws(() => decodeWanted(new Uint8Array(length)), violates);
    assert.throws(() => encodePage({ cursor: "", bytes: new Uint8Array() }), (error) => isTribuneError(error, "INVALID_OPTIONS"));
  });
});
