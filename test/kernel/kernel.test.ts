import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backoffMs, checkName, Complaints, Elapsed, Events, isTribuneError, Lifecycle, LONGEST_NAME, nearest, nodeNameFrom, seededRandom, shown, TribuneError, withDeadline } from "../../src/kernel/index.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { fc } from "../support/properties.ts";

describe("Elapsed", () => {
  it("never runs more slowly than the monotonic clock, nor than sleep, whatever the wall clock does", async () => {
    const move = fc.record({ kind: fc.constantFrom("run", "sleep", "step"), ms: fc.integer({ min: 0, max: 20_000 }), back: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(move, { maxLength: 40 }), async (moves) => {
        const clock = new VirtualClock();
        const elapsed = new Elapsed(clock);
        const begin = elapsed.nowMs();
        let trueMs = 0;
        for (const { kind, ms, back } of moves) {
          if (kind === "step") clock.stepWall(back ? -ms : ms);
          else await clock.freeze(ms, { asleep: kind === "sleep" });
          if (kind !== "step") trueMs += ms;
          // Each sleep and step shorter than the noise may be missed, and nothing else.
          assert.ok(elapsed.nowMs() - begin >= trueMs - 25 * moves.length);
        }
      }),
    );
  });

  it("counts a sleep during which the wall clock was stepped back, by the boot clock", async () => {
    const clock = new VirtualClock();
    const elapsed = new Elapsed(clock);
    const begin = elapsed.nowMs();
    clock.stepWall(-9_000);
    await clock.freeze(5_000, { asleep: true });
    assert.ok(elapsed.nowMs() - begin >= 5_000);
  });

  it("does not drift while both clocks run", async () => {
    const clock = new VirtualClock();
    const elapsed = new Elapsed(clock);
    const begin = elapsed.nowMs();
    for (let i = 0; i < 1_000; i++) {
      await clock.advance(1);
      elapsed.nowMs();
    }
    assert.equal(elapsed.nowMs() - begin, 1_000);
  });
});

describe("Events", () => {
  it("calls listeners in order, isolates one that throws, and reports it", () => {
    const failures: string[] = [];
    const heard: string[] = [];
    const events = new Events<{ a: number }>((error, event) => failures.push(`${event}: ${(error as Error).message}`));
    events.on("a", (n) => heard.push(`first ${n}`));
    events.on("a", () => {
      throw new Error("no");
    });
    events.on("a", (n) => heard.push(`last ${n}`));
    events.emit("a", 1);
    assert.deepEqual(heard, ["first 1", "last 1"]);
    assert.deepEqual(failures, ["a: no"]);
  });

  it("delivers an event that a listener emits after the one it listens to, to everybody in the same order", () => {
    const heard: string[] = [];
    const events = new Events<{ a: number }>(() => undefined);
    events.on("a", (n) => {
      heard.push(`x${n}`);
      if (n === 1) events.emit("a", 2);
    });
    events.on("a", (n) => heard.push(`y${n}`));
    events.emit("a", 1);
    assert.deepEqual(heard, ["x1", "y1", "x2", "y2"]);
  });

  it("reports a listener whose promise rejects", async () => {
    const reported = new Promise<string>((resolve) => {
      const events = new Events<{ a: number }>((error) => resolve((error as Error).message));
      events.on("a", () => Promise.reject(new Error("later")));
      events.emit("a", 1);
    });
    assert.equal(await reported, "later");
  });
});

describe("Lifecycle", () => {
  it("starts once and stops once, however often it is asked", async () => {
    const log: string[] = [];
    const life = new Lifecycle("thing");
    const start = () => life.start(async () => void log.push("start"));
    const stop = () => life.stop(async () => void log.push("stop"));
    await Promise.all([start(), start()]);
    await Promise.all([stop(), stop()]);
    assert.deepEqual(log, ["start", "stop"]);
    assert.equal(life.state, "stopped");
  });

  it("a stop during a start aborts the start's signal, waits for it, and then runs", async () => {
    const log: string[] = [];
    const life = new Lifecycle("thing");
    const starting = life.start((signal) => new Promise<void>((resolve) => signal.addEventListener("abort", () => (log.push("aborted"), resolve()))));
    const stopping = life.stop(async () => void log.push("stop"));
    await assert.rejects(starting, { code: "CLUSTER_STOPPED" });
    await stopping;
    assert.deepEqual(log, ["aborted", "stop"]);
  });

  it("does not start after a stop, and a stop before any start is fine", async () => {
    const life = new Lifecycle("thing");
    await life.stop(() => Promise.resolve());
    await assert.rejects(life.start(() => Promise.resolve()), { code: "CLUSTER_STOPPED" });
  });
});

describe("withDeadline", () => {
  it("rejects by name when the time is up, and tells whoever has to end the work", async () => {
    const clock = new VirtualClock();
    let told: TribuneError | undefined;
    const waiting = withDeadline(new Promise(() => undefined), { clock, ms: 100, operation: "beat", onExpire: (error) => (told = error) });
    const rejected = assert.rejects(waiting, { code: "STORE_TIMEOUT", about: "beat" });
    await clock.advance(100);
    await rejected;
    assert.equal(told?.code, "STORE_TIMEOUT");
  });

  it("settles as the work does, and leaves no timer behind", async () => {
    const clock = new VirtualClock();
    let told = false;
    assert.equal(await withDeadline(Promise.resolve(7), { clock, ms: 100, operation: "x", onExpire: () => (told = true) }), 7);
    await clock.advance(200);
    assert.equal(told, false);
  });

  it("an aborted signal rejects with the signal's own coded reason", async () => {
    const reason = new TribuneError("STORE_SESSION_ENDED", "gone");
    await assert.rejects(withDeadline(new Promise(() => undefined), { clock: new VirtualClock(), ms: 100, operation: "x", signal: AbortSignal.abort(reason) }), reason);
  });
});

describe("names", () => {
  it("refuses what would not mean the same everywhere, without repeating it at length", () => {
    const bad = ["", ".", "..", "-x", "a b", "a/b", "a'b", 'a"b', "a\0b", "é", "😀", "a".repeat(10_240), "a\nb", "%2f", "a;b", "\u202eabc", 7, null, {}, Symbol("x")];
    for (const name of bad) {
      assert.throws(
        () => checkName("group", name),
        (error) => isTribuneError(error, "INVALID_NAME") && error.message.length < 300 && !/[\u0000-\u001f\u202e]/.test(error.message),
        typeof name === "symbol" ? "symbol" : JSON.stringify(name),
      );
    }
  });

  it("takes letters, digits, dot, underscore and hyphen", () => {
    for (const name of ["a", "billing-1", "x.y_z", "0", "A".repeat(LONGEST_NAME)]) assert.equal(checkName("node", name), name);
  });

  it("a node name made of any host name is a good name", () => {
    fc.assert(fc.property(fc.string({ maxLength: 300, unit: "binary" }), (host) => checkName("node", nodeNameFrom(host, "12345")).endsWith("-12345")));
  });
});

describe("options", () => {
  it("tells every complaint at once, and the nearest known name", () => {
    const complaints = new Complaints("things");
    complaints.unknownKeys({ leaseMS: 1, zzz: 2 }, ["leaseMs", "beatMs"]);
    complaints.milliseconds("beatMs", Number.NaN, { min: 1, max: 10 });
    assert.throws(
      () => complaints.throwIfAny(),
      (error) => isTribuneError(error, "INVALID_OPTIONS") && /did you mean leaseMs/.test(error.message) && /"zzz"/.test(error.message) && /beatMs must be/.test(error.message) && /these 3/.test(error.next ?? ""),
    );
  });

  it("finds a slip, and does not invent one", () => {
    assert.equal(nearest("postgre", ["postgres", "sqlite"]), "postgres");
    assert.equal(nearest("mongodb", ["postgres", "sqlite"]), undefined);
  });

  it("shows any value on one short line", () => {
    fc.assert(fc.property(fc.anything(), (value) => !/[\n\r\u001b\0]/.test(shown(value)) && shown(value).length < 800));
  });
});

describe("backoff", () => {
  it("grows to its ceiling and is never almost nothing", () => {
    const random = seededRandom(1);
    fc.assert(
      fc.property(fc.nat(1_000), (attempt) => {
        const ms = backoffMs(attempt, { firstMs: 50, longestMs: 1_000 }, random);
        return ms >= 25 && ms <= 1_000;
      }),
    );
  });
});

describe("TribuneError", () => {
  it("is known by its brand, and its JSON has neither stack nor cause", () => {
    const error = new TribuneError("STORE_FAILED", "x", { about: "y", next: "z", cause: new Error("secret") });
    assert.ok(isTribuneError(error));
    assert.ok(!isTribuneError(new Error("x")) && !isTribuneError(null) && !isTribuneError("STORE_FAILED"));
    assert.deepEqual(JSON.parse(JSON.stringify(error)), { code: "STORE_FAILED", message: "x", about: "y", next: "z", retryable: true });
  });
});
