import type { ProfileName } from "../../../src/testing/simulation/plan.ts";

/** A known-bad variant of production code, as data. The harness puts it in place while the code is loaded; production code knows nothing of it. */
export interface Mutant {
  /** In kebab-case, as for `--mutant`. */
  readonly name: string;
  /** One sentence: what is wrong, and where that is seen. */
  readonly wrong: string;
  readonly changes: readonly Change[];
  /** The only profile whose runs reach it. Default: it is played through all that a campaign goes round. */
  readonly profile?: ProfileName;
  /** Set where the simulator does not find it, and that is as it should be. */
  readonly survives?: Survival;
}

/** Why a mutant survives a campaign. */
export interface Survival {
  /** Which other line of defence makes up for it, or why no fault plan gets there. */
  readonly why: string;
  /** A test file that fails on it; `undefined` only where it breaks no promise. */
  readonly foundBy: string | undefined;
}

/** One place of the source that a mutant replaces. */
export interface Change {
  /** As a path from the root of the project. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly from: string;
  readonly to: string;
}

/** The text of `file` with what `mutant` changes in it. Throws if any snippet is not there exactly once: then the source has moved on, and the mutant has to follow. */
export function mutated(mutant: Mutant, file: string, text: string): string {
  return mutant.changes
    .filter((change) => change.file === file)
    .reduce((before, { from, to }) => {
      const count = before.split(from).length - 1;
      if (count !== 1) throw new Error(`mutant ${mutant.name}: its snippet occurs ${count} times in ${file}, where it has to occur once: ${JSON.stringify(from)}`);
      return before.replace(from, () => to);
    }, text);
}
