import { describe, it } from "node:test";
import { seededRandom } from "../../src/kernel/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { Network, SimulatedProcess, SimulatedStore } from "../../src/testing/simulation/index.ts";
import { SimulatedProvider } from "../../src/testing/simulation/provider.ts";
import { Schedule } from "../../src/testing/simulation/schedule.ts";
import { randomStreams } from "../../src/testing/simulation/streams.ts";
import { storeConformance } from "../../src/testing/store-conformance.ts";
import type { StorePlace } from "../../src/testing/store-conformance.ts";
import { memoryTable } from "../store/memory-place.ts";
import { keepTimeGoing } from "./going-time.ts";

/**
 * The simulated store has to be as strict as a real one, or what it proves is worth nothing. One world for all cases, whose time goes on by itself while a case waits.
 */
const schedule = new Schedule();
const streams = randomStreams(1);
const store = new SimulatedStore({ schedule, network: new Network(schedule, streams), note: () => undefined });
const machine = new SimulatedProcess("conformance#1", { rate: 1, wallMs: Date.UTC(2026, 0, 1), hasBootClock: true }, schedule, streams("machine"));

storeConformance({ name: "the simulated store", describe, it, clock: machine, random: seededRandom(1), place: simulatedPlace });

function simulatedPlace(): StorePlace<MemoryTransaction> {
  const provider = new SimulatedProvider(store, { process: machine, node: "conformance", isPooled: false, incarnation: () => "", heard: () => undefined, answered: () => undefined, answersMs: () => [] }, { asksBelief: true, incarnationOf: () => "", wrote: () => undefined });
  const pump = keepTimeGoing(schedule);
  return {
    provider,
    table: memoryTable(provider, machine),
    newEpoch: async () => store.failOver({ told: true })(),
    hang: async () => {
      const release = store.hold();
      return async () => release();
    },
    cut: async () => store.endConnections(),
    close: async () => pump.stop(),
  };
}
