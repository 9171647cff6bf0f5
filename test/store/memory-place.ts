import { silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import type { Clock } from "../../src/kernel/index.ts";
import type { FenceHandle, OpenContext, StoreProvider } from "../../src/store/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { MemoryProvider, MemoryTransaction } from "../../src/store/memory/index.ts";
import type { StorePlace, UserTable } from "../../src/testing/store-conformance.ts";

/** A store in memory with everything that the conformance suite can do to it; `alter` puts something in front of it. */
export function memoryPlace(alter: (provider: MemoryProvider) => StoreProvider<MemoryTransaction> = (provider) => provider): StorePlace<MemoryTransaction> {
  const store = memory();
  return {
    provider: alter(store),
    table: memoryTable(store),
    async newEpoch() {
      store.changeEpoch(`memory:${systemRandom.id()}`);
    },
    close: () => store.close(),
  };
}

/** A table that belongs to transactions as `MemoryTransaction` means it: writes happen at the commit. */
export function memoryTable(store: StoreProvider<MemoryTransaction>, clock: Clock = systemClock): UserTable<MemoryTransaction> {
  const rows = new Map<string, number>();
  return {
    write: (tx, key, value) => tx.onCommit(() => void rows.set(key, value)),
    read: (_, key) => rows.get(key) ?? 0,
    committed: async (key) => rows.get(key) ?? 0,
    begin: async () => await beginUnrelated(store, clock),
    outside: async () => ({ tx: { onCommit() {} }, async release() {} }),
  };
}

/**
 * The only transactions in memory are fenced ones. One that is fenced by an unrelated election, of a group that nobody
 * else knows, is to everybody else a transaction of the user's own.
 */
async function beginUnrelated(store: StoreProvider<MemoryTransaction>, clock: Clock) {
  const fence = await unrelatedFence(store, clock);
  const [opened, ending] = [Promise.withResolvers<MemoryTransaction>(), Promise.withResolvers<void>()];
  const transaction = store.fenced.transaction(fence, async (tx) => {
    opened.resolve(tx);
    await ending.promise;
  });
  const rolledBack = new Error("rolled back");
  return {
    tx: await opened.promise,
    async commit() {
      ending.resolve();
      await transaction;
    },
    async rollback() {
      ending.reject(rolledBack);
      await transaction.catch((error: unknown) => {
        if (error !== rolledBack) throw error;
      });
    },
  };
}

async function unrelatedFence(store: StoreProvider<MemoryTransaction>, clock: Clock): Promise<FenceHandle> {
  const [group, election, incarnation, node] = [systemRandom.id(), "unrelated", systemRandom.id(), "user"];
  const call = { deadlineMs: 10_000 };
  const session = await store.open(contextOf(group, node, clock));
  await session.join({ incarnation, node, leaseMs: 60_000, metadata: "{}", settings: "" }, call);
  await session.createElection({ election }, call);
  const { epoch } = await session.look({ cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] }, call);
  const claimed = await session.claim({ election, incarnation, node, expectedToken: 0, epoch, tokenSeen: 0 }, call);
  const token = claimed?.token ?? 0;
  await session.passFence({ election, incarnation, token, epoch }, call);
  await session.close();
  return { group, election, token, leaseMs: 60_000, clock, mayAct: () => true, over: new AbortController().signal };
}

function contextOf(group: string, node: string, clock: Clock): OpenContext {
  return { group, node, clock, random: systemRandom, logger: silentLogger, deadlineMs: 10_000, statementLimitMs: 10_000, createSchema: true };
}
