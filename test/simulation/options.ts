import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { PROFILE_NAMES } from "../../src/testing/simulation/index.ts";
import type { ProfileName } from "../../src/testing/simulation/index.ts";

/** What `npm run simulate` was asked for. */
export interface SimulateOptions {
  /** How many seeds. */
  readonly seeds: number;
  readonly first: number;
  /** Exactly one seed was named: everything about it is shown. */
  readonly isReplay: boolean;
  /** A plan to play instead of drawing one. */
  readonly plan: string | undefined;
  /** Only this profile; otherwise all of them in turn. */
  readonly profile: ProfileName | undefined;
  /** Nodes of each cluster; drawn if `undefined`. */
  readonly nodes: number | undefined;
  /** How long faults go on in each run, in simulated time. */
  readonly faultsMs: number | undefined;
  readonly workers: number;
  /** Whether digests of histories are shown. */
  readonly digest: boolean;
  /** Whether what each node logs is shown; for one seed. */
  readonly log: boolean;
  /** How long a failing plan is made smaller. */
  readonly shrinkMs: number;
  /** Where failing plans are written; a temporary folder if `undefined`. */
  readonly out: string | undefined;
  readonly json: boolean;
}

export const USAGE = `usage: npm run simulate -- [options]

  --seeds N        how many seeds (default 200)
  --first N        the first of them (default: a new one, printed)
  --seed N         this one seed: what it came to, its history around a violation, and with --log everything
  --plan FILE      play this plan, as a failing run has written it
  --profile P      only this profile: ${PROFILE_NAMES.join(", ")} (default: all but channel, order and suspicion in turn, by the seed)
  --nodes N        nodes of each cluster, 1 to 50 (default: 3 to 9, by the seed)
  --minutes M      how long faults go on in each run, in simulated minutes (default 4.2, channel 1.7); a settled and a quiet time follow
  --workers N      processes (default: one for each core)
  --digest         SHA-256 of each history, and of all of them together
  --log            with --seed or --plan: what each node logs, between what happens
  --shrink S       make a failing plan smaller for at most S seconds (default 60; 0: not at all)
  --out DIR        where failing plans are written (default: a temporary folder)
  --json           one JSON value on standard output, progress on standard error

exit codes: 0 no violation, 1 violations, 2 wrong usage`;

/** The command was not understood; the message says why, in one line. */
export class UsageError extends Error {}

const MOST_SEEDS = 10_000_000;

export function readOptions(args: readonly string[], newSeed: () => number): SimulateOptions {
  const values = parse(args);
  const whole = (name: keyof typeof values, fallback: number, min: number, max: number): number => {
    const text = values[name];
    if (typeof text !== "string") return fallback;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`);
    return value;
  };
  const optional = (name: keyof typeof values, min: number, max: number) => (values[name] === undefined ? undefined : whole(name, 0, min, max));
  const { minutes } = values;
  const faultsMs = minutes === undefined ? undefined : Number(minutes) * 60_000;
  if (faultsMs !== undefined && !(minutes !== "" && faultsMs >= 6_000 && faultsMs <= 1_440 * 60_000)) throw new UsageError(`--minutes must be a number from 0.1 to 1440, not ${JSON.stringify(minutes)}`);
  const seed = optional("seed", 0, 2 ** 32 - 1);
  if (seed !== undefined && (values.seeds !== undefined || values.first !== undefined || values.plan !== undefined)) throw new UsageError("--seed goes with none of --seeds, --first and --plan");
  const isReplay = seed !== undefined || values.plan !== undefined;
  if (values.log === true && !isReplay) throw new UsageError("--log goes with --seed or --plan");
  return {
    seeds: isReplay ? 1 : whole("seeds", 200, 1, MOST_SEEDS),
    first: seed ?? whole("first", newSeed(), 0, 2 ** 32 - 1),
    isReplay,
    plan: values.plan,
    profile: values.profile === undefined ? undefined : profileNamed(values.profile),
    nodes: optional("nodes", 1, 50),
    faultsMs,
    workers: whole("workers", availableParallelism(), 1, 64),
    digest: values.digest ?? false,
    log: values.log ?? false,
    shrinkMs: whole("shrink", 60, 0, 86_400) * 1_000,
    out: values.out,
    json: values.json ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string" },
        first: { type: "string" },
        seed: { type: "string" },
        plan: { type: "string" },
        profile: { type: "string" },
        nodes: { type: "string" },
        minutes: { type: "string" },
        workers: { type: "string" },
        digest: { type: "boolean" },
        log: { type: "boolean" },
        shrink: { type: "string" },
        out: { type: "string" },
        json: { type: "boolean" },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError((error as Error).message.split("\n")[0]);
  }
}

export function profileNamed(name: string): ProfileName {
  const profile = PROFILE_NAMES.find((each) => each === name);
  if (profile === undefined) throw new UsageError(`--profile: there is no ${JSON.stringify(name)}; there are ${PROFILE_NAMES.join(", ")}`);
  return profile;
}
