import { plain, ranged, table, whole } from "../markdown.ts";
import type { ChannelResult } from "./channel.ts";
import { carrierOf, delivered, limitOf, overRounds, p50Of, rateOf, ratioOverRounds } from "./figures.ts";
import type { Figure } from "./figures.ts";
import { BYTES } from "./protocol.ts";
import type { CarrierName, Operation } from "./protocol.ts";
import { deliveriesOf, TRIBES } from "./tribes.ts";

/** The tables of a result. */
export function channelText(result: ChannelResult): string {
  const { rows, targets, peers, leftOut, bytes, messages, echoes } = result;
  const count = Math.max(0, ...rows.map(({ rounds }) => rounds.length));
  return [
    `One sender and two receivers, each a process of its own, on one host; messages of ${bytes} bytes. Medians over ${count} rounds of ${messages} broadcasts and ${echoes} or ${4 * echoes} of each other thing, each round with new processes; in brackets the range over the rounds. Ratios are of the same round. ${fewer(rows)}${peers.length === 0 ? "" : `Peers: ${peers.join(", ")}.`}`,
    "Broadcast, asynchronous:",
    broadcasts(result),
    "One at a time, p50. An echo is one message there and the same one back; acknowledged: until both receivers have handled it. × is the ratio to an echo of one process over the same kind of socket, batched by hand.",
    operations(result, 1),
    "64 at a time, p50:",
    operations(result, 64),
    ...(bytes === BYTES ? aims(targets) : []),
    ...(bytes === BYTES || isTribesMeasured(result) ? besides(result) : []),
    ...leftOut.map(({ who, why }) => `Left out: ${who}: ${why}`),
  ].join("\n\n");
}

function aims(targets: ChannelResult["targets"]): readonly string[] {
  return [
    "What was aimed at, judged by the median of the ratios; the same kind of socket on both sides:",
    table(["target", "carrier", "aim", "measured", "met"], targets.map(({ what, carrier, ratio, atLeast, atMost, isMet }) => [what, carrier, atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`, ranged(ratio, plain), isMet ? "yes" : "**no**"])),
  ];
}

function isTribesMeasured(result: ChannelResult): boolean {
  return isMeasured(result, "tribes") || isMeasured(result, "tribes-order");
}

function besides(result: ChannelResult): readonly string[] {
  return [
    isTribesMeasured(result)
      ? "Beside Apache Tribes, measured in this run; the multiples of its throughput are of the same round. Delivered, or requests, per second, and p50:"
      : "Beside Apache Tribes 10.1 on Java 17, whose figures are **not from this run**: they were measured on a machine of the same kind, with two cores and other work at times, so that they say in which order things are, and not more. Delivered, or requests, per second, and p50:",
    besideTribes(result),
  ];
}

function fewer(rows: ChannelResult["rows"]): string {
  return rows.map(({ carrier }) => carrierOf(carrier)).flatMap(({ title, oneIn }) => (oneIn === undefined ? [] : [`${title}: one in ${oneIn} of the broadcasts. `])).join("");
}

function broadcasts({ rows }: ChannelResult): string {
  return table(
    ["", "delivered/s", "of raw, batched", "of raw, a write each", "lost"],
    rows.map(({ carrier, rounds }) => {
      const share = (how: "batched" | "each") => ranged(ratioOverRounds(rows, carrier, delivered, limitOf(carrier, how), delivered), plain);
      return [carrierOf(carrier).title, ranged(overRounds(rows, carrier, delivered), whole), share("batched"), share("each"), String(rounds.reduce((sum, { lost }) => sum + lost, 0))];
    }),
  );
}

function operations({ rows }: ChannelResult, lanes: number): string {
  const cells = (carrier: CarrierName, operation: Operation) => {
    const own = overRounds(rows, carrier, p50Of(operation, lanes));
    if (Number.isNaN(own.p50)) return ["", ""];
    return [ranged(own, micros), plain(ratioOverRounds(rows, carrier, p50Of(operation, lanes), limitOf(carrier, "batched"), p50Of("echo", lanes)).p50)];
  };
  return table(
    ["", "echo", "×", "acknowledged", "×", "request to one", "×", "request to both", "×"],
    rows.map(({ carrier }) => [carrierOf(carrier).title, ...cells(carrier, "echo"), ...cells(carrier, "acknowledged"), ...cells(carrier, "request"), ...cells(carrier, "requestAll")]),
  );
}

function besideTribes(result: ChannelResult): string {
  const { rows } = result;
  const cell = (rate: number, p50Us: number | undefined) => `${whole(rate)}${p50Us === undefined ? "" : `, ${micros(p50Us)}`}`;
  const measured = TRIBES.filter(({ carrier }) => carrier !== undefined && isMeasured(result, carrier));
  return table(
    ["Tribes", "its order", "Tribes", "channel, plaintext", "× its throughput", "channel, keys", "× its throughput"],
    (measured.length > 0 ? measured : TRIBES).map(({ title, what, lanes, carrier, perSecond, p50Us, order }) => {
      const rate: Figure = what === "broadcast" ? delivered : (round) => deliveriesOf(what) * rateOf(what, lanes)(round);
      const of = (name: CarrierName) => cell(overRounds(rows, name, rate).p50, what === "broadcast" ? undefined : overRounds(rows, name, p50Of(what, lanes)).p50);
      if (measured.length === 0 || carrier === undefined) {
        const ours = (name: CarrierName) => [of(name), plain(overRounds(rows, name, rate).p50 / perSecond)];
        return [title, order, cell(perSecond, p50Us), ...ours("channel-plaintext"), ...ours("channel-keys")];
      }
      const ours = (name: CarrierName) => [of(name), ranged(ratioOverRounds(rows, name, rate, carrier, rate), plain)];
      const disordered = what === "broadcast" ? overRounds(rows, carrier, (round) => (round.disordered ?? Number.NaN) * 100) : undefined;
      return [title, disordered === undefined ? "" : `${ranged(disordered, whole)} % out of order`, of(carrier), ...ours("channel-plaintext"), ...ours("channel-keys")];
    }),
  );
}

function isMeasured({ rows }: ChannelResult, carrier: CarrierName): boolean {
  return rows.some((row) => row.carrier === carrier);
}

function micros(value: number): string {
  return Number.isFinite(value) ? `${whole(value)} µs` : "–";
}
