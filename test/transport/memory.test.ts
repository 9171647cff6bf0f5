import { describe, it } from "node:test";
import { seededRandom, systemClock } from "../../src/kernel/index.ts";
import { transportConformance } from "../../src/testing/index.ts";
import type { RawPeer } from "../../src/testing/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";

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
      dial: (address) => rawPeer(network, address),
    };
  },
});

async function rawPeer(network: MemoryNetwork, address: string): Promise<RawPeer> {
  const wire = await network.dial("a stranger", address, { deadlineMs: 5_000 });
  let received = Buffer.alloc(0);
  let isClosed = false;
  let waiting: Array<() => void> = [];
  const wake = () => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  wire.handlers = {
    data: (chunk) => {
      received = Buffer.concat([received, chunk]);
      wake();
    },
    drained() {},
    closed: () => {
      isClosed = true;
      wake();
    },
  };
  return {
    write: (bytes) => void wire.write(bytes),
    received: () => received,
    changed: () => new Promise((resolve) => waiting.push(resolve)),
    get isClosed() {
      return isClosed;
    },
    destroy: () => wire.destroy(),
  };
}
