import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../src/kernel/index.ts";
import { Network, SimulatedProcess, SimulatedWires, transportConformance } from "../../src/testing/index.ts";
import type { Site, TransportPlace } from "../../src/testing/index.ts";
import { Schedule } from "../../src/testing/simulation/schedule.ts";
import { randomStreams } from "../../src/testing/simulation/streams.ts";
import { DEFAULT_LINK_OPTIONS } from "../../src/transport/index.ts";
import type { Wire } from "../../src/transport/index.ts";
import { rawPeer } from "../transport/raw-peer.ts";
import { keepTimeGoing } from "./going-time.ts";

/** Whatever stands on them has to find what it finds on real sockets. */
describe("the wires of a simulation", () => {
  const { schedule, network, wires, site } = world(1);
  const machine = site("conformance").process;
  transportConformance({ name: "on them", describe, it, clock: machine, random: seededRandom(1), place });

  function place(): TransportPlace {
    const pump = keepTimeGoing(schedule);
    return {
      transport: (node, options) => wires.transport(site(node), { ...DEFAULT_LINK_OPTIONS, ...options }),
      reset: (a, b) => wires.reset(a, b, { told: "both", onTheirWay: "lost" }),
      cut: async (a, b) => {
        const heals = [network.link(a, b).cut(), network.link(b, a).cut()];
        return async () => {
          for (const heal of heals) heal();
        };
      },
      dial: async (address) => rawPeer(await wires.dial(site("a-stranger"), address, { deadlineMs: 5_000 })),
      close: async () => pump.stop(),
    };
  }
});

describe("a wire of a simulation", () => {
  it("carries what is written in order, in pieces, and nothing to a process that stands still", async () => {
    const scene = await pair(2);
    for (const byte of [1, 2, 3]) scene.near.write(Uint8Array.of(byte, byte));
    scene.to.process.freeze();
    scene.run();
    assert.deepEqual(scene.received, []);
    scene.to.process.resume(() => undefined);
    scene.run();
    assert.deepEqual(scene.received, [1, 1, 2, 2, 3, 3]);
  });

  it("is full where nobody reads, and tells when it is not", async () => {
    const scene = await pair(3);
    let drained = 0;
    scene.near.handlers = { data() {}, drained: () => void drained++, closed() {} };
    scene.to.process.freeze();
    let written = 0;
    while (scene.near.write(new Uint8Array(64 * 1024)) && written < 100) written++;
    scene.run();
    assert.ok(written >= 3 && written < 10 && drained === 0, `${written}`);
    scene.to.process.resume(() => undefined);
    scene.run();
    assert.equal(drained, 1);
  });

  for (const [told, ends] of [["both", ["near reset", "far reset"]], ["one", ["near reset"]], ["other", ["far reset"]]] as const) {
    it(`that the network resets tells ${told}, after what arrives, or loses it`, async () => {
      for (const onTheirWay of ["lost", "arrive"] as const) {
        const scene = await pair(4);
        scene.near.write(Uint8Array.of(7));
        scene.wires.reset(scene.from.node, scene.to.node, { told, onTheirWay });
        scene.near.write(Uint8Array.of(8));
        scene.run();
        assert.deepEqual(scene.received, onTheirWay === "lost" ? [] : [7]);
        assert.deepEqual(new Set(scene.ends), new Set<string>(ends));
      }
    });
  }

  it("to a process that is killed ends, or hears nothing more, by chance", async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 20; seed++) {
      const scene = await pair(seed);
      scene.to.process.kill();
      scene.wires.gone(scene.to.process);
      scene.near.write(Uint8Array.of(1));
      scene.run();
      assert.deepEqual(scene.received, []);
      seen.add(scene.ends.join());
    }
    assert.deepEqual(seen, new Set(["", "near reset"]));
  });
});

function world(seed: number) {
  const schedule = new Schedule();
  const streams = randomStreams(seed);
  const network = new Network(schedule, streams);
  const wires = new SimulatedWires(schedule, network, streams("wires"));
  let processes = 0;
  const site = (node: string): Site => ({ node, process: new SimulatedProcess(`${node}#${(processes += 1)}`, { rate: 1, wallMs: Date.UTC(2026, 0, 1), hasBootClock: true }, schedule, streams(node)) });
  return { schedule, network, wires, site };
}

/** Two processes, and a wire from one to the other. */
async function pair(seed: number) {
  const { schedule, wires, site } = world(seed);
  const [from, to] = [site("a"), site("b")];
  const received: number[] = [];
  const ends: string[] = [];
  const accept = (wire: Wire) => (wire.handlers = { data: (chunk) => void received.push(...chunk), drained() {}, closed: (reason) => void ends.push(`far ${reason}`) });
  const address = wires.listen(to, { accept, refused: () => assert.fail() }).address;
  const dialled: Wire[] = [];
  void wires.dial(from, address, { deadlineMs: 1_000 }).then((wire) => dialled.push(wire));
  while (dialled.length === 0 && schedule.next(1e9)) await Promise.resolve();
  const near = dialled[0] ?? assert.fail();
  near.handlers = { data() {}, drained() {}, closed: (reason) => void ends.push(`near ${reason}`) };
  return { wires, from, to, near, received, ends, run: () => all(schedule) };
}

function all(schedule: Schedule): void {
  while (schedule.next(Number.MAX_VALUE));
}
