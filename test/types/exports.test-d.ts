import type { DatabaseSync } from "node:sqlite";
import { Cluster, createCluster, isTribuneError, PRESETS, TribuneError } from "../../src/index.ts";
import type { Ailment, ClusterEvents, ClusterHealth, ClusterOptions, Election, ElectionOptions, ElectionState, ERROR_CODES, ErrorCode, Logger, Member, Preset, storeFromUrl, StoreProvider, Term, Timing, View, ViewChange } from "../../src/index.ts";
import { openAdmin } from "../../src/admin/index.ts";
import { etcd } from "../../src/store/etcd/index.ts";
import type { EtcdTransaction } from "../../src/store/etcd/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { postgres } from "../../src/store/postgres/index.ts";
import type { PostgresTransaction } from "../../src/store/postgres/index.ts";
import { sqlite } from "../../src/store/sqlite/index.ts";

// Checked by the compiler only: this file is never run. What is here is what users type; a change of it is a change for them.

type IsAny<A> = 0 extends 1 & A ? true : false;
/** Whether two types are the same, and not because one of them is `any`. */
type Same<A, B> = true extends IsAny<A> | IsAny<B> ? false : [A, B] extends [B, A] ? true : false;
type Holds<Claim extends true> = Claim;

// ---- the transaction's type comes from the provider

const onSqlite = createCluster({ group: "g", store: sqlite({ path: "x.db" }) });
const onPostgres = createCluster({ group: "g", store: postgres({ url: "postgres://h/d" }) });
const onEtcd = createCluster({ group: "g", store: etcd({ url: "etcd://h" }) });
const inMemory = createCluster({ group: "g", store: memory() });
const byUrl = createCluster({ group: "g", store: "sqlite:x.db" });

export type Inferred = [
  Holds<Same<typeof onSqlite, Cluster<DatabaseSync>>>,
  Holds<Same<typeof onPostgres, Cluster<PostgresTransaction>>>,
  Holds<Same<typeof onEtcd, Cluster<EtcdTransaction>>>,
  Holds<Same<typeof inMemory, Cluster<MemoryTransaction>>>,
  Holds<Same<typeof byUrl, Cluster>>,
  Holds<Same<ReturnType<typeof storeFromUrl>, StoreProvider>>,
];

// ---- one way and the other of leading

export async function leading(signal: AbortSignal): Promise<void> {
  const options: ElectionOptions = {};
  const election: Election<DatabaseSync> = onSqlite.election("scheduler", options);
  await election.lead(
    async (term) => {
      const told: [string, number, AbortSignal, boolean, number] = [term.election, term.token, term.signal, term.mayAct(), term.trustLeftMs()];
      const changes = await term.transaction((tx) => tx.prepare("delete from t").run().changes);
      return [told, changes satisfies number | bigint];
    },
    { signal },
  );
  const term = await election.campaign({ signal });
  const current: ElectionState | null = election.current;
  const held: Term<DatabaseSync> | undefined = election.term;
  await term.guard(await term.transaction((tx) => tx));
  await term.resign();
  await election.resign();
  election.on("term", (won) => won.token satisfies number);
  election.on("ended", ({ reason }) => reason satisfies TribuneError);
  await onPostgres.election("e").lead(async (own) => await own.transaction(async (tx) => await tx.query("select 1")));
  return void [current, held];
}

export type Leading = [
  Holds<Same<Awaited<ReturnType<typeof onPostgres.start>>, void>>,
  Holds<Same<ReturnType<Term["mayAct"]>, boolean>>,
  Holds<Term extends AsyncDisposable ? true : false>,
  Holds<Cluster extends AsyncDisposable ? true : false>,
];

// ---- who is there

export async function watching(cluster: Cluster, signal: AbortSignal): Promise<void> {
  const off: () => void = cluster.on("view", ({ view, joined, left }) => [view.version, joined.length, left.length]);
  cluster.on("suspended", ({ reason, trustLeftMs }) => [reason.code, trustLeftMs]);
  cluster.on("lost", ({ cause }) => cause satisfies "lapsed" | "dead");
  cluster.on("degraded", ({ ailments }) => ailments satisfies readonly Ailment[]);
  cluster.on("error", (error) => error.code satisfies ErrorCode);
  for await (const change of cluster.changes({ signal })) change satisfies ViewChange;
  await cluster.updateMetadata({ zone: "b" });
  off();
  cluster.health() satisfies ClusterHealth;
}

export type Seen = [Holds<Same<Cluster["view"], View>>, Holds<Same<Cluster["self"], Member>>, Holds<Same<View["members"], readonly Member[]>>, Holds<Same<ClusterEvents["view"], ViewChange>>];

// ---- errors and options

export function refused(error: unknown): ErrorCode | undefined {
  if (isTribuneError(error, "TERM_LOST")) return error.code;
  if (error instanceof TribuneError && error.retryable) return error.code;
  return undefined;
}

export type Coded = [Holds<Same<ErrorCode, keyof typeof ERROR_CODES>>, Holds<"COMMIT_UNKNOWN" extends ErrorCode ? true : false>, Holds<Same<Preset, "fast" | "default" | "calm">>];

export const full: Required<Pick<ClusterOptions, "group" | "store" | "node" | "metadata" | "preset" | "crashDetection" | "handleSignals">> = {
  group: "g",
  store: "memory:",
  node: "n",
  metadata: { zone: "a", tags: ["x"] },
  preset: "calm",
  crashDetection: "evidence",
  handleSignals: true,
};

/** What a pino logger looks like fits. */
export const logger: Logger = { debug: (fields: object, message?: string) => void [fields, message], info: () => undefined, warn: () => undefined, error: () => undefined };

export const timing: Pick<Timing, "leaseMs" | "beatMs"> = PRESETS.fast;

export const admin = openAdmin({ store: "sqlite:x.db", group: "g" });

// ---- what must not compile

// @ts-expect-error no store
createCluster({ group: "g" });
// @ts-expect-error no such option
createCluster({ group: "g", store: "memory:", leaseMS: 4_000 });
// @ts-expect-error no such preset
createCluster({ group: "g", store: "memory:", preset: "slow" });
// @ts-expect-error no such event
onSqlite.on("views", () => undefined);
// @ts-expect-error views are immutable
onSqlite.view.members.push(onSqlite.self);
// @ts-expect-error so are members
onSqlite.self.metadata["zone"] = "c";
// @ts-expect-error tokens are given, not made
(await onSqlite.election("e").campaign()).token = 1;
// @ts-expect-error the transaction is the driver's, not any
await onSqlite.election("e").term?.transaction((tx) => tx.query("select 1"));
// @ts-expect-error of another driver
await onSqlite.election("e").term?.guard({ query: async () => ({ rows: [] }) });
// @ts-expect-error no such code
isTribuneError(undefined, "TERM_GONE");
// @ts-expect-error a cluster is made by createCluster, from checked options
export const unchecked = new Cluster({ group: "g", store: "memory:" });
