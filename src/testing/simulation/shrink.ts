import type { Fault } from "./faults.ts";
import type { Plan } from "./plan.ts";
import type { PlannedTraffic } from "./traffic.ts";

/** How far a plan is made smaller. */
export interface ShrinkOptions {
  /** Whether a smaller plan still shows what is looked for. Called again and again. */
  readonly fails: (plan: Plan) => Promise<boolean>;
  /** Asked before each attempt; when it answers true, the smallest plan so far is the result. */
  readonly enough: () => boolean;
  /** Called with each smaller plan that still fails. */
  readonly progress?: ((plan: Plan, attempts: number) => void) | undefined;
}

/**
 * Makes a plan that fails smaller: fewer faults (delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"), fewer nodes, calmer work, less time. The
 * result fails as well.
 */
export async function shrinkPlan(plan: Plan, options: ShrinkOptions): Promise<Plan> {
  const shrinking = new Shrinking(plan, options);
  // Again from the beginning while it helps: without a node more faults may be superfluous.
  for (let size = Number.POSITIVE_INFINITY; shrinking.size < size; ) {
    size = shrinking.size;
    await shrinking.leaveOutFaults();
    await shrinking.leaveOutNodes();
    await shrinking.calmWork();
    await shrinking.endSooner();
  }
  return shrinking.plan;
}

class Shrinking {
  plan: Plan;
  readonly #options: ShrinkOptions;
  #attempts = 0;

  constructor(plan: Plan, options: ShrinkOptions) {
    this.plan = plan;
    this.#options = options;
  }

  get size(): number {
    const { faults, nodes, faultsUntilMs } = this.plan;
    return faults.length + nodes.length + faultsUntilMs / 100_000;
  }

  async leaveOutFaults(): Promise<void> {
    for (let parts = 2; this.plan.faults.length > 0; ) {
      const { faults } = this.plan;
      const length = Math.ceil(faults.length / parts);
      let found = false;
      for (let from = 0; from < faults.length && !found; from += length) {
        found = await this.#try({ ...this.plan, faults: faults.filter((_, index) => index < from || index >= from + length) });
      }
      if (found) parts = Math.max(2, parts - 1);
      else if (length === 1) return;
      else parts = Math.min(faults.length, parts * 2);
      if (this.#options.enough()) return;
    }
  }

  async leaveOutNodes(): Promise<void> {
    for (const { name } of this.plan.nodes) {
      if (this.plan.nodes.length > 1) await this.#try(without(this.plan, name));
    }
  }

  async calmWork(): Promise<void> {
    await this.#try({ ...this.plan, reader: false });
    await this.#try({ ...this.plan, work: { ...this.plan.work, returns: 0, throws: 0 } });
    await this.#try({ ...this.plan, work: { ...this.plan.work, overstays: 0, stale: 0, slow: 0 } });
    const elections = [...new Set(this.plan.nodes.flatMap((node) => node.elections))];
    const { traffic } = this.plan;
    if (traffic !== undefined) {
      for (const calmer of CALMER_TRAFFIC) await this.#try({ ...this.plan, traffic: { ...(this.plan.traffic ?? traffic), ...calmer } });
    }
    for (const election of elections.length > 1 ? elections : []) {
      const nodes = this.plan.nodes.map((node) => ({ ...node, elections: node.elections.filter((name) => name !== election) }));
      await this.#try({ ...this.plan, nodes });
    }
  }

  async endSooner(): Promise<void> {
    const lastMs = this.plan.faults.at(-1)?.atMs ?? 0;
    for (const afterMs of [2_000, 10_000, 40_000]) {
      if (lastMs + afterMs < this.plan.faultsUntilMs && (await this.#try({ ...this.plan, faultsUntilMs: lastMs + afterMs }))) return;
    }
  }

  async #try(plan: Plan): Promise<boolean> {
    if (this.#options.enough() || JSON.stringify(plan) === JSON.stringify(this.plan)) return false;
    this.#attempts += 1;
    if (!(await this.#options.fails(plan))) return false;
    this.plan = plan;
    this.#options.progress?.(plan, this.#attempts);
    return true;
  }
}

/** What may be superfluous in traffic. */
const CALMER_TRAFFIC: readonly Partial<PlannedTraffic>[] = [{ requests: 0 }, { large: 0 }, { throws: 0, slow: 0 }, { unordered: 0 }, { bursts: 0 }, { topics: 1 }];

/** The plan without a node, and without what was to happen to that. */
function without(plan: Plan, name: string): Plan {
  const faults = plan.faults
    .filter((fault) => !("node" in fault) || fault.node !== name || "holderOf" in fault)
    .filter((fault) => !("other" in fault) || fault.other !== name)
    .map((fault): Fault => (fault.kind === "crowd" ? { ...fault, nodes: fault.nodes.filter((node) => node !== name) } : fault));
  return { ...plan, nodes: plan.nodes.filter((node) => node.name !== name), faults };
}
