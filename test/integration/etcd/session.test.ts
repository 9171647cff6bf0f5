import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom, silentLogger } from "../../../src/kernel/index.ts";
import type { Connection } from "../../../src/store/etcd/connection.ts";
import type { StreamListener } from "../../../src/store/etcd/grpc.ts";
import type { Memory } from "../../../src/store/etcd/history.ts";
import { GroupKeys, padded, storeKeys } from "../../../src/store/etcd/keys.ts";
import type { Txn, TxnAnswer } from "../../../src/store/etcd/messages.ts";
import { EtcdSession } from "../../../src/store/etcd/session.ts";
import { intField } from "../../../src/store/etcd/wire.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";

const PREFIX = "tribune/";
const keys = new GroupKeys(PREFIX, "billing");
const NOTHING_SEEN: Memory = { history: undefined, revision: 0, beat: undefined };
const ENDPOINT = { host: "127.0.0.1", port: 2379, secure: false };

/** A session on a store where somebody else is always first: whatever is compared has changed. */
async function sessionAmongFasterOnes({ clock = new VirtualClock(), memory = { ...NOTHING_SEEN }, revision = 1 } = {}): Promise<{ readonly session: EtcdSession; readonly asked: () => number }> {
  let asked = 0;
  const state = { revision: revision - 1 };
  const election = { election: "e", token: 7, holder: null, epoch: "x", version: 3, resignRequested: null, resignRequestedFor: null, reservation: null, paused: null, priority: 0, minimumTermMs: 0, ranked: false, changedAtMs: 0 };
  const values = new Map([
    [storeKeys(PREFIX).history, JSON.stringify({ epoch: "x", number: 1, clusterId: "c", lead: null })],
    [keys.election("e"), JSON.stringify(election)],
    [keys.electionsVersion, padded(3)],
    [keys.sequence, padded(9)],
  ]);
  const connection: Pick<Connection, "status" | "endpoint" | "authOff" | "txn" | "watch" | "destroy" | "onBroken"> = {
    status: { header: { clusterId: "c", memberId: "m", revision: 1, raftTerm: 1 }, version: "3.5.0", dbSizeBytes: 0, leader: "m", appliedIndex: 0, errors: [], learner: false },
    endpoint: ENDPOINT,
    authOff: false,
    onBroken: () => undefined,
    destroy: () => undefined,
    watch: (_range: unknown, listener: StreamListener) => {
      queueMicrotask(() => listener.onMessage(intField(3, 1)));
      return { cancel: () => undefined };
    },
    txn: async (txn: Txn): Promise<TxnAnswer> => {
      asked += 1;
      state.revision += 1;
      const writes = txn.success.some((op) => "put" in op || "delete" in op);
      const items = [...values].map(([key, value]) => ({ key, value, modRevision: state.revision }));
      return await Promise.resolve({ header: { clusterId: "c", memberId: "m", revision: state.revision, raftTerm: 1 }, succeeded: !writes, items });
    },
  };
  const context = { group: "billing", node: "a", clock, random: seededRandom(1), logger: silentLogger, deadlineMs: 5_000, statementLimitMs: 5_000, createSchema: true };
  const source = { label: "etcd://test", endpoints: [ENDPOINT], tls: {}, user: undefined, turn: 0 };
  const session = await EtcdSession.on(connection as Connection, { context, source, prefix: PREFIX, memory });
  return { session, asked: () => asked };
}

describe("operations that meet others again and again", () => {
  it("give up before their deadline, which would end the session and with it the trust of a node that did nothing wrong", async () => {
    const clock = new VirtualClock();
    const { session, asked } = await sessionAmongFasterOnes({ clock });
    const outcome = session.pause({ election: "e", by: "somebody", reason: "why not" }, { deadlineMs: 300 }).catch((error: unknown) => error);
    await clock.advance(1_000);
    assert.equal(((await outcome) as { readonly code?: string }).code, "STORE_BUSY");
    assert.equal(session.ended.aborted, false);
    assert.ok(asked() > 5, "it did try");
  });
});

describe("what a process remembers of a store", () => {
  it("is not touched by a session of a history that is over, which is answered late; and it is held against no answer of another one", async () => {
    const memory: Memory = { ...NOTHING_SEEN, history: { epoch: "x", number: 1, clusterId: "c", lead: null } };
    const left = await sessionAmongFasterOnes({ memory, revision: 1_000 });
    memory.history = { epoch: "y", number: 2, clusterId: "c", lead: null };
    const present = await sessionAmongFasterOnes({ memory, revision: 20 });
    await assert.rejects(left.session.readCandidates({ election: "e" }, { deadlineMs: 300 }), { code: "GROUP_UNKNOWN" });
    assert.equal(memory.revision, 0);
    await assert.rejects(present.session.readCandidates({ election: "e" }, { deadlineMs: 300 }), { code: "GROUP_UNKNOWN" });
    assert.deepEqual([memory.revision, present.session.ended.aborted], [20, false]);
  });
});
