import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { whoGivesWay } from "../../src/transport/giving-way.ts";

const of = (...remotes: readonly string[]) => whoGivesWay(remotes.map((remote) => [remote, remote] as const));

describe("who gives way", () => {
  it("is the oldest of the host that has the most", () => {
    assert.equal(of("10.0.0.1:1", "10.0.0.9:1", "10.0.0.9:2", "10.0.0.2:1"), "10.0.0.9:1");
    assert.equal(of("[fd00::1]:1", "[fd00::2]:7", "[fd00::2]:8"), "[fd00::2]:7");
  });

  it("is the oldest of all where none has more than another", () => {
    assert.equal(of("10.0.0.1:1", "10.0.0.2:1"), "10.0.0.1:1");
    assert.equal(of("here", "there"), "here");
    assert.equal(of(), undefined);
  });
});
