import { createCluster, storeFromUrl } from "../../cluster/index.ts";
import type { Cluster } from "../../cluster/index.ts";
import type { Term } from "../../election/index.ts";
import { isTribuneError, systemClock, TribuneError } from "../../kernel/index.ts";
import type { StoreProvider } from "../../store/index.ts";
import { Ledger } from "./ledger.ts";
import type { DemoTransaction } from "./ledger.ts";
import { DEMO_ELECTION } from "./protocol.ts";
import type { Attempt, Order, Report } from "./protocol.ts";

/**
 * One node of the demo: an ordinary program that uses the library, in a process of its own. It does what the director orders, one thing after the other,
 * and reports what it sees.
 */
class DemoNode {
  #store: StoreProvider<DemoTransaction> | undefined;
  #cluster: Cluster<DemoTransaction> | undefined;
  #ledger: Ledger | undefined;
  #term: Term<DemoTransaction> | undefined;
  #contending = new AbortController();
  #leading: Promise<void> = Promise.resolve();

  async obey(order: Order): Promise<void> {
    switch (order.type) {
      case "start":
        return await this.#start(order);
      case "contend":
        return this.#contend();
      case "make":
        await this.#entries().make((work) => this.#held().transaction(work));
        return tell({ type: "made" });
      case "write":
        return await this.#write(order.entry);
      case "write-after-freeze":
        return await this.#writeAfterFreeze(order.entry);
      case "resign":
        this.#contending.abort();
        await this.#leading;
        return tell({ type: "resigned" });
      case "read":
        return tell({ type: "rows", rows: await this.#held().transaction((tx) => this.#entries().read(tx)) });
      case "clean":
        await this.#entries().drop((work) => this.#held().transaction(work));
        return tell({ type: "cleaned" });
      case "stop":
        await this.stop();
        return tell({ type: "stopped" });
      default:
        return order satisfies never;
    }
  }

  async stop(): Promise<void> {
    await this.#cluster?.stop();
  }

  async #start(order: Extract<Order, { type: "start" }>): Promise<void> {
    this.#store = storeFromUrl(order.store) as StoreProvider<DemoTransaction>;
    this.#ledger = new Ledger(order);
    const cluster = createCluster<DemoTransaction>({ group: order.group, node: order.node, store: this.#store, preset: "fast" });
    this.#cluster = cluster;
    cluster.on("view", ({ view }) => tell({ type: "view", version: view.version, members: view.members.map(({ node, incarnation }) => ({ node, incarnation })), coordinator: view.coordinator?.node ?? null }));
    cluster.on("lost", () => tell({ type: "lost" }));
    cluster.on("rejoined", ({ incarnation, sameIncarnation }) => tell({ type: "rejoined", incarnation, sameIncarnation }));
    await cluster.start();
    tell({ type: "joined", incarnation: cluster.self.incarnation, worstFailoverMs: cluster.worstFailoverMs });
  }

  #contend(): void {
    this.#contending = new AbortController();
    this.#leading = this.#running()
      .election(DEMO_ELECTION)
      .lead((term) => this.#lead(term), { signal: this.#contending.signal })
      .catch((error: unknown) => tellFailure("contend", error));
  }

  /** A leader that waits for orders while its term stands. */
  async #lead(term: Term<DemoTransaction>): Promise<void> {
    this.#term = term;
    tell({ type: "term", token: String(term.token) });
    await new Promise<void>((resolve) => {
      if (term.signal.aborted) resolve();
      else term.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    if (this.#term === term) this.#term = undefined;
    tell({ type: "ended", token: String(term.token), code: isTribuneError(term.signal.reason) ? term.signal.reason.code : "" });
  }

  async #write(entry: number): Promise<void> {
    const term = this.#held();
    const beganMs = systemClock.monotonicMs();
    await term.transaction((tx) => this.#entries().write(tx, { entry, token: String(term.token), node: term.node }));
    tell({ type: "written", entry, token: String(term.token), tookMs: systemClock.monotonicMs() - beganMs });
  }

  /**
   * The dangerous moment: this process has decided to write, and is frozen before it does. Between the report and the write nothing else runs here, no timer
   * and no beat: the very first thing that the woken process does is the write.
   */
  async #writeAfterFreeze(entry: number): Promise<void> {
    const term = this.#held();
    const row = { entry, token: String(term.token), node: term.node };
    // The report is written to the channel before `tell` returns (libuv tries at once), and the director may freeze this process before the next line runs:
    // so the clock is read before, and nothing is left to the event loop.
    const beforeMs = systemClock.monotonicMs();
    tell({ type: "decided", entry, token: row.token, mayAct: term.mayAct() });
    const frozenMs = blockUntilFrozen(beforeMs);
    const attempts = [await attempt("term", () => term.transaction((tx) => this.#entries().write(tx, row))), await attempt("fence", () => this.#writeUnasked(term, row))];
    tell({ type: "woke", entry, token: row.token, frozenMs, attempts });
  }

  /** The same write by a leader whose clocks lie: it believes in itself, and only the fence in the store can refuse it. */
  async #writeUnasked(term: Term<DemoTransaction>, row: { readonly entry: number; readonly token: string; readonly node: string }): Promise<void> {
    const { group, timing } = this.#running();
    const believing = { group, election: term.election, token: term.token, leaseMs: timing.leaseMs, clock: systemClock, mayAct: () => true, over: new AbortController().signal };
    await (this.#store as StoreProvider<DemoTransaction>).fenced.transaction(believing, (tx) => this.#entries().write(tx, row));
  }

  #held(): Term<DemoTransaction> {
    if (this.#term !== undefined) return this.#term;
    throw new TribuneError("NOT_HELD", `this node does not hold ${DEMO_ELECTION}`, { about: DEMO_ELECTION });
  }

  #running(): Cluster<DemoTransaction> {
    if (this.#cluster !== undefined) return this.#cluster;
    throw new TribuneError("CLUSTER_NOT_STARTED", "this node was not started");
  }

  #entries(): Ledger {
    if (this.#ledger !== undefined) return this.#ledger;
    throw new TribuneError("CLUSTER_NOT_STARTED", "this node was not started");
  }
}

/** Two looks at the clock that are further apart than this: the process stood still in between. Far above what a busy machine does. */
const FROZEN_MS = 1_000;

/** Nobody froze this process after all. */
const NEVER_FROZEN_MS = 8_000;

/** Does nothing, without giving the event loop away, until it finds that this process was frozen since `sinceMs`; answers for how long. */
function blockUntilFrozen(sinceMs: number): number {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let lastMs = sinceMs; ; ) {
    const nowMs = systemClock.monotonicMs();
    if (nowMs - lastMs > FROZEN_MS) return nowMs - lastMs;
    if (nowMs - sinceMs > NEVER_FROZEN_MS) throw new TribuneError("ABORTED", "this process was to be frozen, and was not");
    lastMs = nowMs;
    Atomics.wait(cell, 0, 0, 5);
  }
}

async function attempt(by: Attempt["by"], write: () => Promise<void>): Promise<Attempt> {
  try {
    await write();
    return { by, code: null, message: "it was written" };
  } catch (error) {
    return { by, code: isTribuneError(error) ? error.code : "", message: error instanceof Error ? error.message : String(error) };
  }
}

function tell(report: Report): void {
  if (process.connected) process.send?.(report, undefined, undefined, () => undefined);
}

function tellFailure(order: string, error: unknown): void {
  const coded = isTribuneError(error) ? error : new TribuneError("INTERNAL", error instanceof Error ? error.message : String(error));
  tell({ type: "failed", order, code: coded.code, message: coded.message, next: coded.next ?? null });
}

const node = new DemoNode();
let orders: Promise<void> = Promise.resolve();
process.on("message", (order: Order) => {
  orders = orders.then(() => node.obey(order)).catch((error: unknown) => tellFailure(order.type, error));
});
process.on("SIGINT", () => undefined); // Ctrl-C reaches the whole group of processes; the director decides what follows
process.on("SIGTERM", () => void node.stop().finally(() => process.exit(0)));
process.on("disconnect", () => process.exit(1)); // nobody directs any more
