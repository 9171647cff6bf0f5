import assert from "node:assert/strict";
import { isTribuneError } from "../../kernel/index.ts";
import { bytesOf, PATIENTLY } from "./scene.ts";
import type { TransportCase } from "./scene.ts";

/** Making connections, losing them, ending them. */
export const linkCases: readonly TransportCase[] = [
  {
    title: "two members get one connection: each is told once, with the other's name, and both may use it",
    async run(scene) {
      const [a, b] = await scene.pair();
      for (const [self, peer] of [[a, b], [b, a]] as const) {
        assert.deepEqual(self.connections(), ["up 1"]);
        const [link] = self.endpoint.links;
        assert.ok(link !== undefined && self.endpoint.links.length === 1);
        assert.deepEqual([link.peer, link.state, link.connection, link.counts.connections], [peer.identity, "up", 1, 1]);
        assert.equal(self.link(peer), link, "the same link each time");
        assert.equal(link.send(1, bytesOf(10)), "queued");
        await peer.until("a frame comes", () => peer.frames.length === 1);
        assert.deepEqual([peer.frames[0]?.link.peer, peer.frames[0]?.connection, peer.frames[0]?.stream], [self.identity, 1, 1]);
      }
    },
  },
  {
    title: "when both dial at once, one connection remains, and frames go over it both ways",
    async run(scene) {
      for (let round = 0; round < 10; round++) {
        const [a, b] = [await scene.node(), await scene.node()];
        const links = [a.link(b), b.link(a)] as const;
        await a.until("it is up", () => links[0].state === "up");
        await b.until("it is up", () => links[1].state === "up");
        assert.equal(links[0].send(1, bytesOf(5)), "queued");
        assert.equal(links[1].send(1, bytesOf(5)), "queued");
        await a.until("a frame comes", () => a.frames.length === 1);
        await b.until("a frame comes", () => b.frames.length === 1);
        for (const node of [a, b]) assert.deepEqual(node.connections().length, 1, "one connection was made and none was lost");
      }
    },
  },
  {
    title: "a connection that the network resets is told of with its reason, and the next one comes by itself, with a larger number",
    async run(scene) {
      const reset = scene.need("reset");
      const [a, b] = await scene.pair({ firstPauseMs: 10 });
      for (let round = 1; round <= 3; round++) {
        await reset(a.identity.node, b.identity.node);
        for (const node of [a, b]) await node.until("it is up again", () => node.connections().length === 1 + 2 * round && node.endpoint.links[0]?.state === "up");
      }
      for (const node of [a, b]) {
        const numbers = node.told.filter((each) => each.kind === "up").map((each) => each.connection);
        assert.deepEqual(numbers, numbers.toSorted((x, y) => x - y));
        assert.equal(new Set(numbers).size, numbers.length);
        for (const [at, word] of node.connections().entries()) assert.match(word, at % 2 === 0 ? /^up/ : /^down \d+ (reset|replaced)$/);
      }
    },
  },
  {
    title: "no frame of a connection comes after its end was told, or before its beginning was",
    async run(scene) {
      const reset = scene.need("reset");
      const [a, b] = await scene.pair({ firstPauseMs: 5 });
      const link = a.link(b);
      let sent = 0;
      for (let round = 1; round <= 5; round++) {
        for (let n = 0; n < 200; n++) if (link.send(1 + (n % 3), bytesOf(1_000, sent)) === "queued") sent++;
        await reset(a.identity.node, b.identity.node);
        for (const node of [a, b]) await node.until("it is up again", () => node.connections().length >= 1 + 2 * round && node.endpoint.links[0]?.state === "up");
      }
      let open = 0;
      for (const each of b.told) {
        if (each.kind === "up") open = each.connection;
        else if (each.kind === "down") open = 0;
        else if (each.kind === "frame") assert.equal(each.connection, open);
      }
    },
  },
  {
    title: "a link that is closed ends in good order: what was queued arrives, the peer is told that it ended, and a new link can be asked for",
    async run(scene) {
      const [a, b] = await scene.pair();
      const link = a.link(b);
      for (let n = 0; n < 50; n++) link.send(1, bytesOf(5_000, n));
      link.close();
      assert.deepEqual([link.state, link.connection, link.send(1, bytesOf(1))], ["closed", 0, "down"]);
      await assert.rejects(link.writable(1, PATIENTLY), (error) => isTribuneError(error, "TRANSPORT_CLOSED"));
      await b.until("it has ended", () => b.connections().length >= 2);
      assert.equal(b.frames.length, 50);
      assert.deepEqual(a.connections().slice(0, 2), ["up 1", "down 1 closed"]);
      assert.deepEqual(b.connections().slice(0, 2), ["up 1", "down 1 ended"]);
      const next = await a.connect(b);
      assert.notEqual(next, link);
    },
  },
  {
    title: "an endpoint that closes takes leave of everybody, and does nothing afterwards",
    async run(scene) {
      const [a, b, c] = [await scene.node(), await scene.node(), await scene.node()];
      for (const peer of [b, c]) {
        await a.connect(peer);
        a.link(peer).send(1, bytesOf(100_000));
      }
      await a.endpoint.close(PATIENTLY);
      await a.endpoint.close(PATIENTLY);
      assert.ok(a.endpoint.ended.aborted && isTribuneError(a.endpoint.ended.reason, "TRANSPORT_CLOSED"));
      for (const peer of [b, c]) {
        await peer.until("it has ended", () => peer.connections().length >= 2);
        assert.deepEqual([peer.frames.length, peer.connections()[1]], [1, "down 1 ended"]);
      }
      assert.deepEqual(a.endpoint.links, []);
      assert.throws(() => a.link(b), (error) => isTribuneError(error, "TRANSPORT_CLOSED"));
    },
  },
  {
    title: "an endpoint that is destroyed is gone at once, and the others see it",
    async run(scene) {
      const [a, b] = await scene.pair({ firstPauseMs: 10 });
      const reason = new Error("enough");
      a.endpoint.destroy(reason);
      a.endpoint.destroy(new Error("again"));
      assert.equal(a.endpoint.ended.reason, reason);
      await b.until("it is down, and cannot be reached", () => b.told.some((each) => each.kind === "down") && b.told.some((each) => each.kind === "unreachable"));
      await a.until("its own end is told", () => a.connections().includes("down 1 closed"));
    },
  },
  {
    title: "who cannot be reached is tried again and again, and each failure is told",
    async run(scene) {
      const [a, b] = [await scene.node({ options: { firstPauseMs: 5, longestPauseMs: 20 } }), await scene.node()];
      const address = b.endpoint.address;
      await b.endpoint.close(PATIENTLY);
      a.view.set(b.identity.incarnation, { ...b.identity, address });
      const link = a.link(b);
      await a.until("three attempts failed", () => a.told.filter((each) => each.kind === "unreachable").length >= 3);
      const attempts = a.told.flatMap((each) => (each.kind === "unreachable" ? [each.attempts] : []));
      assert.deepEqual(attempts.slice(0, 3), [1, 2, 3]);
      assert.deepEqual([link.state, link.connection, link.send(1, bytesOf(1))], ["connecting", 0, "down"]);
    },
  },
  {
    title: "a peer without an address is not dialled, which is told once; it may dial us",
    async run(scene) {
      const [a, b] = [await scene.node(), await scene.node()];
      a.view.set(b.identity.incarnation, b.identity);
      const link = a.link(b);
      await a.until("it is told", () => a.told.length > 0);
      a.endpoint.review();
      assert.deepEqual(a.told.map((each) => each.kind === "unreachable" && each.reason), ["no-address"]);
      await b.connect(a);
      assert.equal(link.state, "up");
    },
  },
  {
    title: "a link to somebody who is not known yet waits until it is",
    async run(scene) {
      const [a, b] = [await scene.node(), await scene.node({ hidden: true })];
      const link = a.link(b);
      a.endpoint.review();
      assert.equal(link.state, "connecting");
      assert.deepEqual(a.told, []);
      scene.everybodyKnows(b);
      await a.until("it is up", () => link.state === "up");
    },
  },
  {
    title: "who is no member any more is cut off by a review",
    async run(scene) {
      const [a, b] = await scene.pair({ firstPauseMs: 5 });
      const c = await scene.node();
      const other = await a.connect(c);
      const link = a.link(b);
      a.view.delete(b.identity.incarnation);
      a.endpoint.review();
      assert.deepEqual([link.state, link.send(1, bytesOf(1))], ["closed", "down"]);
      await a.until("it is told", () => a.connections().length === 3);
      assert.equal(a.connections()[2], "down 1 not-a-member");
      await b.until("it is refused", () => b.told.some((each) => each.kind === "unreachable" && each.reason === "unknown-peer"));
      assert.equal(other.state, "up");
      assert.ok(a.endpoint.counts.refused["unknown-peer"] >= 1);
    },
  },
  {
    title: "a link to itself is refused",
    async run(scene) {
      const a = await scene.node();
      assert.throws(() => a.link(a), (error) => isTribuneError(error, "INVALID_OPTIONS"));
    },
  },
  {
    title: "a handler that throws is logged, at a limited rate, and nothing else changes",
    async run(scene) {
      const [a, b] = await scene.pair();
      b.onTold = () => {
        throw new Error("handler");
      };
      for (let n = 0; n < 3; n++) a.link(b).send(1, bytesOf(10));
      await b.until("all came", () => b.frames.length === 3);
      assert.deepEqual(b.codes(), ["LISTENER_FAILED"], "one line: the peer decides how often a handler is called");
      assert.deepEqual([a.connections(), b.connections()], [["up 1"], ["up 1"]]);
    },
  },
  {
    title: "an end that a handler asks for is told after the handler is done, and no frame comes after it",
    async run(scene) {
      const [a, b] = await scene.pair();
      const order: string[] = [];
      b.onTold = (told) => {
        order.push(`${told.kind} begins`);
        if (told.kind === "frame") told.link.close();
        order.push(`${told.kind} is done`);
      };
      for (let n = 0; n < 20; n++) a.link(b).send(1, bytesOf(10));
      await b.until("it is down", () => b.told.some((each) => each.kind === "down"));
      assert.deepEqual(order.slice(0, 4), ["frame begins", "frame is done", "down begins", "down is done"]);
      assert.equal(b.frames.length, 1);
    },
  },
];
