import { ms, plain, ranged, table, whole } from "../markdown.ts";
import { spread } from "../statistics.ts";
import type { ContextsResult } from "./contexts.ts";
import { KEEPERS, TOUCHED } from "./protocol.ts";
import type { KeeperName } from "./protocol.ts";
import type { Figures, Round } from "./rounds.ts";

/** What others are compared with: it has as little to encrypt as they have. */
const OURS: KeeperName = "contexts-plaintext";

type Figure = (round: Round) => number;

/** The tables of a result. */
export function contextsText({ size, rows, peers, leftOut }: ContextsResult): string {
  const { contexts, properties, bytes, flushes } = size;
  const count = Math.max(0, ...rows.map(({ rounds }) => rounds.length));
  const roundsOf = (keeper: KeeperName) => rows.find((row) => row.keeper === keeper)?.rounds ?? [];
  const over = (keeper: KeeperName, figure: Figure, say: (value: number) => string) => ranged(spread(roundsOf(keeper).map(figure)), say);
  const times = (keeper: KeeperName, figure: Figure) => {
    const ours = roundsOf(OURS).map(figure);
    return keeper === OURS ? "1" : ranged(spread(roundsOf(keeper).map((round, n) => figure(round) / (ours[n] ?? Number.NaN))), plain);
  };
  const there = KEEPERS.filter(({ name }) => roundsOf(name).length > 0);
  return [
    `${whole(contexts * properties)} properties of ${bytes} characters in ${whole(contexts)} contexts: one process writes, two others have a copy, all on one host. Medians over ${count} rounds, each with new processes and ${flushes} of each flush; in brackets the range over the rounds. × is the ratio to contexts in plaintext in the same round. Bytes are what the kernel says was sent by TCP, with everything that goes over a connection. ${peers.length === 0 ? "" : `Peers: ${peers.join(", ")}.`}`,
    ...TOUCHED.filter((touched) => touched <= contexts * properties).flatMap((touched) => {
      const of = (name: keyof Figures): Figure => (round) => round.flushes.find((each) => each.touched === touched)?.[name] ?? Number.NaN;
      return [
        `${whole(touched)} changed, until both others have it:`,
        table(
          ["", "time", "×", "processor of the writer", "payload, bytes", "sent by the writer", "sent by all"],
          there.map(({ name, title }) => [title, over(name, of("ms"), ms), times(name, of("ms")), over(name, of("cpuMs"), ms), over(name, of("payloadBytes"), whole), over(name, of("writerBytes"), whole), over(name, of("allBytes"), whole)]),
        ),
      ];
    }),
    "Who joins then, from its start until it has all; all of it set at first, a context at a time, each until both others had it; and the memory of the writer's process then:",
    table(
      ["", "joins in", "×", "processor of the joiner", "set at first in", "×", "memory of the writer"],
      there.map(({ name, title }) => [title, over(name, ({ join }) => join.ms, ms), times(name, ({ join }) => join.ms), over(name, ({ join }) => join.cpuMs, ms), over(name, ({ fillMs }) => fillMs, ms), times(name, ({ fillMs }) => fillMs), over(name, ({ rssMib }) => rssMib, (mib) => `${whole(mib)} MiB`)]),
    ),
    ...leftOut.map(({ who, why }) => `Left out: ${who}: ${why}`),
  ].join("\n\n");
}
