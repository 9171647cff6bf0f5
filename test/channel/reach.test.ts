import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeReach, encodeReach, withOwnReport } from "../../src/channel/index.ts";
import type { ReachReports } from "../../src/channel/index.ts";
import { LARGEST_DOCUMENT_BYTES } from "../../src/store/index.ts";

const NOBODY: ReachReports = new Map();
const unreached = (...incarnations: string[]) => incarnations.map((incarnation) => ({ incarnation, sinceMs: 1_000 }));

describe("reports of who cannot be reached", () => {
  it("are read as they were written", () => {
    const reports = withOwnReport(NOBODY, { incarnation: "i", node: "n", unreached: unreached("j") }, new Set(["i", "j"]));
    assert.deepEqual(decodeReach(encodeReach(reports)), new Map([["i", { node: "n", unreached: [{ incarnation: "j", sinceMs: 1_000 }], more: 0 }]]));
  });

  it("lose those of members that are gone, and this member's own when all is well again", () => {
    const members = new Set(["i", "j"]);
    const both = withOwnReport(withOwnReport(NOBODY, { incarnation: "i", node: "n", unreached: unreached("j") }, members), { incarnation: "j", node: "m", unreached: unreached("i") }, members);
    assert.deepEqual([...both.keys()], ["i", "j"]);
    assert.deepEqual([...withOwnReport(both, { incarnation: "i", node: "n", unreached: [] }, members).keys()], ["j"]);
    assert.deepEqual([...withOwnReport(both, { incarnation: "j", node: "m", unreached: unreached("k") }, new Set(["j", "k"])).keys()], ["j"]);
  });

  it("of a thousand members that have all lost half of the others have room in a document", () => {
    const members = Array.from({ length: 1_000 }, (_, n) => n.toString(16).padStart(32, "0"));
    const own = { incarnation: members[0] ?? "", node: "n".repeat(40), unreached: members.slice(500).map((incarnation) => ({ incarnation, sinceMs: 1_764_000_000_000 })) };
    const report = withOwnReport(NOBODY, own, new Set(members)).get(own.incarnation);
    assert.ok(report !== undefined);
    const text = encodeReach(new Map(members.map((incarnation) => [incarnation, report])));
    assert.ok(Buffer.byteLength(text) <= LARGEST_DOCUMENT_BYTES, `${Buffer.byteLength(text)} bytes`);
    assert.deepEqual([report.unreached.length, report.more], [8, 492]);
  });

  it("that are not readable say nothing", () => {
    for (const text of ["", "null", "[1]", '{"i":1}', '{"i":{"node":"n","more":0,"unreached":[["j",1e300]]}}', '{"i":{"node":"n","more":0.5,"unreached":[]}}', '{"i":{"node":"n","more":0,"unreached":[[1]]}}']) assert.equal(decodeReach(text).size, 0, text);
  });
});
