import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TribuneError } from "../../src/kernel/index.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";

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

describe("a beat that the store refuses on a connection that is sound", () => {
  const refused = (code: "STORE_BUSY" | "STORE_READ_ONLY") => new TribuneError(code, "not now");

  async function joined(): Promise<{ readonly world: World; readonly node: Node }> {
    const world = new World();
    const node = world.node("a", { crashDetection: "evidence" });
    await world.resolve(node.cluster.start(), 20_000);
    return { world, node };
  }

  it("is sent again on it, so that neither the evidence nor the trust ends with it", async () => {
    const { world, node } = await joined();
    node.refuse("beat", refused("STORE_BUSY"));
    await world.until(() => node.log.includes("suspended"), 3_000);
    node.accept("beat");
    await world.until(() => node.log.includes("recovered"), 1_500);
    assert.deepEqual(node.log.filter((event) => event === "lost"), []);
    assert.ok(!node.asked.includes("destroy"), "the connection is the same");
  });

  it("ends the connection when the trust ends before the store takes one", async () => {
    const { world, node } = await joined();
    node.refuse("beat", refused("STORE_BUSY"));
    await world.until(() => node.log.includes("lost"), 5_000);
    await world.until(() => node.asked.includes("destroy"), 2_000);
    node.accept("beat");
    await world.until(() => node.log.includes("rejoined") || node.cluster.health().trustLeftMs > 0, 5_000);
  });

  it("ends the connection at once where another server may do better", async () => {
    const { world, node } = await joined();
    node.refuse("beat", refused("STORE_READ_ONLY"));
    await world.until(() => node.asked.includes("destroy"), 1_300);
  });
});

describe("evidence that looks free and is not, as the store says when it is asked to declare the death", () => {
  it("is asked for again after a pause, also where the store needs no grace", async () => {
    const world = new World();
    for (const name of ["a", "b", "c"]) {
      const { cluster } = world.node(name, { crashDetection: "evidence" });
      await world.resolve(cluster.start(), 20_000);
      void cluster.election("e").lead((term) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve())));
      await world.pass(1_500);
    }
    let asked = 0;
    world.store.engine.declareDead = () => {
      if ((asked += 1) > 1_000) throw new Error("asked all the time"); // or no time would pass any more
      return false;
    };
    world.nodes[0]?.cut();
    await world.pass(2_000);
    assert.ok(asked > 2 && asked < 100, `${asked} times in two seconds`);
  });
});
