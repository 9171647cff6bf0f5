import { parseArgs } from "node:util";
import { PROFILE_NAMES, profileOf } from "../../../src/testing/simulation/plan.ts";
import type { ProfileName } from "../../../src/testing/simulation/plan.ts";
import { MUTANTS } from "./all.ts";
import type { Mutant } from "./mutant.ts";

export interface MutantsOptions {
  /** Seeds from 1 to this. */
  readonly seeds: number;
  readonly mutants: readonly Mutant[];
  /** All seeds in this profile; otherwise they go round all. */
  readonly profile: ProfileName | undefined;
  /** A mutant has had enough when it has been caught on so many seeds. */
  readonly enough: number;
  /** Processes side by side. */
  readonly workers: number;
  readonly json: boolean;
}

/** Beyond so many catches the share of seeds is known well enough. */
const ENOUGH = 25;

export const USAGE = `usage: npm run mutants -- [options]

  --seeds N          seeds 1 to N (default 1000), fewer for a mutant that has been caught on ${ENOUGH} of them
  --mutant NAME      only this one; may be given several times (default: all)
  --profile NAME     all seeds in this profile: ${PROFILE_NAMES.join(", ")} (default: in turn, as a campaign does, or a mutant's own)
  --until-caught     stop each mutant at its first catch, for a quick look
  --workers N        processes side by side (default: as many as there are cores)
  --list             the names of all mutants, and what is wrong with each
  --json             one JSON value on standard output

exit codes: 0 each mutant was caught, or its source says why it is not; 1 one survived, or the correct code failed, or trouble; 2 wrong usage`;

export class UsageError extends Error {}

/** What the command line asks for. Throws `UsageError` with one line. */
export function readOptions(args: readonly string[], cores: number): MutantsOptions {
  const { values } = parse(args);
  const whole = (name: string, text: string | undefined, fallback: number, max: number) => {
    if (text === undefined) return fallback;
    const value = Number(text);
    if (text.trim() === "" || !Number.isSafeInteger(value) || value < 1 || value > max) throw new UsageError(`--${name} must be a whole number from 1 to ${max}, not ${JSON.stringify(text)}`);
    return value;
  };
  return {
    seeds: whole("seeds", values.seeds, 1_000, 1_000_000),
    mutants: values.mutant === undefined ? MUTANTS : [...new Set(values.mutant)].map(mutantOf),
    profile: values.profile === undefined ? undefined : profileNamed(values.profile),
    enough: values["until-caught"] === true ? 1 : ENOUGH,
    workers: whole("workers", values.workers, cores, 64),
    json: values.json ?? false,
  };
}

/** The profile of a seed: the one that was asked for, or the mutant's own, or the one of the round that a campaign goes. */
export function profileOfSeed(seed: number, options: Pick<MutantsOptions, "profile">, mutant?: Mutant): ProfileName {
  return options.profile ?? mutant?.profile ?? profileOf(seed);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string" },
        mutant: { type: "string", multiple: true },
        profile: { type: "string" },
        "until-caught": { type: "boolean" },
        workers: { type: "string" },
        json: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message.replaceAll("\n", " "));
  }
}

function mutantOf(name: string): Mutant {
  const mutant = MUTANTS.find((each) => each.name === name);
  if (mutant === undefined) throw new UsageError(`--mutant: there is no ${JSON.stringify(name)}; --list shows all`);
  return mutant;
}

function profileNamed(name: string): ProfileName {
  const profile = PROFILE_NAMES.find((each) => each === name);
  if (profile === undefined) throw new UsageError(`--profile: there is no ${JSON.stringify(name)}; there are ${PROFILE_NAMES.join(", ")}`);
  return profile;
}
