/**
 * A node of a benchmark, in a process of its own: contends, says when a term is announced to it, and does what it is told. Times are `CLOCK_MONOTONIC`, which
 * all processes of a host share.
 */
import pg from "pg";
import { createCluster } from "../src/index.ts";
import type { Term } from "../src/index.ts";
import { postgres } from "../src/store/postgres/index.ts";
import { sqlite } from "../src/store/sqlite/index.ts";
import type { StoreProvider } from "../src/store/index.ts";
import { hostMonotonicMs } from "../src/testing/history/index.ts";

export interface NodeConfig {
  readonly node: string;
  readonly store: { readonly kind: "sqlite"; readonly path: string } | { readonly kind: "postgres"; readonly url: string };
  readonly leaseMs: number;
  readonly beatMs: number;
}

export type Order =
  /** Contend, and say when the term is announced. */
  | "contend"
  /** Give the term up. */
  | "resign"
  /** Begin a fenced transaction, write a row, say so, and wait. */
  | "open-transaction"
  /** Write a second row and commit. */
  | "commit";

export type Report =
  | { readonly report: "joined" }
  | { readonly report: "contending" }
  | { readonly report: "announced"; readonly t: number; readonly token: number }
  | { readonly report: "resigning"; readonly t: number }
  | { readonly report: "inside" }
  | { readonly report: "outcome"; readonly outcome: string };

export const CONFIG_VARIABLE = "TRIBUNE_BENCH_NODE";
export const TABLE = "bench_rows";

async function run(config: NodeConfig): Promise<void> {
  const tell = (report: Report) => void process.send?.(report);
  const pool = config.store.kind === "postgres" ? new pg.Pool({ connectionString: config.store.url }) : undefined;
  pool?.on("error", () => undefined);
  const store = (pool !== undefined ? postgres({ pool }) : sqlite({ path: (config.store as { readonly path: string }).path })) as StoreProvider<pg.PoolClient>;
  const cluster = createCluster({ group: "bench", node: config.node, store, leaseMs: config.leaseMs, beatMs: config.beatMs });
  const election = cluster.election("bench");
  let term: Term<pg.PoolClient> | undefined;
  let goOn: (() => void) | undefined;
  election.on("term", ({ token }) => tell({ report: "announced", t: hostMonotonicMs(), token }));

  const contend = async () => {
    // One that was frozen may be told before it has noticed that its term is over.
    if (election.term !== undefined) await new Promise<void>((resolve) => election.on("ended", () => resolve()));
    const campaign = election.campaign();
    tell({ report: "contending" });
    term = await campaign;
  };
  const resign = async () => {
    tell({ report: "resigning", t: hostMonotonicMs() });
    await term?.resign();
  };
  /** A write that waits between its two statements until it is told to go on. */
  const openTransaction = async () => {
    try {
      await term?.transaction(async (tx) => {
        await tx.query(`insert into ${TABLE} (token, part) values ($1, 1)`, [term?.token]);
        const told = new Promise<void>((resolve) => (goOn = resolve));
        tell({ report: "inside" });
        await told;
        await tx.query(`insert into ${TABLE} (token, part) values ($1, 2)`, [term?.token]);
      });
      tell({ report: "outcome", outcome: "committed" });
    } catch (error) {
      tell({ report: "outcome", outcome: (error as { readonly code?: string }).code ?? String(error) });
    }
  };

  process.on("message", (order: Order) => {
    if (order === "contend") void contend();
    else if (order === "resign") void resign();
    else if (order === "open-transaction") void openTransaction();
    else goOn?.();
  });
  process.once("disconnect", () => process.exit(0));
  await cluster.start();
  tell({ report: "joined" });
}

const configuration = process.env[CONFIG_VARIABLE];
if (configuration !== undefined) await run(JSON.parse(configuration) as NodeConfig);
