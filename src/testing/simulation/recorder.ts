import { isTribuneError, silentLogger } from "../../kernel/index.ts";
import type { Logger } from "../../kernel/index.ts";
import type { Cluster } from "../../cluster/index.ts";
import type { Election, Term } from "../../election/index.ts";
import type { MemoryTransaction } from "../../store/memory/index.ts";
import { COORDINATOR } from "../../store/index.ts";
import type { FencedRow, History, HistoryEntry, HistoryEvent } from "../history/index.ts";
import type { Schedule } from "./schedule.ts";
import type { Subject } from "./store.ts";

/** A process whose cluster is being watched. */
export interface Watched {
  readonly name: string;
  readonly node: string;
  /** Whether it runs, and has run for long enough since its machine last slept to have noticed that. */
  hasRun(): boolean;
  /** Whether its clocks can be asked. */
  canBeAsked(): boolean;
  incarnation(): string;
}

/** So many terms of an election are remembered; older ones have been over for long. */
const LONGEST_MEMORY = 16;

/** A term that was announced, and in whose process. */
interface Announcement {
  readonly watched: Watched;
  readonly term: Term<MemoryTransaction>;
  /** Whether it was found that it may not act. */
  isDenied: boolean;
}

/**
 * Writes the history of a simulation down. Belief is not sampled at intervals: two beliefs can overlap only if an earlier holder still believes when a later one is announced, when
 * it wakes, or when it has heard something; so that is when all are asked.
 */
export class Recorder {
  readonly events: HistoryEvent[] = [];
  /** How often a holder was asked whether it believes. */
  asked = 0;
  readonly #schedule: Schedule;
  readonly #announced = new Map<string, Announcement[]>();
  /** Terms that still stand in their processes although a later one has succeeded them, or it was found that they may not act. */
  readonly #doubtful = new Set<Announcement>();
  /** Whose each announced term was, by election and token. */
  readonly #owners = new Map<string, string>();

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  /** What has happened so far, with the rows that were written. */
  history(rows: readonly FencedRow[]): History {
    return { events: this.events, rows };
  }

  note(subject: Subject, entry: HistoryEntry): void {
    this.events.push({ t: this.#schedule.nowMs, ...subject, ...entry });
    if (entry.kind === "declared-dead") this.#askDead(entry.dead);
  }

  noteOf(watched: Watched, entry: HistoryEntry): void {
    this.note({ process: watched.name, node: watched.node, incarnation: watched.incarnation() }, entry);
  }

  /** Listens to everything that a cluster tells, and to each election that its program asks for. */
  watch(watched: Watched, cluster: Cluster<MemoryTransaction>): void {
    const note = (entry: HistoryEntry) => this.noteOf(watched, entry);
    cluster.on("view", ({ view, joined, left }) =>
      note({
        kind: "view",
        version: view.version,
        members: view.members.map(({ node, incarnation, metadata }) => ({ node, incarnation, metadata })),
        coordinator: view.coordinator?.incarnation ?? null,
        skipped: view.skipped,
        joined: joined.map((member) => member.incarnation),
        left: left.map((member) => member.incarnation),
      }),
    );
    cluster.on("coordinator", ({ coordinator, previous }) => note({ kind: "coordinator-told", coordinator: coordinator?.incarnation ?? null, previous: previous?.incarnation ?? null }));
    cluster.on("suspended", ({ reason }) => note({ kind: "told", what: "suspended", code: reason.code, detail: "" }));
    cluster.on("recovered", ({ from }) => note({ kind: "told", what: "recovered", code: "", detail: from }));
    cluster.on("degraded", ({ ailments }) => note({ kind: "told", what: "degraded", code: "", detail: ailments.map((each) => each.what).join(" ") }));
    cluster.on("lost", ({ cause, reason }) => note({ kind: "told", what: "lost", code: reason.code, detail: cause }));
    cluster.on("rejoined", () => note({ kind: "told", what: "rejoined", code: "", detail: "" }));
    cluster.on("overrun", ({ election, token }) => note({ kind: "told", what: "overrun", code: "", detail: `${election} ${token}` }));
    cluster.on("error", (error) => note({ kind: "told", what: "error", code: error.code, detail: error.message }));
    const election = cluster.election.bind(cluster);
    const known = new Set<string>();
    cluster.election = (name, options) => {
      const found = election(name, options);
      if (!known.has(name)) this.#listen(watched, found);
      known.add(name);
      return found;
    };
    cluster.election(COORDINATOR);
  }

  #listen(watched: Watched, election: Election<MemoryTransaction>): void {
    election.on("term", (term) => this.#announce(watched, term));
    election.on("ended", ({ term, reason }) => {
      this.note({ process: watched.name, node: watched.node, incarnation: term.incarnation }, { kind: "ended", election: term.election, token: term.token, reason: isTribuneError(reason) ? reason.code : "" });
    });
    const lead = election.lead.bind(election);
    election.lead = (callback, options) =>
      lead(async (term) => {
        this.noteOf(watched, { kind: "work-began", election: term.election, token: term.token });
        try {
          return await callback(term);
        } finally {
          this.noteOf(watched, { kind: "work-settled", election: term.election, token: term.token });
        }
      }, options);
  }

  /** The incarnation to which a term was announced; "" if it never was. */
  ownerOf(election: string, token: number): string {
    return this.#owners.get(`${election} ${token}`) ?? "";
  }

  #announce(watched: Watched, term: Term<MemoryTransaction>): void {
    const { election, token, incarnation } = term;
    this.#owners.set(`${election} ${token}`, incarnation);
    const earlier = this.#of(election);
    const unaware = earlier.filter((each) => each.watched.hasRun() && !each.term.signal.aborted).map((each) => each.term.incarnation);
    this.note({ process: watched.name, node: watched.node, incarnation }, { kind: "announced", election, token, mayAct: term.mayAct(), ...(unaware.length === 0 ? {} : { unaware }) });
    for (const each of earlier) {
      if (!each.term.isOver) this.#doubtful.add(each);
      this.#ask(each);
    }
    const announced: Announcement = { watched, term, isDenied: false };
    earlier.push(announced);
    this.#ask(announced);
  }

  /** Something has arrived in a process: once it has been dealt with, its terms that are doubtful are asked, if they still stand. */
  askDoubtful(watched: Watched): void {
    for (const each of this.#doubtful) {
      if (each.term.isOver) this.#doubtful.delete(each);
      else if (each.watched === watched) this.#schedule.in(0, () => this.#ask(each));
    }
  }

  /** Asks all terms of a process: when it wakes. */
  askAll(watched: Watched): void {
    for (const announced of this.#announced.values()) for (const each of announced) if (each.watched === watched) this.#ask(each);
  }

  /** Forgets the terms of a process that is gone. */
  forget(watched: Watched): void {
    for (const each of this.#doubtful) if (each.watched === watched) this.#doubtful.delete(each);
    for (const [election, announced] of this.#announced) this.#announced.set(election, announced.filter((each) => each.watched !== watched));
  }

  #askDead(incarnation: string): void {
    for (const announced of this.#announced.values()) for (const each of announced) if (each.term.incarnation === incarnation) this.#ask(each);
  }

  #ask(announced: Announcement): void {
    const { watched, term } = announced;
    if (term.isOver || !watched.canBeAsked()) return;
    this.asked += 1;
    const { election, token } = term;
    const subject: Subject = { process: watched.name, node: watched.node, incarnation: term.incarnation };
    if (term.mayAct()) {
      this.note(subject, { kind: "believes", election, token });
    } else if (!announced.isDenied) {
      announced.isDenied = true;
      this.#doubtful.add(announced);
      this.note(subject, { kind: "denies", election, token });
    }
  }

  #of(election: string): Announcement[] {
    let announced = this.#announced.get(election);
    if (announced === undefined) this.#announced.set(election, (announced = []));
    if (announced.length > LONGEST_MEMORY) announced.splice(0, announced.length - LONGEST_MEMORY);
    return announced;
  }
}

/** Passes what a node logs on, with its name and the simulation's time. */
export function simulationLogger(watched: { readonly name: string }, schedule: Schedule, write: ((line: string) => void) | undefined): Logger {
  if (write === undefined) return silentLogger;
  const line = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => write(`${schedule.nowMs.toFixed(1)} ${watched.name} ${level} ${message} ${JSON.stringify(fields)}`);
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}
