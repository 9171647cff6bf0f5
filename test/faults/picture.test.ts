import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HistoryEvent } from "../../src/testing/history/index.ts";
import { pictureOf } from "./picture.ts";
import type { RunRecord } from "./record.ts";

const RECORD: RunRecord = {
  storeKind: "postgres",
  seed: 9,
  world: "a <world>",
  store: "a store",
  crashDetection: "evidence",
  nodes: ["a", "b"],
  elections: ["work"],
  config: { leaseMs: 2_000, beatMs: 500 },
  spans: [
    { kind: "kill", targets: ["a"], fromMs: 2_000, toMs: 2_500, settledMs: 4_000, within: undefined },
    { kind: "delay", targets: ["a", "b"], fromMs: 5_000, toMs: 9_000, settledMs: 9_000, within: undefined },
  ],
  onlyFencing: [],
  calm: { fromMs: 9_000, toMs: 10_000 },
  complaints: [],
  leftOut: {},
  remarks: {},
  tookMs: 10_000,
};

const of = (node: string, process = `${node}.1`) => ({ process, node, incarnation: `i-${node}` });
const believing = (node: string, token: number, fromMs: number, toMs: number): HistoryEvent[] =>
  Array.from({ length: (toMs - fromMs) / 100 + 1 }, (_, index) => ({ t: fromMs + index * 100, ...of(node), kind: "believes", election: "work", token }));

const EVENTS: HistoryEvent[] = [
  ...(["a", "b"] as const).map((node): HistoryEvent => ({ t: 0, ...of(node), kind: "started" })),
  ...believing("a", 1, 100, 1_900),
  { t: 2_000, ...of("a"), kind: "killed" },
  { t: 2_600, ...of("a", "a.2"), kind: "started" },
  ...believing("b", 2, 3_000, 4_000),
  { t: 4_050, ...of("b"), kind: "paused", cause: "SIGSTOP" },
  { t: 5_000, ...of("b"), kind: "resumed", cause: "SIGSTOP" },
  ...believing("b", 2, 5_000, 9_000),
  { t: 9_500, ...of("b"), kind: "cut-off", how: "cut both" },
  { t: 10_000, ...of("b"), kind: "mended" },
].sort((x, y) => x.t - y.t) as HistoryEvent[];

describe("the picture of a run of faults", () => {
  const svg = pictureOf(EVENTS, RECORD);
  const titles = [...svg.matchAll(/<title>([^<]*)<\/title>/g)].map((match) => match[1]);

  it("shows who believed to lead, in stretches", () => {
    assert.deepEqual(
      titles.filter((title) => title?.includes("believed")),
      ["a.1 believed to lead work with token 1: 0.10 s to 1.90 s", "b.1 believed to lead work with token 2: 3.00 s to 4.00 s", "b.1 believed to lead work with token 2: 5.00 s to 9.00 s"],
    );
  });

  it("shows who was gone, stood still, or was cut off", () => {
    assert.ok(titles.includes("a did not run: 2.00 s to 2.60 s"), titles.join("\n"));
    assert.ok(titles.includes("b.1 stood still: 4.05 s to 5.00 s"));
    assert.ok(titles.includes("b.1 could not reach the store, or badly: 9.50 s to 10.00 s"));
  });

  it("shows each fault with its name, and whom it met", () => {
    assert.ok(titles.includes("kill: 2.00 s to 2.50 s; a"));
    assert.match(svg, />kill a<\/text>/);
    assert.match(svg, />delay<\/text>/);
  });

  it("is well-formed where names are not", () => {
    assert.match(svg, /a &lt;world&gt;/);
    assert.equal(svg.match(/<svg/g)?.length, 1);
    assert.equal((svg.match(/<text/g) ?? []).length, (svg.match(/<\/text>/g) ?? []).length);
    assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
  });

  it("can be drawn of nothing at all", () => {
    assert.doesNotMatch(pictureOf([], { ...RECORD, spans: [] }), /NaN|undefined|Infinity/);
  });
});
