import { CARRIERS } from "./protocol.ts";
import type { Carrier, CarrierName, Operation } from "./protocol.ts";
import type { Round } from "./rounds.ts";
import { spread } from "../statistics.ts";
import type { Spread } from "../statistics.ts";

/** All rounds of one carrier. */
export interface ChannelRow {
  readonly carrier: CarrierName;
  readonly rounds: readonly Round[];
}

/** One figure of a round; `NaN` if there is none. */
export type Figure = (round: Round) => number;

export const delivered: Figure = ({ deliveredPerSecond }) => deliveredPerSecond;

export function p50Of(operation: Operation, lanes: number): Figure {
  return (round) => timesOf(round, operation, lanes)?.p50Us ?? Number.NaN;
}

export function rateOf(operation: Operation, lanes: number): Figure {
  return (round) => timesOf(round, operation, lanes)?.perSecond ?? Number.NaN;
}

function timesOf({ times }: Round, operation: Operation, lanes: number) {
  return times.find((each) => each.operation === operation && each.lanes === lanes);
}

/** A figure over all rounds. */
export function overRounds(rows: readonly ChannelRow[], carrier: CarrierName, figure: Figure): Spread {
  return spread((rows.find((row) => row.carrier === carrier)?.rounds ?? []).map(figure));
}

/** One figure as a multiple of another carrier's in the same round: what else happens on the machine meets both. */
export function ratioOverRounds(rows: readonly ChannelRow[], carrier: CarrierName, figure: Figure, limit: CarrierName, limitFigure: Figure): Spread {
  const [own, others] = [carrier, limit].map((name) => rows.find((row) => row.carrier === name)?.rounds ?? []);
  return spread((own ?? []).flatMap((round, n) => (others?.[n] === undefined ? [] : figure(round) / limitFigure(others[n]))));
}

export function carrierOf(name: CarrierName): Carrier {
  return CARRIERS.find((each) => each.name === name) as Carrier;
}

/** What a carrier is compared with. */
export function limitOf(name: CarrierName, how: "batched" | "each"): CarrierName {
  const limit = carrierOf(name).tls ? "raw-tls" : "raw-tcp";
  return how === "batched" ? limit : `${limit}-each`;
}

/** What the channel is meant to reach. */
export interface Target {
  readonly what: string;
  readonly carrier: CarrierName;
  readonly ratio: Spread;
  /** Of the limit: at least this share of its throughput, or at most this multiple of its time. */
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly isMet: boolean;
}

const LIMITS = { echo: "a raw echo of one", acknowledged: "a raw message that both have answered", request: "", requestAll: "a raw echo of both" } as const satisfies Record<Operation, string>;

const LEAST_SHARE = 0.6;
const MOST_TIMES = 1.5;

/** Each target for each of our two ways. Judged by the median of the rounds' ratios. */
export function targetsOf(rows: readonly ChannelRow[]): Target[] {
  const ours = (["channel-plaintext", "channel-keys"] as const).filter((name) => rows.some(({ carrier }) => carrier === name));
  return ours.flatMap((carrier) => [
    share("broadcast: of raw, batched by hand", carrier, ratioOverRounds(rows, carrier, delivered, limitOf(carrier, "batched"), delivered)),
    ...([1, 64] as const).flatMap((lanes) => {
      const against = (operation: Operation, how: "batched" | "each", limit: Operation) =>
        times(`${operation}, ${lanes === 1 ? "one" : lanes} at a time: × ${LIMITS[limit]}, ${how === "batched" ? "batched by hand" : "a write for each message"}`, carrier, ratioOverRounds(rows, carrier, p50Of(operation, lanes), limitOf(carrier, how), p50Of(limit, lanes)));
      return [
        ...(["acknowledged", "request"] as const).flatMap((operation) => (["batched", "each"] as const).map((how) => against(operation, how, "echo"))),
        against("acknowledged", "batched", "acknowledged"), // two have to answer in both
      ];
    }),
  ]);
}

function share(what: string, carrier: CarrierName, ratio: Spread): Target {
  return { what, carrier, ratio, atLeast: LEAST_SHARE, isMet: ratio.p50 >= LEAST_SHARE };
}

function times(what: string, carrier: CarrierName, ratio: Spread): Target {
  return { what, carrier, ratio, atMost: MOST_TIMES, isMet: ratio.p50 <= MOST_TIMES };
}
