import { parseArgs } from "node:util";
import { BREAKS } from "../fleet/worker-config.ts";
import type { Break } from "../fleet/worker-config.ts";
import { FAULT_KINDS } from "./plan.ts";
import type { FaultKind } from "./plan.ts";

export interface TortureOptions {
  /** `sqlite`, `postgres`, `mariadb`, `etcd` or `zookeeper` (a server of its own), `etcd-ensemble` (three), or a store URL. */
  readonly store: string;
  readonly durationMs: number;
  readonly seed: number;
  readonly nodes: number;
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly json: boolean;
  /** Where the history is written, and then kept; otherwise in a temporary folder, kept only if there are violations. */
  readonly out: string | undefined;
  /** Restarts the server behind a URL, run by the shell; without it such a server is left alone. */
  readonly restartCommand: string | undefined;
  /** Only these faults; all that the store allows if empty. */
  readonly faults: readonly FaultKind[];
  readonly breaks: Break | undefined;
}

export const USAGE = `usage: npm run torture -- [options]

  --store WHICH                 sqlite (default): a temporary file; postgres, mariadb, etcd, zookeeper: a server of its own; etcd-ensemble: three; or a URL: postgres://…, mysql://…, etcd://…, zookeeper://… or sqlite:PATH
  --minutes N                   how long faults are injected (default 1)
  --seed N                      which faults, in which order (default: a new one, printed)
  --nodes N                     processes, from 3 (default 5)
  --lease MS --beat MS          timings of the nodes (default 2000 and 500)
  --faults A,B                  only these: ${FAULT_KINDS.join(", ")}
  --restart-command CMD         restarts the server behind a URL, which is left alone otherwise
  --out DIR                     write the history there and keep it
  --json                        one JSON value on standard output, progress on standard error
  --break stale-writes|belief   break a promise on purpose: the run must fail

exit codes: 0 no violation, 1 violations or trouble, 2 wrong usage`;

export class UsageError extends Error {}

export function readOptions(args: readonly string[], newSeed: () => number): TortureOptions {
  const { values } = parse(args);
  const number = (name: string, text: string | undefined, fallback: number, min: number, max: number) => {
    if (text === undefined) return fallback;
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value) || value < min || value > max) throw new UsageError(`--${name} must be a number from ${min} to ${max}, not ${JSON.stringify(text)}`);
    return value;
  };
  const whole = (name: string, text: string | undefined, fallback: number, min: number, max: number) => Math.round(number(name, text, fallback, min, max));
  const leaseMs = whole("lease", values.lease, 2_000, 1_000, 60_000);
  const beatMs = whole("beat", values.beat, Math.round(leaseMs / 4), 50, 30_000);
  if (beatMs * 2 > leaseMs) throw new UsageError(`--beat must be at most half of --lease`);
  const { store = "sqlite" } = values;
  if (!/^(sqlite|postgres|mariadb|etcd|etcd-ensemble|zookeeper)$|^(sqlite|postgres|postgresql|mysql|mariadb|etcd|zookeeper):./.test(store)) throw new UsageError("--store must be sqlite, postgres, mariadb, etcd, etcd-ensemble, zookeeper, sqlite:PATH, postgres://…, mysql://…, etcd://… or zookeeper://…");
  return {
    store,
    durationMs: number("minutes", values.minutes, 1, 0.01, 10_000) * 60_000,
    seed: whole("seed", values.seed, newSeed(), 0, 2 ** 32 - 1),
    nodes: whole("nodes", values.nodes, 5, 3, 50),
    leaseMs,
    beatMs,
    json: values.json ?? false,
    out: values.out,
    restartCommand: values["restart-command"],
    faults: (values.faults ?? "").split(",").filter((name) => name !== "").map(faultKind),
    breaks: breakOf(values.break),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        store: { type: "string" },
        minutes: { type: "string" },
        seed: { type: "string" },
        nodes: { type: "string" },
        lease: { type: "string" },
        beat: { type: "string" },
        faults: { type: "string" },
        "restart-command": { type: "string" },
        out: { type: "string" },
        json: { type: "boolean" },
        break: { type: "string" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function faultKind(name: string): FaultKind {
  const kind = FAULT_KINDS.find((each) => each === name);
  if (kind === undefined) throw new UsageError(`--faults: there is no ${JSON.stringify(name)}; there are ${FAULT_KINDS.join(", ")}`);
  return kind;
}

function breakOf(name: string | undefined): Break | undefined {
  if (name === undefined) return undefined;
  const found = BREAKS.find((each) => each === name);
  if (found === undefined) throw new UsageError(`--break must be one of ${BREAKS.join(", ")}`);
  return found;
}
