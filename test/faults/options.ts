import { parseArgs } from "node:util";
import { FAULT_KINDS, FAULTS, faultsFor, STORE_KINDS } from "./catalogue.ts";
import type { FaultKind, StoreKind } from "./catalogue.ts";

export interface FaultOptions {
  readonly storeKind: StoreKind;
  readonly minutes: number;
  readonly seed: number;
  readonly nodes: number;
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly crashDetection: "evidence" | "lease";
  /** Only these faults; all that store and world allow if empty. */
  readonly only: readonly FaultKind[];
  /** Whether to do without namespaces of the network where they could be had. */
  readonly loopback: boolean;
  /** How long the group has to come right after the last fault; the checks' own default if `undefined`. */
  readonly settleMs: number | undefined;
  readonly json: boolean;
  /** Where the history is written, and then kept; otherwise in a temporary folder. */
  readonly out: string | undefined;
  /** Whether a temporary folder is kept although nothing was wrong. */
  readonly keep: boolean;
}

/** What the command is asked to do. */
export type Request = { readonly kind: "help" } | { readonly kind: "list"; readonly storeKind: StoreKind | undefined } | { readonly kind: "run"; readonly options: FaultOptions };

export const USAGE = `usage: npm run faults -- --store-kind ${STORE_KINDS.join("|")} [options]

  --store-kind KIND         what the nodes coordinate on: a server, or a file, of this run's own
  --minutes N               how long faults are injected (default 1)
  --seed N                  which faults, in which order (default: a new one, printed)
  --nodes N                 processes, from 3 (default 5)
  --only FAULT[,FAULT]      only these faults; --list names them
  --lease MS --beat MS      timings of the nodes (default 2000 and 500)
  --crash-detection HOW     evidence (default) or lease, as in createCluster
  --loopback                no namespaces, also where they could be had
  --list                    what faults there are, and stop; with --store-kind, those of that store
  --out DIR                 write history and picture there and keep them
  --keep                    keep them, in a temporary folder, also if nothing was wrong
  --json                    one JSON value on standard output, progress on standard error
  --help                    this text, and stop

exit codes: 0 no violation, 1 violations or trouble, 2 wrong usage, 130 interrupted`;

export class UsageError extends Error {}

export function readRequest(args: readonly string[], newSeed: () => number): Request {
  const values = parse(args);
  if (values.help === true) return { kind: "help" };
  const storeKind = values["store-kind"] === undefined ? undefined : oneOf("store-kind", values["store-kind"], STORE_KINDS);
  if (values.list === true) return { kind: "list", storeKind };
  if (storeKind === undefined) throw new UsageError(`--store-kind is missing: ${STORE_KINDS.join(", ")}`);
  const leaseMs = number("lease", values.lease, { fallback: 2_000, min: 1_000, max: 60_000, whole: true });
  const beatMs = number("beat", values.beat, { fallback: Math.round(leaseMs / 4), min: 50, max: 30_000, whole: true });
  if (beatMs * 2 > leaseMs) throw new UsageError("--beat must be at most half of --lease");
  return {
    kind: "run",
    options: {
      storeKind,
      minutes: number("minutes", values.minutes, { fallback: 1, min: 0.01, max: 10_000 }),
      seed: values.seed === undefined ? newSeed() : number("seed", values.seed, { fallback: 0, min: 0, max: 2 ** 32 - 1, whole: true }),
      nodes: number("nodes", values.nodes, { fallback: 5, min: 3, max: 50, whole: true }),
      leaseMs,
      beatMs,
      crashDetection: oneOf("crash-detection", values["crash-detection"] ?? "evidence", ["evidence", "lease"] as const),
      only: faultKinds(values.only, storeKind),
      loopback: values.loopback ?? false,
      settleMs: undefined,
      json: values.json ?? false,
      out: values.out,
      keep: values.keep ?? false,
    },
  };
}

/** The text of `--list`. */
export function listText(storeKind: StoreKind | undefined): string {
  const kinds = storeKind === undefined ? FAULT_KINDS : faultsFor(storeKind);
  const width = Math.max(...kinds.map((kind) => kind.length));
  return kinds.map((kind) => `${kind.padEnd(width)}  ${FAULTS[kind].weight}  ${FAULTS[kind].about} (${FAULTS[kind].stores.join(", ")})`).join("\n");
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        "store-kind": { type: "string" },
        minutes: { type: "string" },
        seed: { type: "string" },
        nodes: { type: "string" },
        only: { type: "string" },
        lease: { type: "string" },
        beat: { type: "string" },
        "crash-detection": { type: "string" },
        loopback: { type: "boolean" },
        list: { type: "boolean" },
        out: { type: "string" },
        keep: { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function number(name: string, text: string | undefined, { fallback, min, max, whole = false }: { readonly fallback: number; readonly min: number; readonly max: number; readonly whole?: boolean }): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  const fits = text.trim() !== "" && Number.isFinite(value) && value >= min && value <= max && (!whole || Number.isInteger(value));
  if (!fits) throw new UsageError(`--${name} must be a ${whole ? "whole " : ""}number from ${min} to ${max}, not ${JSON.stringify(text)}`);
  return value;
}

function oneOf<Name extends string>(option: string, name: string, names: readonly Name[]): Name {
  const found = names.find((each) => each === name);
  if (found === undefined) throw new UsageError(`--${option} must be one of ${names.join(", ")}, not ${JSON.stringify(name)}`);
  return found;
}

function faultKinds(text: string | undefined, storeKind: StoreKind): FaultKind[] {
  if (text === undefined) return [];
  const possible = faultsFor(storeKind);
  const names = text.split(",").map((name) => name.trim());
  return [...new Set(names)].map((name) => {
    const kind = FAULT_KINDS.find((each) => each === name);
    if (kind === undefined) throw new UsageError(`--only: there is no fault ${JSON.stringify(name)}; --list names them`);
    if (!possible.includes(kind)) throw new UsageError(`--only: ${kind} cannot be done to ${storeKind}`);
    return kind;
  });
}
