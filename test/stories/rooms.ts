import { join } from "node:path";
import { MUTANTS as CONTEXTS } from "../contexts/mutants.ts";
import { MUTANTS as FARM } from "../farm/mutants.ts";
import type { Mutant } from "../simulation/mutants/mutant.ts";

/** What came of a story: what is wrong, and how often what happened. */
export type Story = { readonly complaints: readonly string[] } & Readonly<Record<string, unknown>>;

/** A room that has stories. */
export interface Room {
  readonly name: string;
  /** Exports `simulate(seed)`, which resolves with a {@link Story}. */
  readonly file: string;
  /** Known-bad variants of it, each of which a story has to catch. */
  readonly mutants: readonly Mutant[];
}

const roomOf = (name: string, mutants: readonly Mutant[]): Room => ({ name, file: join(import.meta.dirname, "..", name, "simulate.ts"), mutants });

export const ROOMS: readonly Room[] = [roomOf("contexts", CONTEXTS), roomOf("farm", FARM)];
