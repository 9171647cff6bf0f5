/**
 * One node of a fleet: a real process that joins, contends for each election, writes under the fence, and puts down what it did and believed, line by line, so that a
 * SIGKILL loses nothing. It judges nothing.
 */
import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createCluster } from "../../src/index.ts";
import type { Cluster, Term } from "../../src/index.ts";
import { seededRandom } from "../../src/kernel/index.ts";
import type { Logger, Random } from "../../src/kernel/index.ts";
import { COORDINATOR } from "../../src/store/index.ts";
import { HistoryWriter } from "../../src/testing/history/index.ts";
import type { HistoryEntry, HistoryEvent } from "../../src/testing/history/index.ts";
import { openLedger } from "./ledger.ts";
import type { Entry, Ledger, Manner } from "./ledger.ts";
import { trueClock } from "./true-clock.ts";
import { CONFIG_VARIABLE, STARVED } from "./worker-config.ts";
import type { Order, WorkerConfig } from "./worker-config.ts";

const SAMPLE_EVERY_MS = 5;
const WRITE_EVERY_MS = { from: 20, to: 50 };
/** One write in so many holds its transaction open for a while. */
const LONG_ONE_IN = 12;
/** One write in so many ends the callback early. */
const RETURN_ONE_IN = 400;
/** A process that has stopped is gone before this. */
const LINGER_MS = 1_000;
const STOP_LIMIT_MS = 5_000;
const METADATA_EVERY_MS = { from: 1_000, to: 4_000 };

class Worker {
  readonly #config: WorkerConfig;
  readonly #history: HistoryWriter;
  readonly #logFile: number;
  readonly #random: Random;
  readonly #ledger: Ledger;
  readonly #cluster: Cluster;
  #writes = 0;
  #isSteady = false;
  readonly #stopping = new AbortController();
  readonly #lastTerms = new Map<string, Term>();
  /** Terms of which it was found that they may not act, by election. */
  readonly #denied = new Map<string, number>();
  readonly #nowMs: () => number;
  #lastSampleMs: number;

  constructor(config: WorkerConfig) {
    this.#config = config;
    this.#nowMs = trueClock(config.clockRate);
    this.#lastSampleMs = this.#nowMs();
    const file = openSync(join(config.folder, `${config.process}.jsonl`), "a");
    this.#logFile = openSync(join(config.folder, `${config.process}.log`), "a");
    this.#history = new HistoryWriter({
      process: config.process,
      node: config.node,
      incarnation: () => this.#cluster?.self.incarnation ?? "",
      nowMs: this.#nowMs,
      write: (line) => void writeSync(file, line),
    });
    this.#random = seededRandom(config.seed);
    this.#ledger = openLedger(config.store, config.leaseMs);
    const { group, node, leaseMs, beatMs, crashDetection } = config;
    this.#cluster = createCluster({ group, node, store: this.#ledger.provider, leaseMs, beatMs, crashDetection, metadata: { run: config.process }, logger: this.#logger() });
  }

  async run(): Promise<void> {
    this.#tell(this.#history.note({ kind: "started" }));
    this.#listen();
    const sampler = setInterval(() => this.#sample(), SAMPLE_EVERY_MS);
    process.on("message", (order: Order) => this.#obey(order));
    process.once("SIGTERM", () => this.#stop(sampler));
    process.once("disconnect", orphaned);
    await this.#cluster.start();
    this.#note({ kind: "joined" });
    void this.#changeMetadata();
    await Promise.all(this.#config.elections.map((name) => this.#cluster.election(name).lead((term) => this.#work(term))));
  }

  /** Ends in good order, and then by itself: what keeps the process alive after this is a fault, and is named. */
  #stop(sampler: NodeJS.Timeout): void {
    this.#stopping.abort();
    void this.#cluster
      .stop()
      .then(() => this.#ledger.close())
      .then(() => {
        clearInterval(sampler);
        process.off("disconnect", orphaned);
        process.disconnect();
        setTimeout(() => console.error(`still alive ${LINGER_MS} ms after the stop because of: ${process.getActiveResourcesInfo().join(", ")}`), LINGER_MS).unref();
      });
    setTimeout(() => console.error(`the stop has not ended after ${STOP_LIMIT_MS} ms`), STOP_LIMIT_MS).unref();
  }

  // ---- the work

  async #work(term: Term): Promise<void> {
    const { election, token, incarnation } = term;
    this.#note({ kind: "work-began", election, token, incarnation });
    try {
      await this.#lead(term);
    } finally {
      this.#note({ kind: "work-settled", election, token, incarnation });
    }
  }

  async #lead(term: Term): Promise<void> {
    this.#lastTerms.set(term.election, term);
    if (this.#config.breaks === "stale-writes") return await this.#writeWithoutFence(term);
    while (!term.signal.aborted) {
      await this.#write(term);
      if (this.#random.next() < 1 / RETURN_ONE_IN && !this.#isSteady) return;
      await pause(this.#between(WRITE_EVERY_MS), term.signal);
    }
  }

  async #write(term: Term): Promise<void> {
    const write = `${this.#config.process}/${++this.#writes}`;
    const { token, election, node, incarnation } = term;
    const answer = await this.#ledger.write(term, { election, token, node, incarnation, write, t: this.#nowMs() }, this.#manner());
    this.#note({ kind: "wrote", election, token, write, ...answer, incarnation });
  }

  #manner(): Manner {
    const { leaseMs, store } = this.#config;
    const long = this.#random.next() < 1 / LONG_ONE_IN;
    const longestMs = store.kind === "sqlite" ? 30 : leaseMs / 6;
    return { by: this.#random.next() < 0.3 ? "guard" : "transaction", holdMs: long ? this.#random.next() * longestMs : 0, holdFirst: this.#random.next() < 0.5 };
  }

  /** Broken on purpose: goes on writing under a term that is long over. */
  async #writeWithoutFence(term: Term): Promise<void> {
    const { token, election, node, incarnation } = term;
    const work = async () => {
      while (!this.#stopping.signal.aborted) {
        const entry: Entry = { election, token, node, incarnation, write: `${this.#config.process}/${++this.#writes}`, t: this.#nowMs() };
        await this.#ledger.writeUnfenced(entry).catch(() => undefined);
        await pause(this.#between(WRITE_EVERY_MS), this.#stopping.signal);
      }
    };
    void work();
    await new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve(), { once: true }));
  }

  async #changeMetadata(): Promise<void> {
    for (let change = 1; ; change++) {
      await pause(this.#between(METADATA_EVERY_MS), this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      if (this.#isSteady) continue;
      await this.#cluster.updateMetadata({ run: this.#config.process, change }).catch((error: unknown) => this.#noteError("updateMetadata", error));
    }
  }

  // ---- what is believed

  #sample(): void {
    this.#noticeStarvation();
    for (const name of [...this.#config.elections, COORDINATOR]) {
      const term = this.#config.breaks === "belief" ? (this.#lastTerms.get(name) ?? this.#cluster.election(name).term) : this.#cluster.election(name).term;
      if (term === undefined) continue;
      const t = this.#nowMs(); // before asking; see `Believes`
      if (!term.mayAct() && this.#config.breaks !== "belief") {
        if (this.#denied.get(name) !== term.token) this.#history.note({ kind: "denies", election: name, token: term.token, incarnation: term.incarnation });
        this.#denied.set(name, term.token);
        continue;
      }
      this.#history.note({ t, kind: "believes", election: name, token: term.token, incarnation: term.incarnation });
    }
  }

  /** On a machine that is too busy a process does not run although nobody stopped it; that is not the library's doing, unless it blocks its own process. The report counts it. */
  #noticeStarvation(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#lastSampleMs > this.#config.leaseMs / 4) {
      this.#note({ t: this.#lastSampleMs, kind: "paused", cause: STARVED });
      this.#note({ t: nowMs, kind: "resumed", cause: STARVED });
    }
    this.#lastSampleMs = nowMs;
  }

  #listen(): void {
    const cluster = this.#cluster;
    for (const name of [...this.#config.elections, COORDINATOR]) {
      const election = cluster.election(name);
      election.on("term", (term) => {
        const t = this.#nowMs();
        this.#note({ t, kind: "announced", election: name, token: term.token, incarnation: term.incarnation, mayAct: term.mayAct() });
      });
      election.on("ended", ({ term, reason }) => this.#note({ kind: "ended", election: name, token: term.token, incarnation: term.incarnation, reason: reason.code }));
    }
    cluster.on("view", ({ view, joined, left }) =>
      this.#note({
        kind: "view",
        version: view.version,
        members: view.members.map(({ node, incarnation, metadata }) => ({ node, incarnation, metadata })),
        coordinator: view.coordinator?.incarnation ?? null,
        skipped: view.skipped,
        joined: joined.map((member) => member.incarnation),
        left: left.map((member) => member.incarnation),
      }),
    );
    cluster.on("coordinator", ({ coordinator, previous }) => this.#note({ kind: "coordinator-told", coordinator: coordinator?.incarnation ?? null, previous: previous?.incarnation ?? null }));
    cluster.on("lost", ({ cause, reason, incarnation }) => this.#note({ kind: "told", what: "lost", code: reason.code, detail: cause, incarnation }));
    cluster.on("rejoined", ({ sameIncarnation }) => {
      this.#note({ kind: "told", what: "rejoined", code: "", detail: sameIncarnation ? "same incarnation" : "new incarnation" });
      this.#note({ kind: "joined" });
    });
    cluster.on("suspended", ({ reason, trustLeftMs }) => this.#note({ kind: "told", what: "suspended", code: reason.code, detail: `${Math.round(trustLeftMs)} ms of trust left` }));
    cluster.on("recovered", ({ from, afterMs }) => this.#note({ kind: "told", what: "recovered", code: "", detail: `${from}, after ${Math.round(afterMs)} ms` }));
    cluster.on("degraded", ({ ailments }) => this.#note({ kind: "told", what: "degraded", code: "", detail: ailments.map((ailment) => (ailment.what === "too-few-members" ? ailment.what : `${ailment.what} ${ailment.ms} ms`)).join(", ") }));
    cluster.on("overrun", ({ token, budgetMs }) => this.#note({ kind: "told", what: "overrun", code: "", detail: `term ${token}, budget ${budgetMs} ms` }));
    cluster.on("error", (error) => this.#noteError("cluster", error));
  }

  // ---- orders

  #obey(order: Order): void {
    switch (order.order) {
      case "block":
        this.#note({ kind: "paused", cause: "blocked" });
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, order.ms);
        this.#note({ kind: "resumed", cause: "blocked" });
        return;
      case "resign":
        void this.#cluster.election(order.election).resign().catch(() => undefined); // no longer the holder
        return;
      case "steady":
        this.#isSteady = true;
        return;
      default:
        order satisfies never;
    }
  }

  // ---- writing it down

  #note(entry: HistoryEntry): void {
    this.#tell(this.#history.note(entry));
  }

  #noteError(detail: string, error: unknown): void {
    const code = (error as { readonly code?: unknown }).code;
    this.#note({ kind: "told", what: "error", code: typeof code === "string" ? code : "", detail: `${detail}: ${error instanceof Error ? error.message : String(error)}` });
  }

  /** The supervisor hears of what it paces itself by; the history is what counts. */
  #tell(event: HistoryEvent): void {
    if (process.connected && event.kind !== "wrote") process.send?.(event);
  }

  #logger(): Logger {
    const line = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
      writeSync(this.#logFile, `${JSON.stringify({ t: this.#nowMs(), level, message, ...fields })}\n`);
      // What presence logs after the store has confirmed a death.
      if (typeof fields["dead"] === "string" && typeof fields["incarnation"] === "string") this.#note({ kind: "declared-dead", dead: fields["incarnation"] });
    };
    return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  }

  #between({ from, to }: { readonly from: number; readonly to: number }): number {
    return from + this.#random.next() * (to - from);
  }
}

/** The supervisor is gone. */
function orphaned(): void {
  process.exit(3);
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
    if (signal?.aborted === true) done();
  });
}

await new Worker(JSON.parse(process.env[CONFIG_VARIABLE] ?? "") as WorkerConfig).run();
