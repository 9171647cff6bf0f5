import { setImmediate as untilNextTurn } from "node:timers/promises";
import { createCluster } from "../../src/index.ts";
import { hostMonotonicMs } from "../../src/testing/history/index.ts";
import { ms, plain, table } from "../markdown.ts";
import type { BenchOptions } from "../options.ts";
import type { Progress } from "../progress.ts";
import { ratios, spread } from "../statistics.ts";
import type { Spread } from "../statistics.ts";
import { STORES } from "../stores.ts";
import type { StorePlace } from "../stores.ts";
import { SUBJECTS } from "./subject.ts";

export interface FenceRow {
  readonly store: string;
  readonly server: string;
  readonly bareMs: Spread;
  readonly fencedMs: Spread;
  /** Of the medians of blocks of {@link BLOCK} pairs. */
  readonly ratio: Spread;
}

export interface FenceResult {
  readonly benchmark: "fence";
  readonly rows: readonly FenceRow[];
  readonly leftOut: readonly { readonly who: string; readonly why: string }[];
}

const PAIRS = 2_000;
const QUICK_PAIRS = 100;
const WARM_UP = 50;
const BLOCK = 50;

/** What `term.transaction` costs over the same transaction without a term. */
export async function fence(options: BenchOptions, progress: Progress): Promise<FenceResult> {
  const rows: FenceRow[] = [];
  const leftOut: Array<{ readonly who: string; readonly why: string }> = [];
  for (const store of STORES.filter(({ name }) => options.stores.includes(name))) {
    const place = await store.open();
    if ("missing" in place) {
      leftOut.push({ who: store.title, why: place.missing });
      continue;
    }
    progress.say(`pairs of transactions on ${store.title}`);
    try {
      rows.push({ store: store.title, server: place.label, ...(await measure(store.name, place, options.runs ?? (options.quick ? QUICK_PAIRS : PAIRS))) });
    } catch (error) {
      leftOut.push({ who: store.title, why: (error as Error).message });
      process.exitCode = 1; // what is ours has to run
    } finally {
      await place.close();
    }
  }
  return { benchmark: "fence", rows, leftOut };
}

async function measure(name: string, place: StorePlace, pairs: number): Promise<Pick<FenceRow, "bareMs" | "fencedMs" | "ratio">> {
  const subject = await (SUBJECTS[name] as (typeof SUBJECTS)[string])(await place.fresh());
  const cluster = createCluster({ group: "bench", node: "writer", store: subject.provider });
  try {
    await cluster.start();
    const term = await cluster.election("work").campaign();
    const bare: number[] = [];
    const fenced: number[] = [];
    for (let pair = -WARM_UP; pair < pairs; pair++) {
      // Who is first in a pair alternates: the second finds the disk as the first left it.
      const sides = [
        async () => void bare.push(await timed(() => subject.bare())),
        async () => void fenced.push(await timed(() => term.transaction(subject.work))),
      ];
      for (const side of pair % 2 === 0 ? sides : sides.reverse()) await side();
      if (pair === -1) bare.length = fenced.length = 0;
      await untilNextTurn(); // or the transactions of SQLite, which are synchronous, would leave the beats no time
    }
    return { bareMs: spread(bare), fencedMs: spread(fenced), ratio: spread(ratios(bare, fenced, Math.min(BLOCK, pairs))) };
  } finally {
    await cluster.stop();
    await subject.close();
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = hostMonotonicMs();
  await work();
  return hostMonotonicMs() - beganMs;
}

/** The table of a result. */
export function fenceText({ rows, leftOut }: FenceResult): string {
  const head = ["store", "bare p50", "bare p99", "term.transaction p50", "p99", "ratio", "range of ratios", "pairs"];
  const body = rows.map(({ store, bareMs, fencedMs, ratio }) => [store, ms(bareMs.p50), ms(bareMs.p99), ms(fencedMs.p50), ms(fencedMs.p99), plain(ratio.p50), `${plain(ratio.min)} to ${plain(ratio.max)}`, String(bareMs.count)]);
  return [
    `A transaction with one insert, bare and by term.transaction, in turns on the same connections. The ratio is the median of the ratios of medians of ${BLOCK} pairs each. ${rows.map(({ server }) => server).join("; ")}.`,
    table(head, body),
    ...leftOut.map(({ who, why }) => `Left out: ${who}: ${why}`),
  ].join("\n\n");
}
