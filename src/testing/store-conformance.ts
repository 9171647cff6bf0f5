import { systemClock, systemRandom } from "../kernel/index.ts";
import type { Clock, Random } from "../kernel/index.ts";
import { candidateCases } from "./conformance/candidates.ts";
import { diagnosisCases } from "./conformance/diagnosis.ts";
import { documentCases } from "./conformance/documents.ts";
import { electionCases } from "./conformance/elections.ts";
import { evictionCases } from "./conformance/evictions.ts";
import { evidenceCases } from "./conformance/evidence.ts";
import { fenceCases } from "./conformance/fence.ts";
import { handoverCases } from "./conformance/handover.ts";
import { hintCases } from "./conformance/hints.ts";
import { membershipCases } from "./conformance/membership.ts";
import type { StorePlace } from "./conformance/place.ts";
import { pauseCases } from "./conformance/pauses.ts";
import { presenceCases } from "./conformance/presence.ts";
import { raceCases } from "./conformance/races.ts";
import { recordCases } from "./conformance/record.ts";
import { Scene, Skipped } from "./conformance/scene.ts";
import type { SceneCase } from "./conformance/scene.ts";
import { sessionCases } from "./conformance/session.ts";
import { transactionCases } from "./conformance/transactions.ts";

export type { StorePlace, UserTable, UserTransaction } from "./conformance/place.ts";

/** Longer than any case takes on a slow machine; what takes longer hangs. */
const CASE_TIMEOUT_MS = 120_000;

/** What the conformance suite is run on. */
export interface StoreConformanceOptions<Tx = unknown> {
  /** Gives the place that a case plays in; called once for each case. May be the same store every time. */
  place(): StorePlace<Tx> | Promise<StorePlace<Tx>>;
  /** What sessions are opened with and waits go by. Default: this process's. Its timers must fire by themselves. */
  readonly clock?: Clock;
  readonly random?: Random;
}

/** `describe` and `it` as `node:test` and vitest have them. */
export interface TestRunner {
  describe(title: string, body: () => void): unknown;
  it(title: string, options: { readonly timeout: number }, body: (context: { skip(reason?: string): unknown }) => Promise<void>): unknown;
}

/** One behaviour that the contract asks for. */
export interface ConformanceCase {
  /** What it is about: "presence", "elections", … */
  readonly record: string;
  /** The behaviour, as a sentence. */
  readonly title: string;
  /** Resolves if the store behaves so, rejects if not. `skipped` tells why it could not be tried in this place. */
  run(): Promise<{ readonly skipped?: string }>;
}

const RECORDS: readonly (readonly [string, readonly SceneCase[]])[] = [
  ["session", sessionCases],
  ["presence", presenceCases],
  ["evidence of death", evidenceCases],
  ["evictions", evictionCases],
  ["elections", electionCases],
  ["hand-over", handoverCases],
  ["pauses", pauseCases],
  ["candidates", candidateCases],
  ["fence", fenceCases],
  ["membership", membershipCases],
  ["documents", documentCases],
  ["record", recordCases],
  ["hints", hintCases],
  ["fenced transactions", transactionCases],
  ["races", raceCases],
  ["diagnosis", diagnosisCases],
];

/**
 * Registers the conformance suite of store providers: each behaviour that `contract.md` asks for and that can be seen
 * through the port. A provider that passes it, with every hook of {@link StorePlace} offered, can be relied on by all
 * rooms of Tribune. Cases run one after the other; each has a group of its own, so one store serves them all.
 *
 *     import { describe, it } from "node:test";
 *     import { storeConformance } from "tribune/testing";
 *
 *     storeConformance({
 *       name: "mystore 3.2",
 *       describe,
 *       it,
 *       place: () => {
 *         const provider = mystore({ url });
 *         return { provider, close: () => provider.close() };
 *       },
 *     });
 *
 * The trap: a skipped case proves nothing. Read the reasons, and offer the hook where the store has such a thing.
 */
export function storeConformance<Tx>(options: StoreConformanceOptions<Tx> & TestRunner & { readonly name: string }): void {
  const cases = storeConformanceCases(options);
  options.describe(`${options.name} keeps the contract of a store`, () => {
    for (const [record] of RECORDS) {
      options.describe(record, () => {
        for (const each of cases.filter((one) => one.record === record)) {
          options.it(each.title, { timeout: CASE_TIMEOUT_MS }, async (context) => {
            const { skipped } = await each.run();
            if (skipped !== undefined) context.skip(skipped);
          });
        }
      });
    }
  });
}

/** The same cases as a list, for whoever runs them without a test runner, or only some. */
export function storeConformanceCases<Tx>(options: StoreConformanceOptions<Tx>): readonly ConformanceCase[] {
  return RECORDS.flatMap(([record, cases]) => cases.map(({ title, run }) => ({ record, title, run: () => play(run, options) })));
}

async function play<Tx>(run: SceneCase["run"], options: StoreConformanceOptions<Tx>): Promise<{ readonly skipped?: string }> {
  const place = (await options.place()) as StorePlace;
  const scene = new Scene({ place, clock: options.clock ?? systemClock, random: options.random ?? systemRandom });
  let skipped: string | undefined;
  try {
    await run(scene);
  } catch (error) {
    if (!(error instanceof Skipped)) {
      await scene.end().catch(() => undefined); // the case's own failure says more
      throw error;
    }
    skipped = error.message;
  }
  await scene.end();
  return skipped === undefined ? {} : { skipped };
}
