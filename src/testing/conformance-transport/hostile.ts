import assert from "node:assert/strict";
import { encodeHello, helloFor } from "./speech.ts";
import type { RawPeer } from "./place.ts";
import { bytesOf } from "./scene.ts";
import type { TestNode, TransportCase, TransportScene } from "./scene.ts";

/** Somebody with the right key who speaks bytes of its own: each is cut off, one line is logged, and nobody else notices. */
export const hostileCases: readonly TransportCase[] = [
  {
    title: "random bytes, other protocols and broken handshakes close their connection, with one coded line for each reason, and disturb nobody",
    async run(scene) {
      const [a, b] = await scene.pair();
      const hello = encodeHello(helloFor(await impostor(scene, a), a));
      const inputs: Uint8Array[] = [
        Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"),
        Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]),
        Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]),
        hello.map((byte, at) => (at >= 6 && at < 10 ? 0xff : byte)), // a length of 4 GiB
        hello.map((byte, at) => (at === 10 ? 99 : byte)),
        hello.map((byte, at) => (at === 12 ? 255 : byte)),
        new Uint8Array([...hello, 1]), // something before the welcome
      ];
      for (let n = 0; n < 40; n++) inputs.push(Uint8Array.from({ length: 64 }, () => Math.floor(scene.random.next() * 256)).with(0, 0));
      for (const input of inputs) {
        const raw = await scene.raw(a.endpoint.address);
        raw.write(input);
        await scene.until("it is closed", () => raw.isClosed, raw);
      }
      assert.equal(a.endpoint.counts.refused.malformed, inputs.length);
      assert.deepEqual(a.logged.filter(({ fields }) => fields["reason"] === "malformed").length, 1, "one line");
      assert.deepEqual(a.codes(), ["PEER_REFUSED"]);
      await undisturbed(a, b);
    },
  },
  {
    title: "every truncation of a valid handshake, and then the end, leaves nothing behind",
    async run(scene) {
      const [a, b] = await scene.pair();
      const hello = encodeHello(helloFor(await impostor(scene, a), a));
      for (let length = 0; length < hello.length; length += length < 30 ? 1 : 7) {
        const raw = await scene.raw(a.endpoint.address);
        raw.write(hello.subarray(0, length));
        raw.destroy();
      }
      await scene.until("all are gone", () => a.endpoint.counts.halfOpen === 0, a);
      assert.deepEqual(a.endpoint.links.length, 1);
      await undisturbed(a, b);
    },
  },
  {
    title: "who does not say whose it is in time is cut off, also when it goes on saying a little",
    async run(scene) {
      const a = await scene.node({ options: { connectMs: 300 } });
      const hello = encodeHello(helloFor(await impostor(scene, a), a));
      const [mute, slow] = [await scene.raw(a.endpoint.address), await scene.raw(a.endpoint.address)];
      const dripping = async () => {
        for (let at = 0; at < hello.length && !slow.isClosed; at++) {
          slow.write(hello.subarray(at, at + 1));
          await Promise.race([slow.changed(), new Promise<void>((resolve) => void scene.clock.setTimer(20, resolve))]);
        }
      };
      await dripping();
      for (const raw of [mute, slow]) await scene.until("it is closed", () => raw.isClosed, raw);
      assert.equal(a.endpoint.counts.refused.slow, 2);
      assert.deepEqual([a.endpoint.counts.halfOpen, a.codes()], [0, ["PEER_REFUSED"]]);
    },
  },
  {
    title: "hundreds of connections that say nothing are bounded, and members still connect",
    async run(scene) {
      const a = await scene.node({ options: { maxHalfOpen: 20 } });
      const beganMs = scene.clock.monotonicMs();
      const crowd: RawPeer[] = [];
      for (let n = 0; n < 400; n++) {
        crowd.push(await scene.raw(a.endpoint.address));
        assert.ok(a.endpoint.counts.halfOpen <= 40, String(a.endpoint.counts.halfOpen));
      }
      await scene.until("most of them are closed", () => crowd.filter((raw) => raw.isClosed).length >= 400 - 40, a);
      const b = await scene.node();
      await b.connect(a);
      assert.ok(a.endpoint.counts.refused.crowded >= 300, JSON.stringify(a.endpoint.counts.refused));
      assert.ok(a.codes().length <= 1 + (scene.clock.monotonicMs() - beganMs) / 10_000, "one line in ten seconds");
      await undisturbed(a, b);
    },
  },
  {
    title: "a member that breaks the format or a limit loses its connection, and only it",
    async run(scene) {
      const [a, b] = await scene.pair();
      const broken: ReadonlyArray<readonly [string, readonly number[]]> = [
        ["a length of 4 GiB", [0xff, 0xff, 0xff, 0xff, 16, 1]],
        ["an unknown type", [0, 0, 0, 0, 200, 0]],
        ["a second handshake", [0, 0, 0, 1, 1, 0, 0]],
        ["a further piece of nothing", [0, 0, 0, 1, 18, 1, 7]],
        ["credit for what was not sent", [0, 0, 0, 4, 19, 1, 0, 0, 1, 0]],
        ["a frame of 4 GiB in pieces", [0, 0, 0x40, 4, 17, 1, 0xff, 0xff, 0xff, 0xff, ...new Uint8Array(16_384)]],
        ["random bytes", Array.from({ length: 60 }, (_, n) => (n * 7919 + 200) & 255)],
      ];
      for (const [what, bytes] of broken) {
        const { raw, incarnation } = await member(scene, a);
        raw.write(Uint8Array.from(bytes));
        await scene.until(`${what} is cut off`, () => raw.isClosed, raw);
        await a.until("it is told", () => a.told.some((each) => each.kind === "down" && each.link.peer.incarnation === incarnation && each.reason === "protocol"));
        scene.nobodyKnows(incarnation);
      }
      await undisturbed(a, b);
    },
  },
  {
    title: "a member that sends more than its window lets it is cut off",
    async run(scene) {
      const a = await scene.node({ options: { windowBytes: 64 * 1024 } });
      a.consumes = false;
      const { raw } = await member(scene, a);
      const frame = Uint8Array.from([0, 0, 0x40, 0, 16, 1, ...bytesOf(16_384)]);
      for (let n = 0; n < 6; n++) raw.write(frame);
      await scene.until("it is cut off", () => raw.isClosed, raw);
      assert.ok(a.frames.length <= 4, String(a.frames.length));
    },
  },
  {
    title: "a handshake that is said again while its connection stands is refused, and the connection stays",
    async run(scene) {
      const a = await scene.node();
      const { raw, hello } = await member(scene, a);
      const again = await scene.raw(a.endpoint.address);
      again.write(hello);
      await scene.until("it is closed", () => again.isClosed, again);
      assert.deepEqual([a.endpoint.counts.refused.duplicate, a.connections(), raw.isClosed], [1, ["up 1"], false]);
    },
  },
];

/** The connection between two members, before and after somebody else misbehaved. */
async function undisturbed(a: TestNode, b: TestNode): Promise<void> {
  const before = b.frames.length;
  const link = a.endpoint.links.find((each) => each.peer.incarnation === b.identity.incarnation);
  assert.equal(link?.send(1, bytesOf(100)), "queued");
  await b.until("a frame comes", () => b.frames.length === before + 1);
  assert.deepEqual(b.connections(), ["up 1"]);
}

/** A member of the view that has no endpoint: the case speaks for it. */
async function impostor(scene: TransportScene, self: TestNode): Promise<{ node: string; incarnation: string; address: string; group: string }> {
  const identity = { node: `speaker-${scene.random.id().slice(0, 8)}`, incarnation: scene.random.id(), address: "nowhere:1", group: scene.group };
  self.view.set(identity.incarnation, identity);
  return identity;
}

/** A member that has said its hello, and was welcomed. */
async function member(scene: TransportScene, self: TestNode): Promise<{ raw: RawPeer; incarnation: string; hello: Uint8Array }> {
  const identity = await impostor(scene, self);
  const raw = await scene.raw(self.endpoint.address);
  const hello = encodeHello(helloFor(identity, self));
  raw.write(hello);
  await self.until("it is welcomed", () => self.told.some((each) => each.kind === "up" && each.link.peer.incarnation === identity.incarnation));
  await scene.until("the welcome has come", () => raw.received().length > 0, raw);
  return { raw, incarnation: identity.incarnation, hello };
}
