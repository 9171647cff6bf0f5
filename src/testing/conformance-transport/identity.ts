import assert from "node:assert/strict";
import { PATIENTLY } from "./scene.ts";
import type { TestNode, TransportCase } from "./scene.ts";

const QUICK = { firstPauseMs: 5, longestPauseMs: 20 };

/** Who is let in, and as whom. */
export const identityCases: readonly TransportCase[] = [
  {
    title: "a member of another group is refused",
    async run(scene) {
      const a = await scene.node();
      const stranger = await scene.node({ options: QUICK, context: { group: "another" } });
      stranger.link(a);
      // Keys that are bound to their group refuse it before it can say a word.
      await stranger.until("it is refused", () => stranger.told.some((each) => each.kind === "unreachable" && (each.reason === "incompatible" || each.reason === "unauthenticated")));
      const { refused } = a.endpoint.counts;
      assert.ok(refused["wrong-group"] + refused.unauthenticated >= 1, JSON.stringify(refused));
      assert.deepEqual([stranger.connections(), a.connections()], [[], []]);
    },
  },
  {
    title: "who is not in the view is refused, and let in as soon as it is",
    async run(scene) {
      const [a, b] = [await scene.node(), await scene.node({ options: QUICK, hidden: true })];
      b.view.set(a.identity.incarnation, a.known);
      const link = b.link(a);
      await refusedBy(b, a, "unknown-peer", "unknown-peer");
      a.view.set(b.identity.incarnation, b.known);
      await b.until("it is up", () => link.state === "up");
    },
  },
  {
    title: "who says a name, or an address, that the view has otherwise is refused",
    async run(scene) {
      const [a, b, c] = [await scene.node(), await scene.node({ options: QUICK }), await scene.node({ options: QUICK })];
      a.view.set(b.identity.incarnation, { ...b.known, node: "somebody-else" });
      a.view.set(c.identity.incarnation, { ...c.known, address: "elsewhere:1" });
      for (const impostor of [b, c]) {
        impostor.link(a);
        await refusedBy(impostor, a, "wrong-identity", "unknown-peer");
      }
    },
  },
  {
    title: "who looks for an incarnation that is not here any more is told so, and gets no connection",
    async run(scene) {
      const [a, b] = [await scene.node({ options: QUICK }), await scene.node()];
      const former = { node: b.identity.node, incarnation: scene.random.id() };
      a.view.set(former.incarnation, { ...former, address: b.endpoint.address });
      a.endpoint.link(former);
      await refusedBy(a, b, "not-here", "not-here");
    },
  },
  {
    title: "a former incarnation, which the view has no more, is refused, and its newer one is let in",
    async run(scene) {
      const [a, former] = await scene.pair(QUICK);
      scene.nobodyKnows(former.identity.incarnation);
      await former.until("it is refused", () => former.told.some((each) => each.kind === "unreachable" && each.reason === "unknown-peer"));
      const newer = await scene.node();
      assert.notEqual(newer.identity.incarnation, former.identity.incarnation);
      await newer.connect(a);
      assert.deepEqual(a.endpoint.links.map((link) => link.peer), [newer.identity]);
    },
  },
  {
    title: "the answer to a ping tells how long the way there and back is; without a connection there is none",
    async run(scene) {
      const [a, b] = await scene.pair();
      const link = a.link(b);
      const times = await Promise.all([link.ping(PATIENTLY), link.ping(PATIENTLY)]);
      for (const ms of [...times, await link.ping(PATIENTLY)]) assert.ok(ms >= 0 && ms < PATIENTLY.deadlineMs);
      await assert.rejects(link.ping({ ...PATIENTLY, signal: AbortSignal.abort() }), { code: "ABORTED" });
      link.close();
      await assert.rejects(link.ping(PATIENTLY), { code: "PEER_UNREACHABLE" });
    },
  },
  {
    title: "a peer that nothing is heard of is told as silent by both sides, and connected again when the way is free",
    async run(scene) {
      const cut = scene.need("cut");
      const [a, b] = await scene.pair({ beatMs: 40, silenceMs: 200, firstPauseMs: 20, longestPauseMs: 50, connectMs: 300 });
      const heal = await cut(a.identity.node, b.identity.node);
      await a.until("it is silent", () => a.connections().includes("down 1 silent"));
      await b.until("it is silent", () => b.connections().includes("down 1 silent"));
      await heal();
      await a.connect(b);
    },
  },
  {
    title: "a connection on which nothing is said for long stays, because both sides beat",
    async run(scene) {
      const [a, b] = await scene.pair({ beatMs: 50, silenceMs: 500 });
      const link = a.link(b);
      const [before, beganMs] = [link.counts.bytesReceived, scene.clock.monotonicMs()];
      await a.until("it has beaten for more than the time of silence", () => link.counts.bytesReceived - before >= 30 && scene.clock.monotonicMs() - beganMs > 800);
      assert.deepEqual([a.connections(), b.connections()], [["up 1"], ["up 1"]]);
    },
  },
];

async function refusedBy(dialler: TestNode, self: TestNode, reason: keyof TestNode["endpoint"]["counts"]["refused"], told: string): Promise<void> {
  await dialler.until(`it is told ${told}`, () => dialler.told.some((each) => each.kind === "unreachable" && each.reason === told));
  assert.ok(self.endpoint.counts.refused[reason] >= 1, JSON.stringify(self.endpoint.counts.refused));
  assert.deepEqual([dialler.connections(), self.connections(), dialler.endpoint.links.some((link) => link.state === "up")], [[], [], false]);
}
