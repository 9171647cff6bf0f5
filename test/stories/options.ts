import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Mutant } from "../simulation/mutants/mutant.ts";
import { UsageError } from "../simulation/options.ts";
import type { CampaignOptions } from "./campaign.ts";
import { ROOMS } from "./rooms.ts";
import type { Room } from "./rooms.ts";

/** What `npm run stories` was asked for. */
export interface StoriesOptions extends CampaignOptions {
  readonly room: Room;
  /** Known-bad variants to play instead of the code as it is; empty: that. */
  readonly mutants: readonly Mutant[];
  readonly json: boolean;
}

export const USAGE = `usage: npm run stories -- ROOM [options]

  ROOM             ${ROOMS.map(({ name }) => name).join(" or ")}
  --seeds N        how many stories (default 100)
  --first N        seed of the first (default: a new one, printed; for mutants 1)
  --workers N      processes side by side (default: one for each core)
  --until-caught   no more stories once there was a complaint
  --mutant NAME    play this known-bad variant of the room; may be given several times
  --mutants        play all of them, one after the other
  --list           the names of all mutants of the room, and what is wrong with each
  --json           one JSON value on standard output, progress on standard error

exit codes: 0 no complaint, or each mutant was caught, or its source says why it is not; 1 otherwise; 2 wrong usage`;

const MOST_SEEDS = 10_000_000;

/** What the command line asks for; `"list"` for the list of a room. Throws `UsageError` with one line. */
export function readOptions(args: readonly string[], newSeed: () => number): StoriesOptions | { readonly list: Room } {
  const { values, positionals } = parse(args);
  const [name] = positionals;
  const room = ROOMS.find((each) => each.name === name);
  if (room === undefined || positionals.length > 1) throw new UsageError(`one room has to be named, ${ROOMS.map((each) => each.name).join(" or ")}, not ${JSON.stringify(positionals.join(" "))}`);
  if (values.list === true) return { list: room };
  const whole = (option: "seeds" | "first" | "workers", fallback: number, min: number, max: number): number => {
    const text = values[option];
    if (text === undefined) return fallback;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) throw new UsageError(`--${option} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`);
    return value;
  };
  const mutants = values.mutants === true ? room.mutants : [...new Set(values.mutant)].map((each) => mutantOf(room, each));
  return {
    room,
    seeds: whole("seeds", 100, 1, MOST_SEEDS),
    first: whole("first", mutants.length > 0 ? 1 : newSeed(), 0, 2 ** 32 - 1),
    workers: whole("workers", availableParallelism(), 1, 64),
    untilCaught: values["until-caught"] ?? false,
    mutants,
    json: values.json ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seeds: { type: "string" },
        first: { type: "string" },
        workers: { type: "string" },
        "until-caught": { type: "boolean" },
        mutant: { type: "string", multiple: true },
        mutants: { type: "boolean" },
        list: { type: "boolean" },
        json: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message.replaceAll("\n", " "));
  }
}

function mutantOf({ mutants, name }: Room, wanted: string): Mutant {
  const mutant = mutants.find((each) => each.name === wanted);
  if (mutant === undefined) throw new UsageError(`--mutant: ${name} has no ${JSON.stringify(wanted)}; --list shows all`);
  return mutant;
}
