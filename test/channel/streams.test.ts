import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Moved } from "../../src/channel/index.ts";
import type { StreamOptions } from "../../src/channel/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { Members } from "./members.ts";
import type { TestMember } from "./members.ts";

type Three = [TestMember, TestMember, TestMember];

/** All values of a stream, and what ended it. */
async function taken(member: TestMember, value: unknown, options: StreamOptions = {}, each: (value: unknown) => unknown = () => undefined): Promise<{ readonly values: unknown[]; readonly end: unknown }> {
  const values: unknown[] = [];
  try {
    for await (const reply of member.channel.stream("rows", value, options)) {
      values.push(reply.value());
      if ((await each(values.at(-1))) === "enough") break;
    }
    return { values, end: "end" };
  } catch (error) {
    return { values, end: isTribuneError(error, "STREAM_BROKEN") ? error.cause : isTribuneError(error) ? error.code : error };
  }
}

describe("a stream of replies", () => {
  const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1);

  it("gives what the generator gives, in order, to its end, over connections that break", async () => {
    for (let seed = 320; seed < 326; seed++) {
      const members = new Members(seed, { maxRetries: 1_000 });
      const [a, b] = (await members.start(2)) as Three;
      b.channel.respond("rows", async function* (request) {
        for (const n of upTo(request.value() as number)) {
          await new Promise<void>((resolve) => void members.clock.setTimer(members.random.next() * 50, resolve));
          if (members.random.next() < 0.1) members.network.break("node-1", "node-2", members.random.next() < 0.5 ? "lost" : "arrive");
          yield n;
        }
      });
      assert.deepEqual(await members.outcome(taken(a, 100, { window: 4 }), 200_000), { values: upTo(100), end: "end" });
      assert.deepEqual(await members.outcome(taken(a, 0)), { values: [], end: "end" });
    }
  });

  it("ends for both, without a deadline, whatever word about it is given up", async () => {
    let broken = 0;
    for (let seed = 340; seed < 352; seed++) {
      const members = new Members(seed, { maxRetries: 0 });
      const [a, b] = (await members.start(2)) as Three;
      let [begun, ended] = [0, 0];
      b.channel.respond(
        "rows",
        async function* () {
          begun++;
          try {
            for (const n of upTo(40)) {
              await new Promise<void>((resolve) => void members.clock.setTimer(members.random.next() * 5, resolve));
              yield n;
            }
          } finally {
            ended++;
          }
        },
        { concurrency: 1 },
      );
      const breaking = members.clock.setTimer(20, function again() {
        members.network.break("node-1", "node-2", "lost");
        if (members.clock.monotonicMs() < 3_000) members.clock.setTimer(10 + members.random.next() * 200, again);
      });
      const { values, end } = await members.outcome(taken(a, 0, { window: 1 + Math.floor(members.random.next() * 3) }, (n) => (seed % 3 === 0 && (n as number) > 20 ? "enough" : "more")), 200_000);
      breaking.cancel();
      assert.deepEqual(values, upTo(values.length), `seed ${seed}`);
      if (end !== "end") broken++;
      else assert.ok(values.length === 40 || seed % 3 === 0, `seed ${seed}`);
      await members.clock.advance(10_000);
      assert.equal(ended, begun, `seed ${seed}: the generator has ended`);
      assert.deepEqual((await members.outcome(taken(a, 0), 200_000)).values, upTo(40), `seed ${seed}: there is room for another one`);
    }
    assert.ok(broken > 0);
  });

  it("is ended where it is given when it was asked for, and only the word that this had come was lost", async () => {
    const members = new Members(338, { maxRetries: 0 });
    const [a, b] = (await members.start(2)) as Three;
    const states: string[] = [];
    b.channel.respond("rows", async function* () {
      states.push("begun");
      try {
        for (;;) yield 1;
      } finally {
        states.push("ended");
      }
    });
    members.network.cut("node-2", "node-1");
    const taking = taken(a, 0, { window: 2 });
    await members.clock.advance(100);
    assert.deepEqual(states, ["begun"]);
    members.network.break("node-1", "node-2", "lost");
    members.network.heal("node-2", "node-1");
    const { end } = await members.outcome(taking);
    assert.equal((end as { readonly code?: string }).code, "PEER_UNREACHABLE");
    await members.clock.advance(5_000);
    assert.deepEqual(states, ["begun", "ended"]);
  });

  it("goes on, or is ended, when the word about that is lost with its connection, and may not be sent again", async () => {
    const members = new Members(339, { maxRetries: 0 });
    const [a, b] = (await members.start(2)) as Three;
    let ended = 0;
    b.channel.respond("rows", async function* () {
      try {
        for (const n of upTo(4)) yield n;
      } finally {
        ended++;
      }
    });
    const { network, clock } = members;
    /** What node-1 says from now on, until the connection breaks, is lost with it. */
    const losing = async (work: () => Promise<unknown>) => {
      network.cut("node-1", "node-2");
      await members.outcome(work());
      await clock.advance(1);
      network.break("node-1", "node-2", "lost");
      network.heal("node-1", "node-2");
    };
    for (const enough of [4, 2]) {
      const stream = a.channel.stream("rows", 0, { window: 1 });
      assert.equal((await members.outcome(stream.next())).value?.value(), 1);
      for (let n = 2; n <= enough; n++) {
        await clock.advance(5_000); // it has come, and its giver knows
        const next = stream.next();
        await losing(() => next);
        assert.equal((await next).value?.value(), n);
      }
      await clock.advance(5_000);
      await losing(() => stream.return());
      await clock.advance(5_000);
    }
    assert.equal(ended, 2);
  });

  it("is told of its handler's failure after all replies before that, or of the one that is missing", async () => {
    let [missing, whole] = [0, 0];
    for (let seed = 360; seed < 384; seed++) {
      const members = new Members(seed, { maxRetries: 0 });
      const [a, b] = (await members.start(2)) as Three;
      b.channel.respond("rows", async function* () {
        for (const n of upTo(8)) {
          await new Promise<void>((resolve) => void members.clock.setTimer(members.random.next() * 5, resolve));
          yield n;
        }
        throw new RangeError("no more");
      });
      const breaking = members.clock.setTimer(5 + members.random.next() * 30, function again() {
        members.network.break("node-1", "node-2", "lost");
      });
      const { values, end } = await members.outcome(taken(a, 0, { window: 8 }), 200_000);
      breaking.cancel();
      const { code } = end as { readonly code: string };
      assert.deepEqual(values, upTo(values.length), `seed ${seed}`);
      if (code === "PEER_UNREACHABLE") missing++;
      else {
        assert.equal(values.length, 8, `seed ${seed}: ${code} after ${values.length}`);
        whole++;
      }
    }
    assert.ok(missing > 0 && whole > 0, `${missing} missing, ${whole} whole`);
  });

  it("goes no faster than it is taken: no more are made than the window has room for", async () => {
    const members = new Members(330);
    const [a, b] = (await members.start(2)) as Three;
    let made = 0;
    b.channel.respond("rows", async function* () {
      for (;;) yield ++made;
    });
    const stream = a.channel.stream("rows", 0, { window: 8 });
    const take = async () => (await members.outcome(stream.next())).value?.value();
    assert.equal(await take(), 1);
    await members.clock.advance(5_000);
    assert.ok(made <= 9, `${made} were made`);
    for (let n = 2; n <= 50; n++) assert.equal(await take(), n);
    await members.clock.advance(5_000);
    assert.ok(made <= 58, `${made} were made`);
    await members.outcome(stream.return());
  });

  it("is ended at the handler when it is left, its signal aborts, its deadline comes, or its requester leaves", async () => {
    for (const how of ["left", "signal", "deadline", "member"] as const) {
      const members = new Members(331);
      const [a, b] = (await members.start(2)) as Three;
      const seen: string[] = [];
      b.channel.respond("rows", async function* ({ signal }) {
        signal.addEventListener("abort", () => seen.push("aborted"));
        try {
          for (let n = 1; ; n++) {
            yield n;
            await new Promise<void>((resolve) => void members.clock.setTimer(100, resolve));
          }
        } finally {
          seen.push("ended");
        }
      });
      const abort = new AbortController();
      const taking = taken(a, 0, { signal: abort.signal, ...(how === "deadline" ? { deadlineMs: 550 } : {}) }, (value) => {
        if (value !== 3) return undefined;
        if (how === "signal") abort.abort();
        if (how === "member") members.publish([b]);
        return how === "left" ? "enough" : undefined;
      });
      if (how === "member") await members.clock.advance(1_000); // who is no member any more is not told so by others
      else {
        const { values, end } = await members.outcome(taking);
        assert.deepEqual(end, { left: "end", signal: "ABORTED", deadline: { status: "timeout" } }[how]);
        assert.ok(values.length >= 3 && values.length <= 7, how);
      }
      await members.clock.advance(1_000);
      assert.deepEqual(seen.toSorted(), ["aborted", "ended"], how);
    }
  });

  it("that breaks says how, after everything that came before", async () => {
    const members = new Members(332);
    const [a, b, c] = (await members.start(3)) as Three;
    b.channel.respond("rows", async function* () {
      yield* [1, 2];
      throw Object.assign(new Error("no more paper"), { code: "OUT_OF_PAPER" });
    });
    c.channel.respond("rows", async function* () {
      yield 1;
      await new Promise(() => undefined);
    });
    assert.deepEqual(await members.outcome(taken(a, 0, { to: ["node-2"] })), { values: [1, 2], end: { status: "failed", code: "OUT_OF_PAPER", message: "no more paper" } });
    const waiting = taken(a, 0, { to: ["node-3"] });
    await members.clock.advance(500);
    members.publish([a, b]);
    assert.deepEqual(await members.outcome(waiting), { values: [1], end: { status: "left" } });
    assert.deepEqual(await members.outcome(taken(a, 0, { to: ["node-3"] })), { values: [], end: { status: "left" } });
    assert.deepEqual(await members.outcome(taken(a, 0, { to: ["node-2", "node-3"] })), { values: [], end: "INVALID_OPTIONS" });
  });

  it("is one reply where the handler gives a value, counts for its concurrency, and is refused to who asks for one reply", async () => {
    const members = new Members(333);
    const [a, b] = (await members.start(2)) as Three;
    const stop = b.channel.respond("rows", () => "one", { concurrency: 1 });
    assert.deepEqual(await members.outcome(taken(a, 0)), { values: ["one"], end: "end" });
    stop();
    b.channel.respond("rows", async function* () {
      yield 1;
      yield 2;
    }, { concurrency: 1 });
    const { replies } = await members.outcome(a.channel.request("rows", 0));
    assert.deepEqual([...replies.values()].map((reply) => (reply.status === "failed" ? reply.code : reply)), ["PAYLOAD_INVALID"]);
    const first = a.channel.stream("rows", 0, { window: 1 });
    await members.outcome(first.next());
    const { end } = await members.outcome(taken(a, 0));
    assert.equal((end as { code?: unknown }).code, "BUSY");
    await members.outcome(first.return());
    await members.clock.advance(100);
    assert.deepEqual(await members.outcome(taken(a, 0)), { values: [1, 2], end: "end" });
  });

  it("is followed to where Moved says, before its first reply, and comes from this member as from any other", async () => {
    const members = new Members(334);
    const [a, b, c] = (await members.start(3)) as Three;
    b.channel.respond("rows", () => {
      throw new Moved({ member: "node-3", version: 2 });
    });
    c.channel.respond("rows", async function* ({ from }) {
      yield from.node;
    });
    assert.deepEqual(await members.outcome(taken(a, 0, { to: ["node-2"] })), { values: ["node-1"], end: "end" });
    assert.deepEqual(await members.outcome(taken(c, 0, { to: ["node-3"] })), { values: ["node-3"], end: "end" });
  });
});
