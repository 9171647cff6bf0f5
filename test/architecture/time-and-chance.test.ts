import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertNone } from "./complaints.ts";
import { lineAt, sourceOf, sourcesUnder } from "./source.ts";
import type { Source } from "./source.ts";

/** Where the process's own time and chance are read, to be handed to everybody else. */
const OWNERS = /^src\/(kernel|testing)\//;

/** Files that need raw time or chance all the same, each with the reason. Empty is best. */
const ALLOWED: Readonly<Record<string, string>> = {};

/** What to look for in code, and what to ask instead. */
const RAW: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\bDate\.now\b/g, "clock.wallMs()"],
  [/\bnew\s+Date\b/g, "isoTime(clock.wallMs())"],
  [/(?<!\bnew\s+)(?<![\w.$])Date\s*\(/g, "isoTime(clock.wallMs())"],
  [/\bperformance\b|\bprocess\.(?:hrtime|uptime)\b|\bTemporal\.Now\b/g, "clock.monotonicMs()"],
  [/(?<![\w.$#])set(?:Timeout|Interval|Immediate)\b|\bglobalThis\.set(?:Timeout|Interval|Immediate)\b|\bscheduler\.(?:wait|yield)\b/g, "clock.setTimer, or sleep(clock, …)"],
  [/\bAbortSignal\.timeout\b/g, "withDeadline"],
  [/\bMath\.random\b|\brandom(?:UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b/g, "random.next() or random.id()"],
];

describe("time and chance", () => {
  it("come from the clock and the random source that are handed in, everywhere but in the kernel and in testing", () => {
    const complaints = sourcesUnder("src")
      .filter((source) => !OWNERS.test(source.path) && ALLOWED[source.path] === undefined)
      .flatMap(rawUses);
    assertNone(complaints);
  });

  it("are on the allow-list only where they are used, for a reason", () => {
    const sources = new Map(sourcesUnder("src").map((source) => [source.path, source]));
    for (const [path, reason] of Object.entries(ALLOWED)) {
      const source = sources.get(path);
      assert.ok(source !== undefined && rawUses(source).length > 0, `${path} needs its place on the allow-list no more: remove it`);
      assert.ok(reason.length > 20, `${path} is on the allow-list without a reason`);
    }
  });

  it("are recognized in all their forms, and not where they are not", () => {
    for (const text of ["Date.now()", "new Date()", "new Date(row.at)", "new Date(clock.wallMs())", "+new Date", "Date()", "performance.now()", "process.hrtime.bigint()", "setTimeout(f, 1)", "await setImmediate()", "AbortSignal.timeout(1)", "Math.random()", "crypto.randomUUID()", `\`\${Date.now()}\``]) {
      assert.equal(rawUses(sourceOf("src/x.ts", text)).length, 1, text);
    }
    for (const text of ["isoTime(row.at)", "isoTime(clock.wallMs())", "clock.setTimer(1, f)", "// Date.now()", `"Math.random"`, "socket.setTimeout(0)", "clearTimeout(t)", "toDate(1)", "x as Date", "instanceof Date"]) {
      assert.deepEqual(rawUses(sourceOf("src/x.ts", text)), [], text);
    }
  });
});

function rawUses(source: Source): string[] {
  return RAW.flatMap(([pattern, instead]) =>
    [...source.code.matchAll(pattern)].map((match) => `${source.path}:${lineAt(source, match.index)} uses ${match[0].trim()}: ask ${instead} of the clock or random source that is handed in`),
  );
}
