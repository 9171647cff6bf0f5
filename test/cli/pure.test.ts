import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { duration } from "../../src/cli/duration.ts";
import { checkRows } from "../../src/cli/demo/play.ts";
import { failureLine } from "../../src/cli/failure.ts";
import { grantLeftMs } from "../../src/cli/lead/guard-protocol.ts";
import { guardStep, KILL_MARGIN_MS, SMALLEST_STOP_BUDGET_MS, stopWithinMs } from "../../src/cli/lead/guard-step.ts";
import type { Watch } from "../../src/cli/lead/guard-step.ts";
import { processState } from "../../src/cli/lead/process-group.ts";
import { fit, safeJson, safeText } from "../../src/cli/safe-text.ts";
import { Secrets } from "../../src/cli/secrets.ts";
import { table } from "../../src/cli/table.ts";
import { TribuneError } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";

// oxlint-disable-next-line no-control-regex
const ACTS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

describe("text for a terminal", () => {
  it("nothing in it acts upon the terminal, whatever it was", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        assert.doesNotMatch(safeText(text), ACTS);
      }),
    );
  });

  it("ordinary text stays as it is", () => {
    assert.equal(safeText("Müller 日本 ok"), "Müller 日本 ok");
    assert.equal(safeText("a\u001b[31mb\u009bc\u202ed"), "a\\u001b[31mb\\u009bc\\u202ed");
  });

  it("JSON keeps its value, and does not act upon the terminal either", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ unit: "binary" }), (value, text) => {
        const written = safeJson({ value, text });
        assert.doesNotMatch(written, ACTS);
        assert.deepEqual(JSON.parse(written), JSON.parse(JSON.stringify({ value, text })));
      }),
    );
  });

  it("a cut text has the width asked for", () => {
    assert.equal(fit("abcdef", 4), "abc…");
    assert.equal(fit("abcd", 4), "abcd");
  });

  it("a table's columns are aligned, paint does not count, and empty columns are left out", () => {
    const lines = table(["NAME", "ROLE", "N"], [
      [{ text: "a", paint: (text) => `<${text}>` }, "", "1"],
      ["bcdef", "", "22"],
    ]);
    assert.deepEqual(lines, ["NAME   N", "<a>      1", "bcdef  22"]);
  });

  it("durations read well at every size", () => {
    assert.deepEqual([0, 999, 1_000, 59_949, 60_000, 200_000, 3_600_000, 7_500_000, 90_000_000].map(duration), ["0 ms", "999 ms", "1.0 s", "59.9 s", "1 min", "3 min 20 s", "1 h", "2 h 5 min", "1 d 1 h"]);
  });
});

describe("secrets", () => {
  it("the password of a URL is not in what is printed, however the URL turns up", () => {
    const secrets = new Secrets();
    for (const text of ["postgres://me:geheim@db/x", "unknown command 'postgres://me:ge@heim@db/x'", "see postgres://db/x?user=a&password=geheim&ssl=1 now"]) {
      assert.doesNotMatch(secrets.redact(text), /geheim|heim@/, text);
    }
    assert.equal(secrets.redact("postgres://me@db/x is fine, and so is a://b"), "postgres://me@db/x is fine, and so is a://b");
  });

  it("a password that it was told of is found anywhere, as it stood and decoded", () => {
    const secrets = new Secrets();
    secrets.learn("postgres://me:ge%40heim@db/x?sslpassword=tief");
    assert.equal(secrets.redact("refused ge@heim, ge%40heim and tief"), "refused ***, *** and ***");
  });

  it("no password of letters and digits survives in a URL", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9%@!._-]{6,20}$/), (password) => {
        const secrets = new Secrets();
        const url = `postgres://user:${password}@host/db`;
        secrets.learn(url);
        assert.ok(!secrets.redact(`opening ${url} failed`).includes(password));
      }),
    );
  });
});

describe("the line that an error is", () => {
  it("has code, what, about what, and what to do next, on one line", () => {
    assert.equal(failureLine(new TribuneError("NOT_HELD", "nobody\n holds it", { about: "scheduler", next: "wait" })), "error NOT_HELD: nobody holds it, about scheduler, wait");
  });

  it("does not name twice what the message names", () => {
    assert.equal(failureLine(new TribuneError("NOT_HELD", "nobody holds scheduler", { about: "scheduler" })), "error NOT_HELD: nobody holds scheduler");
  });
});

describe("the guard's decision", () => {
  const watch = (over: Partial<Watch> = {}): Watch => ({ trustEndMs: 2_000, stopEndMs: undefined, stopBudgetMs: 500, asked: false, ...over });

  it("waits while there is trust, asks one stop budget before its end, and kills before it", () => {
    assert.deepEqual(guardStep(watch(), 0), { kind: "wait", ms: 1_500 });
    assert.deepEqual(guardStep(watch(), 1_500), { kind: "ask" });
    assert.deepEqual(guardStep(watch({ asked: true }), 1_500), { kind: "wait", ms: 500 - KILL_MARGIN_MS });
    assert.deepEqual(guardStep(watch({ asked: true }), 2_000 - KILL_MARGIN_MS), { kind: "kill", why: "trust" });
  });

  it("kills at the end of the time given for stopping, although there is trust", () => {
    assert.deepEqual(guardStep(watch({ asked: true, stopEndMs: 300 }), 299), { kind: "wait", ms: 1 });
    assert.deepEqual(guardStep(watch({ asked: true, stopEndMs: 300 }), 300), { kind: "kill", why: "stop" });
  });

  it("kills at once what it finds overdue", () => {
    assert.equal(guardStep(watch(), 60_000).kind, "kill");
  });

  it("followed step by step, it never lets a command live up to the end of the trust, and never waits without end", () => {
    const times = fc.integer({ min: 0, max: 20_000 });
    fc.assert(
      fc.property(times, times, fc.option(times, { nil: undefined }), fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: 40 }), (nowMs, trustMs, stopMs, stopBudgetMs, lateMs) => {
        let watch: Watch = { trustEndMs: nowMs + trustMs, stopEndMs: stopMs === undefined ? undefined : nowMs + stopMs, stopBudgetMs, asked: stopMs !== undefined };
        for (let steps = 0; steps < 5; steps++) {
          const step = guardStep(watch, nowMs);
          if (step.kind === "kill") {
            assert.ok(nowMs < watch.trustEndMs || trustMs < KILL_MARGIN_MS, `killed at ${nowMs}, trust until ${watch.trustEndMs}`);
            return;
          }
          if (step.kind === "ask") watch = { ...watch, asked: true };
          else {
            assert.ok(step.ms > 0);
            nowMs += step.ms + lateMs;
          }
        }
        assert.fail("it did not kill within five steps");
      }),
    );
  });

  it("the time for stopping ends before the stop budget and before the trust", () => {
    fc.assert(
      fc.property(fc.double({ min: SMALLEST_STOP_BUDGET_MS, max: 60_000, noNaN: true }), fc.double({ min: 0, max: 60_000, noNaN: true }), (budgetMs, trustMs) => {
        const withinMs = stopWithinMs(budgetMs, trustMs);
        assert.ok(withinMs >= 0 && (withinMs === 0 || withinMs <= Math.min(budgetMs, trustMs) - KILL_MARGIN_MS));
      }),
    );
    assert.ok(stopWithinMs(SMALLEST_STOP_BUDGET_MS, 1_000) > 0, "the smallest budget leaves some time");
  });

  it("a grant that lay unread is worth less, and one from the future no more", () => {
    const grant = { leftMs: 1_000, sentWallMs: 50_000 };
    assert.deepEqual([grantLeftMs(grant, 50_000), grantLeftMs(grant, 50_400), grantLeftMs(grant, 40_000)], [1_000, 600, 1_000]);
  });

  it("reads state and group of a process, whatever its name is", () => {
    assert.deepEqual(processState("123 (node) S 1 123 123 0 -1"), { state: "S", groupId: 123 });
    assert.deepEqual(processState("9 (a) Z (b) c) Z 1 77 5 0"), { state: "Z", groupId: 77 });
  });
});

describe("the demo's last check", () => {
  const rows = [
    { entry: 1, token: "4294967296", node: "ada" },
    { entry: 2, token: "4294967297", node: "ben" },
  ];

  it("passes what was written, and nothing else", () => {
    checkRows(rows, rows);
    const stale = { entry: 999, token: "4294967296", node: "ada" };
    assert.throws(() => checkRows([...rows, stale], rows), /exactly what was written/);
    assert.throws(() => checkRows(rows.slice(1), rows), /exactly what was written/);
    assert.throws(() => checkRows([rows[1], rows[0]].map((row, index) => ({ ...(row as (typeof rows)[number]), entry: index })), [rows[1], rows[0]].map((row, index) => ({ ...(row as (typeof rows)[number]), entry: index }))), /never decrease/);
  });
});
