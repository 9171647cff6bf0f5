import assert from "node:assert/strict";
import { get } from "node:http";
import { it } from "node:test";
import { etcd } from "../../../src/store/etcd/index.ts";
import { cursorOf, tick } from "../../../src/testing/conformance/scene.ts";
import { describeWithEtcd, sceneOn } from "./here.ts";

const BEATS = 20;

/** What operations cost the cluster, counted by the server. */
await describeWithEtcd("what it costs etcd", {}, (cluster) => {
  /** Requests, and entries of the log, since the server began. It counts an entry a moment after it has answered: so they are read until they stand still. */
  const counted = async () => {
    let [last, same] = [await read(), 0];
    while (same < 5) {
      const now = await read();
      same = now.requests === last.requests && now.entries === last.entries ? same + 1 : 0;
      last = now;
    }
    return last;
  };
  const read = async () => {
    const text = await page(`http://127.0.0.1:${cluster.member.port}/metrics`);
    const requests = [...text.matchAll(/^grpc_server_handled_total\{grpc_code="OK",grpc_method="(\w+)",grpc_service="etcdserverpb\.\w+",grpc_type="unary"\} (\S+)$/gm)].map(([, method, count]) => [method, Number(count)] as const);
    const entries = Number(/^etcd_server_proposals_committed_total (\S+)$/m.exec(text)?.[1]);
    const all = requests.reduce((sum, [, count]) => sum + count, 0);
    return { requests: all, entries };
  };
  const during = async (work: () => Promise<unknown>) => {
    const before = await counted();
    await work();
    const after = await counted();
    return { requests: after.requests - before.requests, entries: after.entries - before.entries };
  };

  for (const held of [1, 200]) {
    it(`a beat of one that holds ${held} election${held === 1 ? "" : "s"} is one request and one entry of the log, and shows none of them if none changed`, async (t) => {
      const member = await sceneOn(t, etcd({ url: cluster.urlOf({ prefix: `cost-${held}` }) })).member();
      for (let n = 0; n < held; n++) await member.hold(`e-${n}`);
      let seen = await member.beat();
      assert.equal(seen.elections.length, held);
      const cost = await during(async () => {
        for (let n = 0; n < BEATS; n++) {
          seen = await member.beat({ cursor: cursorOf(seen), generation: seen.generation, watch: [member.incarnation] });
          assert.deepEqual([seen.accepted, seen.elections.length], [true, 0]);
        }
      });
      assert.deepEqual(cost, { requests: BEATS, entries: BEATS });
    });
  }

  it("a look is one request, and nothing in the log", async (t) => {
    const member = await sceneOn(t, etcd({ url: cluster.urlOf({ prefix: "cost-look" }) })).member();
    const seen = await member.beat();
    const cost = await during(async () => {
      for (let n = 0; n < BEATS; n++) await member.look({ cursor: cursorOf(seen) });
    });
    assert.deepEqual(cost, { requests: BEATS, entries: 0 });
  });

  it("a view forgets everybody who has been dead for long, also where they are more than one transaction takes operations", async (t) => {
    const scene = sceneOn(t, etcd({ url: cluster.urlOf({ prefix: "cost-forget" }) }));
    const member = await scene.member();
    const token = await member.coordinate();
    const gone = await Promise.all(Array.from({ length: 50 }, () => scene.member()));
    for (const each of gone) await each.leave();
    assert.equal((await member.look()).presence.length, 51);
    await tick(member);
    const cost = await during(async () => assert.equal(await member.publish(token, { forgetDeadAfterMs: 0 }), true));
    assert.deepEqual((await member.look()).presence.map((row) => row.incarnation), [member.incarnation]);
    assert.ok(cost.requests <= 3 && cost.entries === 1, JSON.stringify(cost));
  });

  it("claiming what is free, passing its fence and resigning are one request and one entry each, where the rows are known", async (t) => {
    const member = await sceneOn(t, etcd({ url: cluster.urlOf({ prefix: "cost-term" }) })).member();
    await member.createElection("e");
    const { epoch } = await member.beat();
    const { incarnation, node, session, call } = member;
    let token = 0;
    const claim = async () => {
      token = (await session.claim({ election: "e", incarnation, node, expectedToken: 0, epoch, tokenSeen: 0 }, call))?.token ?? 0;
    };
    const one = { requests: 1, entries: 1 };
    assert.deepEqual(await during(claim), one);
    assert.deepEqual(await during(async () => assert.equal(await session.passFence({ election: "e", incarnation, token, epoch }, call), "passed")), one);
    assert.deepEqual(await during(async () => assert.equal(await session.resign({ election: "e", incarnation, token, reason: "done" }, call), true)), one);
  });
});

function page(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(text));
    }).on("error", reject);
  });
}
