import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../src/kernel/index.ts";
import {
  checkHistory,
  CHECKS,
  COORDINATOR_OFFICE,
  cuts,
  deadLeaveTheView,
  FENCING_CHECKS,
  gaps,
  HistoryWriter,
  hostMonotonicMs,
  LIVENESS_CHECKS,
  mergeHistories,
  parseHistory,
  pauses,
  PROCESS_CHECKS,
  reigns,
  runningIsNotDeclaredDead,
  SAFETY_CHECKS,
  settleBoundMs,
  SIMULATION_CHECKS,
} from "../../src/testing/history/index.ts";
import type { CheckName, History, HistoryEvent } from "../../src/testing/history/index.ts";
import { CASES, CONFIG } from "./history-cases.ts";
import { deadStillInView, gapsBetween, runningDeclaredDead } from "./history-plainly.ts";
import { longHistory } from "./long-history.ts";

describe("the checks of a history", () => {
  for (const [name, check] of Object.entries(CHECKS)) {
    const { good, bad } = CASES[name as CheckName];
    describe(name, () => {
      it("is tried on at least three good and three bad histories", () => {
        assert.ok(Object.keys(good).length >= 3 && Object.keys(bad).length >= 3);
      });
      for (const [title, history] of Object.entries(good)) {
        it(`accepts: ${title}`, () => assert.deepEqual(check(deepFreeze(history), CONFIG), []));
      }
      for (const [title, { history, says, times = 1 }] of Object.entries(bad)) {
        it(`refuses: ${title}`, () => {
          const found = check(deepFreeze(history), CONFIG);
          assert.equal(found.length, times);
          for (const violation of found) {
            assert.equal(violation.check, name);
            assert.match(violation.message, says);
            assert.ok(violation.evidence.length > 0);
          }
          assert.ok(checkHistory(history, CONFIG).length >= times, "checkHistory runs it, too");
        });
      }
    });
  }
});

describe("the checks together", () => {
  const history = longHistory({ nodes: 4, durationMs: 120_000, believesEveryMs: 500, writesEveryMs: 500 });

  it("accept a long history of a group that keeps its promises, with all that a simulation sees", () => {
    assert.deepEqual([...new Set(history.events.map((event) => event.kind))].filter((kind) => ["granted", "published", "failed-over", "record-read", "quiet", "faults-ended"].includes(kind)).length, 6);
    assert.deepEqual(checkHistory(deepFreeze(history), CONFIG, SIMULATION_CHECKS), []);
  });

  it("accept the same history as real processes write it, without all that", () => {
    assert.deepEqual(checkHistory(deepFreeze(asProcessesWriteIt(history)), { ...CONFIG, slackMs: 2_000 }), []);
  });

  it("each find what is turned round in it, in whatever part of it", () => {
    const backwards = { events: history.events.map((event, index) => ({ ...event, t: history.events.at(-1 - index)?.t ?? 0 })).reverse(), rows: history.rows };
    const finders = new Set(checkHistory(backwards, CONFIG, SIMULATION_CHECKS).map((violation) => violation.check));
    for (const name of ["tokensGrow", "grantedTokensGrow", "viewsGrow", "viewsPublishedInOrder", "changesToldOnce", "deadNeverActs", "recordIsGapFree"]) assert.ok(finders.has(name), name);
  });

  it("are run by name, and what they find is in the order of time", () => {
    const { history: broken } = CASES.tokensGrow.bad["a smaller token later"] ?? assert.fail();
    assert.deepEqual(checkHistory(broken, CONFIG, ["viewsAgree"]), []);
    assert.equal(checkHistory(broken, CONFIG, ["viewsAgree", "tokensGrow"]).length, 1);
    const twice = checkHistory({ events: [...broken.events, ...CASES.idleWritesNothing.bad["looks"]?.history.events ?? []].reverse(), rows: [] }, CONFIG);
    assert.deepEqual(twice.map((violation) => violation.atMs), twice.map((violation) => violation.atMs).sort((x, y) => x - y));
  });

  it("are each of safety or of liveness, and in a set for processes or for simulations", () => {
    const all = Object.keys(CHECKS).sort();
    assert.deepEqual([...SAFETY_CHECKS, ...LIVENESS_CHECKS].sort(), all);
    assert.deepEqual([...new Set([...PROCESS_CHECKS, ...SIMULATION_CHECKS])].sort(), all);
    for (const name of FENCING_CHECKS) assert.ok(SIMULATION_CHECKS.includes(name) && SAFETY_CHECKS.includes(name), name);
  });

  it("give the end of faults the bound that is asked for", () => {
    assert.equal(settleBoundMs(CONFIG), 10_000);
    assert.equal(settleBoundMs({ ...CONFIG, settleMs: 700 }), 700);
    const { history: late } = CASES.comesRight.bad["a leader a little too late"] ?? assert.fail();
    assert.deepEqual(checkHistory(late, { ...CONFIG, settleMs: 10_001 }, ["comesRight"]), []);
  });
});

describe("the quick ways", () => {
  it("say of any history what the plain ways say", () => {
    const found = { running: 0, still: 0, gaps: 0 };
    for (let seed = 1; seed <= 400; seed++) {
      const history = anyHistory(seed);
      const config = { leaseMs: 10, beatMs: 2, slackMs: 3 };
      const running = runningIsNotDeclaredDead(history, config);
      assert.deepEqual(running.map(({ message, atMs }) => `${/incarnation (\S+)/.exec(message)?.[1]} at ${atMs}`), runningDeclaredDead(history, config), `seed ${seed}`);
      const still = deadLeaveTheView(history, config);
      assert.deepEqual(still.map(({ message }) => message.replace(/ was killed .* (\d+) ms later/, " after $1")), deadStillInView(history, config), `seed ${seed}`);
      for (const office of ["work", COORDINATOR_OFFICE]) {
        const between = gapsBetween(history.events, reigns(history.events, office));
        assert.deepEqual(gaps(history.events, office), between, `seed ${seed}`);
        found.gaps += between.length;
      }
      found.running += running.length;
      found.still += still.length;
    }
    assert.ok(found.running > 20 && found.still > 5 && found.gaps > 100, `too little of it is found to prove anything: ${JSON.stringify(found)}`);
  });
});

describe("reigns and gaps", () => {
  const event = (t: number, kind: string, more: object = {}) => ({ t, process: "a", node: "a", incarnation: "i", kind, ...more }) as unknown as HistoryEvent;

  it("leave out the times in which the holder did not run", () => {
    const events = [event(0, "announced", { election: "work", token: 1 }), event(10, "paused"), event(20, "resumed"), event(30, "ended", { election: "work", token: 1 }), event(50, "joined")];
    assert.deepEqual(reigns(events, "work").map(({ fromMs, toMs }) => [fromMs, toMs]), [[0, 10], [20, 30]]);
    assert.deepEqual(gaps(events, "work").map(({ fromMs, toMs, open }) => [fromMs, toMs, open]), [[10, 20, false], [30, 50, true]]);
  });

  it("count a pause within a pause as one", () => {
    const events = [event(0, "announced", { election: "work", token: 1 }), event(10, "paused"), event(12, "paused"), event(15, "resumed"), event(20, "resumed"), event(30, "joined")];
    assert.deepEqual(reigns(events, "work").map(({ fromMs, toMs }) => [fromMs, toMs]), [[0, 10], [20, 30]]);
  });

  it("begin, for the coordinator, with the first view that anybody saw of it", () => {
    const named = (t: number, version: number) => event(t, "view", { process: "b", version, members: [], coordinator: "i" });
    const events = [named(5, 1), event(10, "announced", { election: COORDINATOR_OFFICE, token: 1 }), named(20, 1), named(30, 2), named(40, 2), event(50, "ended", { election: COORDINATOR_OFFICE, token: 1 })];
    assert.deepEqual(reigns(events, COORDINATOR_OFFICE).map(({ fromMs, toMs }) => [fromMs, toMs]), [[30, 50]]);
  });

  it("stand beside the times in which a process stood still or was cut off", () => {
    const other = { process: "b" };
    const events = [event(0, "paused"), event(1, "cut-off", other), event(2, "cut-off"), event(5, "resumed"), event(6, "resumed", other), event(7, "mended"), event(8, "cut-off"), event(9, "paused")];
    assert.deepEqual(pauses(events, "a", 20), [{ fromMs: 0, toMs: 5 }, { fromMs: 9, toMs: 20 }]);
    assert.deepEqual(cuts(events, "a", 20), [{ fromMs: 2, toMs: 7 }, { fromMs: 8, toMs: 20 }]);
    assert.deepEqual(cuts(events, "b", 20), [{ fromMs: 1, toMs: 20 }]);
    assert.deepEqual(pauses(events, "c", 20), []);
  });

  it("tell when the store came back", () => {
    const events = [event(0, "announced", { election: "work", token: 1 }), event(5, "outage-began"), event(10, "ended", { election: "work", token: 1 }), event(40, "outage-ended"), event(60, "announced", { election: "work", token: 2 })];
    assert.deepEqual(gaps(events, "work"), [{ fromMs: 10, toMs: 60, open: false, storeBackMs: 40 }]);
  });
});

describe("the files of a history", () => {
  it("are read back as they were written, each event saying whose it is", () => {
    const lines: string[] = [];
    let now = 1;
    let incarnation = "";
    const writer = new HistoryWriter({ process: "a#1", node: "a", incarnation: () => incarnation, nowMs: () => now++, write: (line) => lines.push(line) });
    writer.note({ kind: "started" });
    incarnation = "i1";
    writer.note({ kind: "believes", election: "work", token: 7, t: 0.5 });
    assert.deepEqual(parseHistory(lines.join("")), [
      { t: 1, process: "a#1", node: "a", incarnation: "", kind: "started" },
      { t: 0.5, process: "a#1", node: "a", incarnation: "i1", kind: "believes", election: "work", token: 7 },
    ]);
  });

  it("may end in the middle of a line, as a kill leaves them", () => {
    assert.equal(parseHistory('{"t":1,"kind":"started"}\n{"t":2,"ki').length, 1);
  });

  it("are refused, by name and line, where anything else is wrong", () => {
    assert.throws(() => parseHistory('{"t":1,"kind":"started"}\nnonsense\n', "a.jsonl"), /a\.jsonl:2 is not JSON/);
    assert.throws(() => parseHistory('{"kind":"started"}\n', "a.jsonl"), /a\.jsonl:1 is not an event/);
  });

  it("are merged by time, and keep each file's order where times are equal", () => {
    const one = parseHistory('{"t":1,"kind":"started"}\n{"t":3,"kind":"paused"}\n{"t":3,"kind":"resumed"}\n');
    const other = parseHistory('{"t":2,"kind":"killed"}\n');
    assert.deepEqual(mergeHistories([one, other]).events.map((each) => each.kind), ["started", "killed", "paused", "resumed"]);
  });

  it("take their time from a clock that all processes of the host share", async () => {
    const { execFile } = await import("node:child_process");
    const before = hostMonotonicMs();
    const there = await new Promise<number>((resolve, reject) => {
      execFile(process.execPath, ["-e", "console.log(Number(process.hrtime.bigint()) / 1e6)"], (error, stdout) => (error === null ? resolve(Number(stdout)) : reject(error)));
    });
    assert.ok(before <= there && there <= hostMonotonicMs());
  });
});

/** Without what only a simulation sees; the table has no rows that were lost, and nobody was told that they were written. */
function asProcessesWriteIt({ events, rows }: History): History {
  const unseen: readonly HistoryEvent["kind"][] = ["granted", "published", "failed-over", "work-began", "work-settled", "coordinator-told", "record-read", "quiet", "faults-ended"];
  const lost = new Set(rows.filter((row) => row.lostMs !== undefined).map((row) => row.write));
  const without = (thing: object, names: readonly string[]) => Object.fromEntries(Object.entries(thing).filter(([name]) => !names.includes(name)));
  return {
    events: events
      .filter((event) => !unseen.includes(event.kind) && !(event.kind === "wrote" && lost.has(event.write)))
      .map((event) => without(event, ["joined", "left", "silentMs", "leaseMs", "alive", "silent", "held"]) as unknown as HistoryEvent),
    rows: rows.filter((row) => row.lostMs === undefined).map((row) => without(row, ["committedMs"]) as unknown as History["rows"][number]),
  };
}

/** Anything at any time, much of it at the same time, whether it makes sense or not. */
function anyHistory(seed: number): History {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random.next() * limit);
  const kinds = ["joined", "announced", "announced", "ended", "view", "view", "view", "declared-dead", "told", "paused", "resumed", "cut-off", "mended", "killed", "exited", "outage-began", "outage-ended"];
  const lengthMs = 5 + below(150);
  const events = Array.from({ length: below(120) }, () => {
    const process = `p${below(3)}`;
    return {
      t: below(lengthMs),
      process,
      node: process,
      incarnation: random.next() < 0.9 ? `${process}-i` : "",
      kind: kinds[below(kinds.length)],
      election: random.next() < 0.5 ? "work" : COORDINATOR_OFFICE,
      token: below(6),
      version: below(12),
      members: [0, 1, 2].filter(() => random.next() < 0.5).map((index) => ({ node: `p${index}`, incarnation: `p${index}-i`, metadata: {} })),
      coordinator: `p${below(3)}-i`,
      dead: `p${below(3)}-i`,
      what: random.next() < 0.5 ? "lost" : "rejoined",
    } as unknown as HistoryEvent;
  });
  return mergeHistories([events]);
}

/** A check changes nothing in what it judges. */
function deepFreeze<Thing>(thing: Thing): Thing {
  if (typeof thing === "object" && thing !== null && !Object.isFrozen(thing)) for (const inner of Object.values(Object.freeze(thing))) deepFreeze(inner);
  return thing;
}
