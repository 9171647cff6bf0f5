import type { ProfileName } from "../../../src/testing/simulation/plan.ts";
import type { Mutant } from "./mutant.ts";
import { profileOfSeed } from "./options.ts";
import type { MutantsOptions } from "./options.ts";
import { Subject } from "./subject.ts";
import type { Outcome } from "./subject.ts";

/** What became of one mutant. */
export interface Finding {
  readonly mutant: Mutant;
  /** Seeds that it has played, and on how many of them something found it. */
  readonly seeds: number;
  readonly caught: number;
  /** On how many seeds each check found it, the most first. `crash` and `hang` stand beside the checks. */
  readonly by: Readonly<Record<string, number>>;
  readonly first: { readonly seed: number; readonly profile: string; readonly by: readonly string[]; readonly message?: string } | undefined;
  /** Why it was ended before its seeds were played. */
  readonly cutShort: "hung" | "out of time" | undefined;
  readonly tookMs: number;
}

/** What became of the correct code. */
export interface Control {
  readonly seeds: number;
  /** Seeds on which the correct code breaks a promise or does not come to its end: no catch counts there. */
  readonly failed: readonly { readonly seed: number; readonly profile: string; readonly by: readonly string[] }[];
  readonly simulatedMs: number;
}

export interface Experiment {
  readonly control: Control;
  readonly findings: readonly Finding[];
  readonly passed: boolean;
  readonly tookMs: number;
}

/** For one mutant altogether: one that makes runs slow, but does not hang, is ended then. */
const MUTANT_LIMIT_MS = 20 * 60_000;

/** Plays the seeds with the correct code, and then with each mutant. `tell` hears what comes of it as it comes. */
export async function experiment(options: MutantsOptions, tell: (line: string) => void): Promise<Experiment> {
  const beganMs = performance.now();
  const control = new ControlGroup(options);
  // Where one catch is enough, the correct code plays only the seeds on which something was caught.
  const profiles = new Set(options.mutants.map((mutant) => options.profile ?? mutant.profile));
  if (options.enough > 1) for (const profile of profiles) await control.playAll(profile, tell);
  const findings = await sideBySide(options.mutants, options.workers, (mutant) => observe(mutant, control, options, tell));
  control.close();
  const passed = control.result.failed.length === 0 && findings.every((finding) => finding.caught > 0 || finding.mutant.survives !== undefined);
  return { control: control.result, findings, passed, tookMs: performance.now() - beganMs };
}

/** The correct code. */
class ControlGroup {
  readonly #options: MutantsOptions;
  /** By profile and seed. */
  readonly #outcomes = new Map<string, Promise<Outcome>>();
  readonly #failed: Array<{ seed: number; profile: string; by: readonly string[] }> = [];
  #simulatedMs = 0;
  #subject: Subject | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: MutantsOptions) {
    this.#options = options;
  }

  get result(): Control {
    return { seeds: this.#outcomes.size, failed: this.#failed.toSorted((a, b) => a.seed - b.seed), simulatedMs: this.#simulatedMs };
  }

  /** All seeds, in one profile or in the round. */
  async playAll(only: ProfileName | undefined, tell: (line: string) => void): Promise<void> {
    const { seeds, workers } = this.#options;
    let next = 1;
    await sideBySide(Array.from({ length: Math.min(workers, seeds) }), workers, async () => {
      const subject = new Subject(undefined);
      for (let seed = next++; seed <= seeds; seed = next++) {
        const profile = only ?? profileOfSeed(seed, this.#options);
        const outcome = subject.play({ seed, profile });
        this.#outcomes.set(`${profile} ${seed}`, outcome);
        this.#note(seed, profile, await outcome);
        if (seed % 50 === 0) tell(`the correct code: ${seed} of ${seeds} seeds, ${this.#failed.length} failed`);
      }
      subject.close();
    });
  }

  /** Whether the correct code passes on a seed, so that a catch there means something. */
  async passes(seed: number, profile: ProfileName): Promise<boolean> {
    const order = `${profile} ${seed}`;
    let outcome = this.#outcomes.get(order);
    if (outcome === undefined) {
      const subject = (this.#subject ??= new Subject(undefined));
      outcome = this.#queue.then(() => subject.play({ seed, profile }));
      this.#queue = outcome;
      this.#outcomes.set(order, outcome);
      this.#note(seed, profile, await outcome);
    }
    return causesOf(await outcome).length === 0;
  }

  close(): void {
    this.#subject?.close();
  }

  #note(seed: number, profile: ProfileName, outcome: Outcome): void {
    const by = causesOf(outcome);
    if (outcome.kind === "judged") this.#simulatedMs += outcome.simulatedMs;
    if (by.length > 0) this.#failed.push({ seed, profile, by });
  }
}

async function observe(mutant: Mutant, control: ControlGroup, options: MutantsOptions, tell: (line: string) => void): Promise<Finding> {
  const beganMs = performance.now();
  const subject = new Subject(mutant);
  const by: Record<string, number> = {};
  let seeds = 0;
  let caught = 0;
  let first: Finding["first"];
  let cutShort: Finding["cutShort"];
  for (let seed = 1; seed <= options.seeds && caught < options.enough && cutShort === undefined; seed++) {
    const profile = profileOfSeed(seed, options, mutant);
    const outcome = await subject.play({ seed, profile });
    const causes = causesOf(outcome);
    if (causes.length > 0 && !(await control.passes(seed, profile))) continue;
    seeds += 1;
    if (outcome.kind === "hung") cutShort = "hung";
    else if (performance.now() - beganMs > MUTANT_LIMIT_MS) cutShort = "out of time";
    if (causes.length === 0) continue;
    caught += 1;
    first ??= { seed, profile, by: causes, ...(outcome.kind === "crashed" ? { message: outcome.message } : {}) };
    for (const cause of causes) by[cause] = (by[cause] ?? 0) + 1;
  }
  subject.close();
  const finding: Finding = { mutant, seeds, caught, by: Object.fromEntries(Object.entries(by).sort(([, a], [, b]) => b - a)), first, cutShort, tookMs: performance.now() - beganMs };
  tell(`${mutant.name}: ${first === undefined ? `survived ${seeds} seeds` : `caught on ${caught} of ${seeds} seeds, first on ${first.seed} by ${first.by.join(", ")}`} (${(finding.tookMs / 1_000).toFixed(0)} s)`);
  return finding;
}

/** What speaks against a run; nothing if it is as it should be. */
function causesOf(outcome: Outcome): readonly string[] {
  if (outcome.kind === "judged") return outcome.checks;
  return [outcome.kind === "hung" ? "hang" : "crash"];
}

/** Does `work` on each, `width` of them at a time, and answers in their order. */
async function sideBySide<Item, Result>(items: readonly Item[], width: number, work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index] as Item);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}
