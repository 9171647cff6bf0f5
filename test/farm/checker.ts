import { createHash } from "node:crypto";
import type { AppRecord, Artifact, ChangeReport } from "../../src/farm/index.ts";
import type { NodeReport, Vote } from "../../src/farm/record.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import type { WriteDocumentInput } from "../../src/store/index.ts";
import type { Process } from "./simulate.ts";

/** Codes with which a change is refused, or rolled back, and never is what is desired. */
const NOT_COMMITTED: readonly string[] = ["FARM_BUSY", "FARM_VERSION_EXISTS", "FARM_NOT_DEPLOYED", "FARM_PREPARE_FAILED", "FARM_UNHANDLED", "FARM_TIMEOUT", "FARM_UNHEALTHY", "FARM_ACTIVATE_FAILED", "FARM_MEMBER_LEFT"];

interface Life {
  /** "name version" of what is prepared, or was and is active. */
  readonly prepared: Set<string>;
  /** Version by name. */
  readonly running: Map<string, string>;
  /** Names of which something could not be done. */
  readonly failed: Set<string>;
}

/** Sees what comes into the store and what handlers are called for, and complains of what breaks a promise of the room. */
export class Checker {
  readonly complaints: string[] = [];
  committed = 0;
  rolledBack = 0;
  waves = 0;
  lateDecisions = 0;
  overtakenDecisions = 0;
  refusals = 0;
  activations = 0;
  /** Everything that came into the store, and when. */
  readonly history = createHash("sha256");
  readonly #fence: () => number | undefined;
  readonly #records = new Map<string, AppRecord>();
  readonly #votes = new Map<string, Vote>();
  /** "incarnation name release" that was ever reported as running. */
  readonly #reported = new Set<string>();
  /** "name version" that was what is desired, and "name version node" that a wave let in. */
  readonly #allowed = new Set<string>();
  /** By change. */
  readonly #versions = new Map<string, string>();
  /** "name version", and "name version node" for whom a wave had let in, by when it stopped to be what is desired there. */
  readonly #desiredUntilMs = new Map<string, number>();
  readonly #outcomes = new Map<string, string>();
  /** Members that take part, as each coordinator saw them when it began to count votes. */
  readonly #counted = new Map<Process, readonly { readonly node: string; readonly incarnation: string }[]>();
  readonly #lives = new Map<Process, Life>();
  /** What was asked of it and is not answered. */
  readonly #open = new Map<Process, Set<string>>();

  constructor(fence: () => number | undefined) {
    this.#fence = fence;
  }

  /** All records, as they are in the store. */
  get records(): readonly AppRecord[] {
    return [...this.#records.values()];
  }

  complain(what: string): void {
    if (this.complaints.length < 20) this.complaints.push(what);
  }

  // ---- the store ---------------------------------------------------------------------------------------------

  /** A coordinator begins to count votes when it asks for them: with the view that it has then. */
  asked(process: Process, prefix: string): void {
    if (prefix === "farm.vote.") this.#counted.set(process, process.cluster.view.members.filter(({ observer }) => !observer));
  }

  isDecision({ name, change }: AppRecord): boolean {
    const before = this.#records.get(name)?.change ?? null;
    return before !== null && (change === null || change.phase !== before.phase || change.admitted.length !== before.admitted.length);
  }

  written(process: Process, { name, text, fence }: WriteDocumentInput): void {
    this.history.update(`${process.clock.monotonicMs()} ${process.node} ${name} ${text}\n`);
    if (name.startsWith("farm.app.")) this.#decided(process, JSON.parse(text) as AppRecord, fence?.token);
    else if (name.startsWith("farm.vote.")) this.#voted(process, JSON.parse(text) as Vote);
    else if (name.startsWith("farm.node.")) {
      const { incarnation, apps } = JSON.parse(text) as NodeReport;
      for (const [app, { release }] of Object.entries(apps)) if (release !== null) this.#reported.add(`${incarnation} ${app} ${release}`);
    }
  }

  /** A write that did not come about. */
  refused(_process: Process, { name, fence }: WriteDocumentInput): void {
    if (!name.startsWith("farm.app.")) return;
    if (fence?.token === this.#fence()) this.overtakenDecisions++;
    else this.lateDecisions++;
  }

  #decided(process: Process, record: AppRecord, token: number | undefined): void {
    const { name, change, current, outcomes } = record;
    const before = this.#records.get(name);
    this.#records.set(name, record);
    if (token !== this.#fence()) this.complain(`${process.node} wrote ${name} under token ${token}, the fence is at ${this.#fence()}`);
    const [newest] = outcomes;
    const known = before?.outcomes ?? [];
    const isKept = (rest: AppRecord["outcomes"]) => rest.every(({ id }, n) => id === known[n]?.id) && rest.length >= Math.min(known.length, 9);
    if (!isKept(outcomes) && !isKept(outcomes.slice(1))) this.complain(`${name} has lost how a change ended`);
    for (const { id, result } of outcomes) {
      if ((this.#outcomes.get(id) ?? result) !== result) this.complain(`change ${id} of ${name} was ${this.#outcomes.get(id)}, and is ${result}`);
      if (!this.#outcomes.has(id)) {
        if (result === "committed") this.committed++;
        else this.rolledBack++;
      }
      this.#outcomes.set(id, result);
    }
    if (change !== null) {
      this.#versions.set(change.id, change.release.version);
      for (const node of change.admitted) this.#allowed.add(`${name} ${change.release.version} ${node}`);
    }
    if (current !== null) this.#allowed.add(`${name} ${current.version}`);
    if (before?.current !== undefined && before.current?.id !== current?.id) this.#desiredUntilMs.set(`${name} ${before.current?.version ?? ""}`, process.clock.monotonicMs());
    if (before?.change === null || before?.change === undefined) return;
    if (change?.id !== before.change.id) for (const node of before.change.admitted) this.#desiredUntilMs.set(`${name} ${before.change.release.version} ${node}`, process.clock.monotonicMs());
    if (change?.id !== before.change.id && newest?.id !== before.change.id) this.complain(`change ${before.change.id} of ${name} went away without an end`);
    const isCommitted = change?.id !== before.change.id && newest?.result === "committed";
    const goesOn = isCommitted || (change?.id === before.change.id && change.admitted.length > before.change.admitted.length);
    if (!goesOn) return;
    if (before.change.phase === "preparing") this.#mustHaveVotes(process, name, before.change.id);
    else {
      this.waves++;
      for (const { node, incarnation } of this.#counted.get(process) ?? []) if (before.change.wave.includes(node) && !this.#reported.has(`${incarnation} ${name} ${before.change.release.id}`)) this.complain(`${process.node} did not wait for ${node} in a wave of ${name}`);
    }
  }

  #mustHaveVotes(process: Process, name: string, change: string): void {
    for (const { node, incarnation } of this.#counted.get(process) ?? []) {
      const vote = this.#votes.get(`${change} ${incarnation}`);
      if (vote?.yes !== true) this.complain(`${process.node} decided for ${name} ${this.#versions.get(change)}, and ${node} had ${vote === undefined ? "not voted" : "voted no"}`);
    }
  }

  #voted(process: Process, vote: Vote): void {
    this.#votes.set(`${vote.change} ${vote.incarnation}`, vote);
    if (!vote.yes) this.refusals++;
    const version = this.#versions.get(vote.change);
    const isReady = [...this.#life(process).prepared].some((each) => each.endsWith(` ${version}`)) || [...this.#life(process).running.values()].includes(version ?? "");
    if (vote.yes && !isReady) this.complain(`${process.node} voted yes on ${version}, which it has not prepared`);
  }

  // ---- handlers ----------------------------------------------------------------------------------------------

  preparing(process: Process, { name, version }: Artifact, isWhole: boolean): void {
    if (!isWhole) this.complain(`${process.node} got another artifact as ${name} ${version}`);
  }

  prepared(process: Process, { name, version }: Artifact): void {
    this.#life(process).prepared.add(`${name} ${version}`);
  }

  activating(process: Process, { name, version }: Artifact): void {
    this.activations++;
    const { node } = process;
    if (!this.#allowed.has(`${name} ${version}`) && !this.#allowed.has(`${name} ${version} ${node}`)) this.complain(`${node} applies ${name} ${version}, which was not decided`);
    if (!this.#life(process).prepared.has(`${name} ${version}`)) this.complain(`${node} applies ${name} ${version}, which it has not prepared`);
  }

  activated(process: Process, { name, version }: Artifact): void {
    this.#life(process).running.set(name, version);
  }

  deactivated(process: Process, { name }: Artifact): void {
    this.#life(process).running.delete(name);
  }

  discarded(process: Process, { name, version }: Artifact): void {
    const { prepared, running } = this.#life(process);
    prepared.delete(`${name} ${version}`);
    if (running.get(name) === version) this.complain(`${process.node} discards ${name} ${version}, which runs`);
  }

  // ---- what was asked ----------------------------------------------------------------------------------------

  /** What becomes of a change for the one who asked. `release`: of a deployment. */
  judge(process: Process, what: string, changing: Promise<ChangeReport>, release: { readonly name: string; readonly version: string } | undefined): void {
    const open = this.#open.get(process) ?? new Set();
    this.#open.set(process, open.add(what));
    const judged = changing.then(
      () => {
        if (release !== undefined && !this.#allowed.has(`${release.name} ${release.version}`)) this.complain(`deploying ${release.name} ${release.version} came to an end, and it was never desired`);
      },
      (error: unknown) => {
        if (!isTribuneError(error)) this.complain(`${String(error)} ${error instanceof Error ? error.stack : ""}`);
        else if (release !== undefined && NOT_COMMITTED.includes(error.code) && this.#allowed.has(`${release.name} ${release.version}`)) this.complain(`deploying ${release.name} ${release.version} failed with ${error.code}, and it was committed`);
      },
    );
    void judged.then(() => open.delete(what));
  }

  /** It has just started, within `catchUpMs`: it has what is desired, or what was while it started, or says why not. */
  started(process: Process, fromMs: number): void {
    for (const [name, { current, change }] of this.#records) {
      const version = this.#life(process).running.get(name);
      const what = `${name} ${version ?? ""}`;
      const isLetIn = change?.release.version === version && change?.admitted.includes(process.node) === true;
      const was = [what, `${what} ${process.node}`].some((each) => (this.#desiredUntilMs.get(each) ?? Number.NEGATIVE_INFINITY) >= fromMs);
      if (version !== current?.version && !isLetIn && !was && !this.#life(process).failed.has(name)) this.complain(`${process.node} has started with ${name} ${version ?? "not there"}, and ${current?.version ?? "none"} is desired`);
    }
  }

  /** A member says why it has not what is desired. */
  warned(process: Process, { name }: Readonly<Record<string, unknown>>): void {
    if (typeof name === "string") this.#life(process).failed.add(name);
  }

  ended(process: Process): void {
    this.#lives.delete(process);
    this.#open.delete(process);
  }

  /** What speaks against rest: something is under way, or this member has not what is desired, or has something else, or has not answered who asked it. */
  *unrest(process: Process): Generator<string> {
    for (const [name, { change, current }] of this.#records) {
      if (change !== null) yield `a change of ${name} is under way for ever`;
      const { running, prepared } = this.#life(process);
      if (running.get(name) !== current?.version) yield `${process.node} has ${name} ${running.get(name) ?? "not there"} after quiet, desired is ${current?.version ?? "none"}`;
      for (const each of prepared) if (each.startsWith(`${name} `) && each !== `${name} ${current?.version}`) yield `${process.node} keeps ${each} prepared for ever`;
    }
    for (const what of this.#open.get(process) ?? []) yield `${process.node} was asked for ${what}, and has never answered`;
  }

  #life(process: Process): Life {
    let life = this.#lives.get(process);
    if (life === undefined) this.#lives.set(process, (life = { prepared: new Set(), running: new Map(), failed: new Set() }));
    return life;
  }
}
