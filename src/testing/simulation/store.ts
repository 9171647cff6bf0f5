import { TribuneError } from "../../kernel/index.ts";
import type { BeatInput, BeatReply, ClaimInput, ClaimResult, DeclareDeadInput, Hint, JoinInput, JoinResult, PublishViewInput } from "../../store/index.ts";
import { MemoryEngine } from "../../store/memory/index.ts";
import type { EngineState } from "../../store/memory/index.ts";
import type { DeclaredDead, EndOfSession, FencedRow, HistoryEntry, HistoryEvent } from "../history/index.ts";
import { Connection } from "./connection.ts";
import type { Client, Declaring, Server } from "./connection.ts";
import type { Network } from "./network.ts";
import type { Schedule } from "./schedule.ts";
import { STORE_PLACE } from "./statements.ts";
import type { Operation, StatementKind } from "./statements.ts";

/** A copy of what was committed, as a replica that lags would have it. */
export interface StoreCopy {
  readonly takenMs: number;
  readonly state: EngineState;
}

/** What the store did, for the report of a run. */
export interface StoreCounts {
  statements: number;
  /** Statements that took effect after their sender had ended the connection. */
  late: number;
  /** Statements that never took effect, since the server had ended the connection. */
  dropped: number;
}

/** Whom an event of the history is about. */
export interface Subject {
  readonly process: string;
  readonly node: string;
  readonly incarnation: string;
}

/** What a simulated store is made of. */
export interface SimulatedStoreOptions {
  readonly schedule: Schedule;
  readonly network: Network;
  /** Writes down what only the store can see. */
  readonly note: (subject: Subject, entry: HistoryEntry) => void;
}

/** A statement that a fault waits for. */
interface Trap {
  readonly kind: StatementKind;
  /** The node whose statement it is to be; anybody's if empty. */
  readonly node: string;
  readonly moment: "sent" | "arrives" | "executed";
  readonly spring: (connection: Connection) => void;
}

/** A pooler ends a connection to the server after this time, whoever it was lent to. */
const POOLER_RECYCLES_MS = 3_000;

/** What the store knows of an incarnation that is being declared dead, and of who does it; see `DeclaredDead`. */
type Silence = Required<Pick<Extract<HistoryEvent, { kind: "declared-dead" }>, "silentMs" | "leaseMs" | "alive" | "held" | "blindMs">>;

/** The longest that a sender had gone without an answer when it got one, within `leaseMs` before it sent this. */
function blindMs({ sentMs, answersMs }: Declaring, leaseMs: number): number {
  return answersMs.reduce((most, atMs, index) => (atMs <= sentMs - leaseMs ? most : Math.max(most, atMs - (answersMs[index - 1] ?? atMs))), 0);
}

/**
 * A database server that keeps the contract, at the level of single statements: each takes effect at one instant, when it arrives, which may be long after its sender gave up.
 * It has a clock of its own, may be away, hang, restart, and fail over to a copy that lost the last commits.
 */
export class SimulatedStore implements Server {
  readonly engine: MemoryEngine;
  /** All rows that were ever committed in fenced transactions; those that a failover took away say so. */
  readonly rows: FencedRow[] = [];
  readonly counts: StoreCounts = { statements: 0, late: 0, dropped: 0 };
  /** Statements that took effect, by operation. */
  readonly executed = new Map<string, number>();
  hints = 0;
  readonly schedule: Schedule;
  readonly network: Network;
  readonly #options: SimulatedStoreOptions;
  readonly #connections = new Set<Connection>();
  readonly #locks = new Map<string, Set<object>>();
  /** When the store last took a beat of an incarnation, or its join, in true time. */
  readonly #heard = new Map<string, { readonly atMs: number; readonly leaseMs: number }>();
  readonly #traps = new Set<Trap>();
  /** Evidence that is held: that of each connection which is served. */
  readonly #evidence = new Set<string>();
  /** What became of evidence that is not. */
  readonly #freed = new Map<string, { readonly connection: Connection; readonly atMs: number; readonly endedBy: EndOfSession }>();
  /** Told of each connection that is no longer served. */
  readonly #attending = new Set<() => void>();
  #connected = 0;
  #epoch = 1;
  #wallMs = Date.UTC(2026, 0, 1);
  #wallAnchorMs = 0;
  #wallRate = 1;
  #away: "refuses" | "silent" | "standby" | undefined;
  /** Statements that wait while the tables are locked or the server does not run. */
  #waiting: Array<() => void> | undefined;

  constructor(options: SimulatedStoreOptions) {
    this.#options = options;
    this.schedule = options.schedule;
    this.network = options.network;
    this.engine = new MemoryEngine({
      now: () => Math.trunc(this.wallMs()),
      epoch: () => this.epoch,
      epochNumber: () => this.#epoch,
      hint: (group, hint) => this.#hint(group, hint),
      fenceIsBusy: (group, election) => (this.#locks.get(`${group}/${election}`)?.size ?? 0) > 0,
      evidenceIsHeld: (key) => this.#evidence.has(key),
    });
  }

  /** Identity and timeline of the server that answers. */
  get epoch(): string {
    return `simulated:${this.#epoch}`;
  }

  /** The server's own wall clock. */
  wallMs(): number {
    return this.#wallMs + (this.schedule.nowMs - this.#wallAnchorMs) * this.#wallRate;
  }

  // ---- what is done to it

  stepClock(byMs: number): void {
    this.#wallMs += byMs;
  }

  setClockRate(rate: number): void {
    this.#wallMs = this.wallMs();
    this.#wallAnchorMs = this.schedule.nowMs;
    this.#wallRate = rate;
  }

  /** Ends all connections of a process, or of all, from the server's side. Statements that have not taken effect never will. */
  endConnections(process?: string): void {
    for (const connection of this.#connections) {
      if (process === undefined || connection.client.process.name === process) connection.endByServer("the server ended the connection", { by: "outside", told: true });
    }
  }

  /** Lets no statement take effect, until what is returned is called: the tables are locked, or the server stands still. */
  hold(): () => void {
    this.#waiting ??= [];
    return () => {
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      for (const run of waiting) run();
    };
  }

  /**
   * The server is gone, until what is returned is called: `refuses` connections, or is `silent`. What was committed stays. Whoever comes by way of a pooler keeps its connection, to the pooler; what it
   * asks waits there for the server.
   */
  stop(how: "refuses" | "silent"): () => void {
    const kept = [...this.#connections].filter((connection) => connection.client.isPooled && connection.isServed);
    for (const connection of kept) this.#free(connection, "server");
    const resumes = kept.map((connection) => connection.stall());
    this.#endAll(how === "refuses", new Set(kept));
    this.#away = how;
    return () => {
      this.#away = undefined;
      for (const resume of resumes) resume();
    };
  }

  /** What a replica that falls behind from now on would have. */
  copy(): StoreCopy {
    return { takenMs: this.schedule.nowMs, state: this.engine.snapshot() };
  }

  /** The server dies, and a standby answers that it cannot be written to. Once what is returned is called that one takes over, with what `copy` has, or with everything. */
  failOver(options: { readonly copy?: StoreCopy | undefined; readonly told: boolean }): () => void {
    const { copy, told } = options;
    this.#endAll(told);
    this.#away = "standby";
    const diedMs = this.schedule.nowMs;
    return () => {
      this.#endAll(told); // another standby may have taken over before this one
      if (copy !== undefined) this.#goBack(copy);
      this.#epoch += 1;
      this.#away = undefined;
      this.#options.note({ process: "", node: "", incarnation: "" }, { kind: "failed-over", lostSinceMs: copy?.takenMs ?? diedMs });
    };
  }

  #goBack(copy: StoreCopy): void {
    this.engine.restore(copy.state);
    this.rows.forEach((row, index) => {
      if (row.lostMs === undefined && (row.committedMs ?? 0) > copy.takenMs) this.rows[index] = { ...row, lostMs: this.schedule.nowMs };
    });
  }

  /** Calls `spring` once, when the next such statement is sent, arrives, or has taken effect. */
  trap(trap: Trap): () => void {
    this.#traps.add(trap);
    return () => this.#traps.delete(trap);
  }

  // ---- connections

  connect(client: Client): Connection {
    const connection = new Connection(this, client, `connection-${(this.#connected += 1)}`);
    this.#connections.add(connection);
    return connection;
  }

  /** Forgets a connection that neither side uses any more. */
  forget(connection: Connection, by: EndOfSession): void {
    this.#connections.delete(connection);
    this.#free(connection, by);
  }

  #free(connection: Connection, endedBy: EndOfSession): void {
    if (!this.#evidence.delete(connection.evidenceKey)) return;
    this.#freed.set(connection.evidenceKey, { connection, atMs: this.schedule.nowMs, endedBy });
    for (const look of [...this.#attending]) look();
  }

  /** Calls `seemsFree` when the evidence of one of these incarnations is free, for as long as `connection` is served. */
  attend(connection: Connection, group: string, incarnations: readonly string[], seemsFree: () => void): void {
    const look = () => {
      if (!connection.isServed) this.#attending.delete(look);
      else if (incarnations.some((incarnation) => this.engine.evidenceOf(group, incarnation) === "free")) {
        this.#attending.delete(look);
        seemsFree();
      }
    };
    this.#attending.add(look);
    look();
  }

  /** A client has sent a statement. */
  sent(kind: StatementKind, connection: Connection): Declaring | undefined {
    if (this.#traps.size > 0) this.#spring(kind, connection, "sent");
    return kind === "declareDead" ? { sentMs: connection.client.process.monotonicMs(), answersMs: connection.client.answersMs() } : undefined;
  }

  /** A statement has arrived. `run` lets it take effect and sends the answer. */
  arrive(kind: StatementKind, connection: Connection, run: () => void): void {
    if (kind === "open" ? this.#away === "silent" : !connection.isServed) {
      this.counts.dropped += 1;
      return;
    }
    if (this.#traps.size > 0) this.#spring(kind, connection, "arrives");
    if (this.#waiting !== undefined) {
      this.#waiting.push(() => this.arrive(kind, connection, run));
      return;
    }
    if (connection.waitsInServer(() => this.arrive(kind, connection, run))) return;
    this.counts.statements += 1;
    if (connection.isClosed && kind !== "close") this.counts.late += 1;
    this.executed.set(kind, (this.executed.get(kind) ?? 0) + 1);
    run();
    if (this.#traps.size > 0) this.#spring(kind, connection, "executed");
  }

  /** Takes a new connection, or says why not. */
  accept(connection: Connection): void {
    if (this.#away === "refuses") throw new TribuneError("STORE_UNREACHABLE", "the simulated server refuses connections", { about: STORE_PLACE });
    if (this.#away === "standby") throw new TribuneError("STORE_READ_ONLY", "the simulated server is a standby", { about: STORE_PLACE });
    connection.isServed = true;
    this.#evidence.add(connection.evidenceKey);
    if (connection.client.isPooled) this.schedule.in(POOLER_RECYCLES_MS, () => this.#free(connection, "pooler"));
  }

  #spring(kind: StatementKind, connection: Connection, moment: Trap["moment"]): void {
    for (const trap of this.#traps) {
      if (trap.kind !== kind || trap.moment !== moment || (trap.node !== "" && trap.node !== connection.client.node)) continue;
      this.#traps.delete(trap);
      trap.spring(connection);
    }
  }

  #endAll(told: boolean, but: ReadonlySet<Connection> = new Set()): void {
    for (const connection of this.#connections) if (!but.has(connection)) connection.endByServer("the server went away", { by: "server", told });
    this.#waiting = this.#waiting === undefined ? undefined : [];
  }

  #hint(group: string, hint: Hint): void {
    this.hints += 1;
    for (const connection of this.#connections) connection.hint(group, hint);
  }

  // ---- statements

  /** Lets one operation of the port take effect, and writes down what only the store knows of it. */
  execute(operation: Operation, connection: Connection, { group, armed }: { readonly group: string; readonly armed: boolean }, input: unknown): unknown {
    const { declaring } = connection;
    const proof = operation === "declareDead" ? this.#proofOf(group, input as DeclareDeadInput) : undefined;
    const result = (this.engine[operation] as (group: string, input: unknown, armedWith?: string) => unknown).call(this.engine, group, input, armed ? connection.evidenceKey : undefined);
    if (operation === "join" || operation === "beat") this.#hear(operation, input as JoinInput | BeatInput, result as JoinResult | BeatReply);
    else if (operation === "claim" && result !== null) this.#granted(connection, input as ClaimInput, result as ClaimResult);
    else if (operation === "declareDead" && result === true) this.#buried(connection, group, input as DeclareDeadInput, { declaring, proof });
    else if (operation === "publishView" && result === true) this.#published(connection, input as PublishViewInput);
    return result;
  }

  #granted({ client }: Connection, { election, incarnation }: ClaimInput, { token }: ClaimResult): void {
    this.#options.note({ process: client.process.name, node: client.node, incarnation }, { kind: "granted", election, token });
  }

  #buried({ client }: Connection, group: string, input: DeclareDeadInput, known: { readonly declaring: Declaring | undefined; readonly proof: DeclaredDead["proof"] }): void {
    const { declaring, proof } = known;
    const subject = { process: client.process.name, node: client.node, incarnation: client.incarnation() };
    this.#options.note(subject, { kind: "declared-dead", dead: input.incarnation, ...this.#silence(group, input, declaring), ...(proof === undefined ? {} : { proof }) });
  }

  /** What evidence there is, before the statement takes effect; `undefined` if it is not asked for. */
  #proofOf(group: string, { incarnation, requireFree }: DeclareDeadInput): DeclaredDead["proof"] {
    const freed = requireFree === true ? this.#freed.get(this.engine.evidenceKeyOf(group, incarnation) ?? "") : undefined;
    if (freed === undefined) return requireFree === true ? { freeMs: 0, endedBy: "server", heard: false } : undefined;
    return { freeMs: this.schedule.nowMs - freed.atMs, endedBy: freed.endedBy, heard: freed.connection.isOverForClient };
  }

  #published({ client }: Connection, { token, incarnation, view }: PublishViewInput): void {
    this.#options.note({ process: client.process.name, node: client.node, incarnation }, { kind: "published", version: view.version, token, members: view.members.map((member) => member.incarnation) });
  }

  /** A join that finds the incarnation there already writes nothing. */
  #hear(operation: "join" | "beat", input: JoinInput | BeatInput, result: JoinResult | BeatReply): void {
    const { incarnation } = input;
    const before = this.#heard.get(incarnation);
    const isNews = operation === "beat" ? (result as BeatReply).accepted : (result as JoinResult).outcome === "joined" && before === undefined;
    if (isNews) this.#heard.set(incarnation, { atMs: this.schedule.nowMs, leaseMs: before?.leaseMs ?? (input as JoinInput).leaseMs });
  }

  /** What the store knows of an incarnation that is about to be declared dead. */
  #silence(group: string, input: DeclareDeadInput, declaring: Declaring | undefined): Silence | undefined {
    const heard = this.#heard.get(input.incarnation);
    const reading = this.engine.readGroup(group);
    if (heard === undefined || reading === null) return undefined;
    const { nowMs } = this.schedule;
    const alive = reading.presence.filter((row) => row.state === "alive").length + 1;
    const held = reading.elections.filter((row) => row.holder?.incarnation === input.incarnation).map((row) => row.election);
    return { silentMs: nowMs - heard.atMs, leaseMs: heard.leaseMs, alive, held, blindMs: declaring === undefined ? 0 : blindMs(declaring, heard.leaseMs) };
  }

  // ---- fenced transactions

  /** Holds the fence of an election back until what is returned is called. */
  lockFence(group: string, election: string, by: object): () => void {
    const key = `${group}/${election}`;
    let locks = this.#locks.get(key);
    if (locks === undefined) this.#locks.set(key, (locks = new Set()));
    locks.add(by);
    return () => locks.delete(by);
  }

  /** Puts a row into the table, at this instant. */
  commit(row: Omit<FencedRow, "sequence" | "committedMs">): void {
    this.rows.push({ ...row, sequence: this.rows.length + 1, committedMs: this.schedule.nowMs });
  }
}
