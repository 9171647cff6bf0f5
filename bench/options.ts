import { parseArgs } from "node:util";
import { CARRIERS } from "./channel/protocol.ts";
import { KEEPERS } from "./contexts/protocol.ts";
import { PEERS } from "./failover/peers.ts";
import { DEPARTURES } from "./failover/rounds.ts";
import type { Departure } from "./failover/rounds.ts";
import { STORES } from "./stores.ts";

export const BENCHMARKS = ["failover", "cut", "beats", "fence", "channel", "contexts"] as const;
export type Benchmark = (typeof BENCHMARKS)[number];

/** Peers by name, of whatever benchmark: of leaders, of what carries messages, and of what keeps a map. */
const PEER_NAMES = [...PEERS.map(({ name }) => name), ...[...CARRIERS, ...KEEPERS].filter(({ kind }) => kind === "peer").map(({ name }) => name)];

/** What a run is asked to measure. */
export interface BenchOptions {
  readonly benchmarks: readonly Benchmark[];
  /** Names of {@link STORES}. */
  readonly stores: readonly string[];
  /** Names of {@link PEERS}, and of those that carry messages, or keep a map, in the benchmarks of the channel and of contexts. */
  readonly peers: readonly string[];
  /** Ways of going away that failover measures. */
  readonly departures: readonly Departure[];
  /** Sizes of groups, and numbers of elections, that beats measures instead of its own. */
  readonly sizes: { readonly members: readonly number[]; readonly elections: readonly number[] } | undefined;
  /** How long the channel's messages are. */
  readonly bytes: number | undefined;
  /** Rounds of a thing of ours; of a peer. Each benchmark has defaults. */
  readonly runs: number | undefined;
  readonly peerRuns: number | undefined;
  /** Where the results go as JSON, with every single measurement. */
  readonly json: string | undefined;
  /** Where the failover writes what each process did when, a line of JSON for each round. */
  readonly trace: string | undefined;
  /** Just enough of everything to see that it works. Its numbers say nothing. */
  readonly quick: boolean;
}

export const USAGE = `usage: npm run bench -- [${BENCHMARKS.join(" | ")} | all]... [options]

  failover   how long a group is without a leader: SIGKILL, SIGSTOP, resign, transfer
  cut        what a leader believes whose way to its store is cut
  beats      what members and elections cost the store
  fence      what term.transaction costs over a bare transaction
  channel    broadcasts, acknowledged broadcasts and requests between three processes
  contexts   100,000 properties in three processes: what a flush takes and sends, and what who joins waits for
  all        all of them (default)

  --store A,B      of ${STORES.map(({ name }) => name).join(", ")} (default: all that are here)
  --peers A,B      of ${PEER_NAMES.join(", ")}; or none, or all (default: all)
  --departure A,B  of ${DEPARTURES.join(", ")}: what failover measures (default: all)
  --members A,B    sizes of groups that beats measures (default: 1 to 2000), and
  --elections A,B  numbers of elections that one of two members leads; with one of the two options, only that is measured
  --bytes N        how long the channel's messages are (default: 1024); of longer ones it sends fewer
  --runs N         rounds of each thing of ours (failover: 50; cut: 5; channel: 7; contexts: 3)
  --peer-runs N    rounds of each thing of a peer (failover: 10)
  --json FILE      results with every single measurement
  --trace FILE     what each process did in each round of failover, one line of JSON for each; tracing takes time itself
  --quick          just enough to see that everything works
  --help

Tables go to standard output, progress to standard error. Peers' packages are installed into bench/ on first use.`;

/** Wrong usage, to be told in one line. */
export class WrongUsage extends Error {}

/** Reads the command line; throws {@link WrongUsage}. `undefined`: help was asked for. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values, positionals } = parse(args);
  if (values.help === true) return undefined;
  const asked = positionals.length === 0 || positionals.includes("all") ? [...BENCHMARKS] : BENCHMARKS.filter((name) => positionals.includes(name));
  const strange = positionals.find((name) => name !== "all" && !(BENCHMARKS as readonly string[]).includes(name));
  if (strange !== undefined) throw new WrongUsage(`there is no benchmark ${JSON.stringify(strange)}: name ${BENCHMARKS.join(", ")} or all`);
  return {
    benchmarks: asked,
    stores: names("--store", values.store, STORES.map(({ name }) => name)),
    peers: names("--peers", values.peers, PEER_NAMES),
    departures: names("--departure", values.departure, DEPARTURES),
    sizes: values.members === undefined && values.elections === undefined ? undefined : { members: counts("--members", values.members), elections: counts("--elections", values.elections) },
    bytes: count("--bytes", values.bytes),
    runs: count("--runs", values.runs),
    peerRuns: count("--peer-runs", values["peer-runs"]),
    json: values.json,
    trace: values.trace,
    quick: values.quick ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        store: { type: "string" },
        peers: { type: "string" },
        departure: { type: "string" },
        members: { type: "string" },
        elections: { type: "string" },
        bytes: { type: "string" },
        runs: { type: "string" },
        "peer-runs": { type: "string" },
        json: { type: "string" },
        trace: { type: "string" },
        quick: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new WrongUsage((error as Error).message);
  }
}

function names<Name extends string>(option: string, given: string | undefined, known: readonly Name[]): readonly Name[] {
  if (given === undefined || given === "all") return known;
  if (given === "none") return [];
  const asked = given.split(",").map((name) => name.trim());
  const strange = asked.find((name) => !(known as readonly string[]).includes(name));
  if (strange !== undefined) throw new WrongUsage(`${option} does not know ${JSON.stringify(strange)}: name some of ${known.join(", ")}, separated by commas, or all, or none`);
  return known.filter((name) => asked.includes(name));
}

function counts(option: string, given: string | undefined): readonly number[] {
  return (given?.split(",") ?? []).flatMap((each) => count(option, each.trim()) ?? []);
}

function count(option: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (!/^[1-9]\d{0,6}$/.test(given)) throw new WrongUsage(`${option} takes a whole number from 1 to 9999999, not ${JSON.stringify(given)}`);
  return Number(given);
}
