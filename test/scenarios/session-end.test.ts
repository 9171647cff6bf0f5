import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { World } from "../support/world.ts";

describe("a session that holds evidence and ends", () => {
  it("ends the trust for good, also where a beat's answer and the end arrive together", async () => {
    const world = new World();
    const a = world.node("a", { crashDetection: "evidence" });
    await world.resolve(a.cluster.start(), 20_000);
    const joined = a.cluster.self.incarnation;
    let lost = 0;
    a.cluster.on("lost", () => (lost += 1));
    a.endWithAnswer("beat");
    await world.until(() => lost > 0, 2_000);
    assert.equal(a.cluster.health().trustLeftMs, 0, "an answer on a session that has ended counts for nothing");
    const tookMs = await world.until(() => a.cluster.health().trustLeftMs > 0, 2_000);
    assert.ok(tookMs < 300, `another session is opened at once, not with the next beat: ${tookMs} ms`);
    assert.equal(a.cluster.self.incarnation, joined);
  });
});
