import { systemClock, systemRandom } from "../kernel/index.ts";
import type { Clock, Random } from "../kernel/index.ts";
import { flowCases } from "./conformance-transport/flow.ts";
import { frameCases } from "./conformance-transport/frames.ts";
import { hostileCases } from "./conformance-transport/hostile.ts";
import { identityCases } from "./conformance-transport/identity.ts";
import { linkCases } from "./conformance-transport/links.ts";
import type { TransportPlace } from "./conformance-transport/place.ts";
import { NotOffered, TransportScene } from "./conformance-transport/scene.ts";
import type { TransportCase } from "./conformance-transport/scene.ts";
import type { ConformanceCase, TestRunner } from "./store-conformance.ts";

export type { RawPeer, TransportPlace } from "./conformance-transport/place.ts";

/** Longer than any case takes on a slow machine; what takes longer hangs. */
const CASE_TIMEOUT_MS = 120_000;

/** What the conformance suite of transports is run on. */
export interface TransportConformanceOptions {
  /** Gives the place that a case plays in; called once for each case. */
  place(): TransportPlace | Promise<TransportPlace>;
  /** Default: this process's. Its timers must fire by themselves. */
  readonly clock?: Clock;
  readonly random?: Random;
}

const PARTS: readonly (readonly [string, readonly TransportCase[]])[] = [
  ["links", linkCases],
  ["frames", frameCases],
  ["backpressure", flowCases],
  ["identity", identityCases],
  ["hostile input", hostileCases],
];

/**
 * Registers the conformance suite of transports: what `src/transport/README.md` promises and can be seen through the port. A transport that passes it can carry the channel.
 *
 *     import { describe, it } from "node:test";
 *     import { transportConformance } from "tribune/testing";
 *
 *     transportConformance({ name: "carrier pigeons", describe, it, place: () => ({ transport: (node, options) => pigeons(options) }) });
 *
 * The trap: a skipped case proves nothing. Offer the hooks of {@link TransportPlace}.
 */
export function transportConformance(options: TransportConformanceOptions & TestRunner & { readonly name: string }): void {
  const cases = transportConformanceCases(options);
  options.describe(`${options.name} keeps the contract of a transport`, () => {
    for (const [record] of PARTS) {
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
export function transportConformanceCases(options: TransportConformanceOptions): readonly ConformanceCase[] {
  return PARTS.flatMap(([record, cases]) => cases.map(({ title, run }) => ({ record, title, run: () => play(run, options) })));
}

async function play(run: TransportCase["run"], options: TransportConformanceOptions): Promise<{ readonly skipped?: string }> {
  const scene = new TransportScene({ place: await options.place(), clock: options.clock ?? systemClock, random: options.random ?? systemRandom });
  try {
    await run(scene);
    return {};
  } catch (error) {
    if (error instanceof NotOffered) return { skipped: error.message };
    throw error;
  } finally {
    await scene.end();
  }
}
