import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom, silentLogger } from "../../src/kernel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { Connection } from "../../src/transport/connection.ts";
import { HEADER_BYTES, PIECE, writeHeader, writeUint32 } from "../../src/transport/frames.ts";
import { DEFAULT_LINK_OPTIONS, MemoryNetwork } from "../../src/transport/index.ts";
import type { Endpoint, KnownPeer, LinkOptions } from "../../src/transport/index.ts";
import { NO_HANDLERS } from "../../src/transport/wire.ts";
import type { Wire } from "../../src/transport/wire.ts";

/** A wire that notes what is done to it. */
function notedWire(): { readonly wire: Wire; readonly deeds: string[] } {
  const deeds: string[] = [];
  const wire: Wire = {
    remote: "there",
    security: { protocol: "none", provedBy: null, version: 0 },
    handlers: NO_HANDLERS,
    write: (buffer, release) => {
      deeds.push(`write ${buffer[4]}`);
      release?.();
      return true;
    },
    end: () => void deeds.push("end"),
    destroy: () => void deeds.push("destroy"),
  };
  return { wire, deeds };
}

describe("a connection that says goodbye", () => {
  it("writes nothing behind its end, whatever it is still asked", async () => {
    const { wire, deeds } = notedWire();
    const connection = new Connection({
      wire,
      number: 1,
      id: "c",
      peerLimits: DEFAULT_LINK_OPTIONS,
      settings: DEFAULT_LINK_OPTIONS,
      clock: new VirtualClock(),
      counts: { framesSent: 0, framesReceived: 0, bytesSent: 0, bytesReceived: 0, connections: 0 },
      hooks: { frame() {}, ended() {} },
    });
    connection.send(1, Uint8Array.of(7));
    connection.finish();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(deeds, [`write ${PIECE.whole}`, `write ${PIECE.bye}`, "end"]);
    const ping = new Uint8Array(HEADER_BYTES + 4);
    writeUint32(ping, writeHeader(ping, 0, PIECE.ping, 0, 4), 1);
    wire.handlers.data(ping);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(deeds, [`write ${PIECE.whole}`, `write ${PIECE.bye}`, "end"]);
  });
});

describe("a connection on which nothing is said", () => {
  it("carries a beat in each beatMs, so that it stays however patient each side is", async () => {
    const clock = new VirtualClock();
    const network = new MemoryNetwork({ clock, random: seededRandom(3), latencyMs: { min: 1, max: 40 } });
    const view = new Map<string, KnownPeer>();
    const told: string[] = [];
    const open = async (node: string, options: LinkOptions): Promise<Endpoint> => {
      const endpoint = await network.transport(options).open({
        group: "g",
        node,
        incarnation: node,
        known: (incarnation) => view.get(incarnation),
        handlers: { up: () => void told.push("up"), down: ({ reason }) => void told.push(reason), unreachable() {}, frame() {} },
        clock,
        random: seededRandom(4),
        logger: silentLogger,
        deadlineMs: 1_000,
      });
      view.set(node, { node, incarnation: node, address: endpoint.address });
      return endpoint;
    };
    // The slow one's beats are what the other one's patience goes by; and the shortest patience that is allowed.
    const a = await open("a", { beatMs: 1_000, silenceMs: 2_000 });
    await clock.advance(970); // so that what b says arrives now before, now behind the moment at which a looks
    const b = await open("b", { beatMs: 3_000, silenceMs: 6_000 });
    a.link({ node: "b", incarnation: "b" });
    await clock.advance(1_000);
    assert.deepEqual(told, ["up", "up"]);
    const [beforeA, beforeB] = [network.bytes("a", "b"), network.bytes("b", "a")];
    await clock.advance(60_000);
    assert.deepEqual(told, ["up", "up"]);
    const [fromA, fromB] = [network.bytes("a", "b") - beforeA, network.bytes("b", "a") - beforeB];
    assert.ok(fromA >= 59 * HEADER_BYTES && fromB >= 19 * HEADER_BYTES, `${fromA} and ${fromB} bytes`);
    for (const endpoint of [a, b]) endpoint.destroy(new Error("the test is over"));
  });
});
