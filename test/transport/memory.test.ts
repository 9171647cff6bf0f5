import { describe, it } from "node:test";
import { seededRandom, systemClock } from "../../src/kernel/index.ts";
import { transportConformance } from "../../src/testing/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";
import { rawPeer } from "./raw-peer.ts";

transportConformance({
  name: "the network in memory",
  describe,
  it,
  place: () => {
    const network = new MemoryNetwork({ clock: systemClock, random: seededRandom(1) });
    return {
      transport: (_node, options) => network.transport(options),
      reset: (a, b) => network.break(a, b),
      cut: async (a, b) => {
        for (const [from, to] of [[a, b], [b, a]] as const) network.cut(from, to);
        return async () => {
          for (const [from, to] of [[a, b], [b, a]] as const) network.heal(from, to);
        };
      },
      dial: async (address) => rawPeer(await network.dial("a stranger", address, { deadlineMs: 5_000 })),
    };
  },
});
