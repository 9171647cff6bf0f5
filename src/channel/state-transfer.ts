import { abortError, isTribuneError, sleep, TribuneError } from "../kernel/index.ts";
import type { Clock, Random, Timer } from "../kernel/index.ts";
import type { KnownPeer, Wait } from "../transport/index.ts";
import type { Reply, RequestReport } from "./requests.ts";
import type { Request } from "./responders.ts";
import { afterRound, giverOrder } from "./state.ts";
import type { GiverAnswer, SharedState, StateOptions, StatePage, StateProgress, StateReport } from "./state.ts";
import { decodePage, decodeWanted, encodePage, encodeWanted } from "./state-words.ts";

/** What the transfer of one state needs of the channel. */
export interface StatePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly incarnation: string;
  members(): readonly KnownPeer[];
  ask(member: KnownPeer, payload: Uint8Array, wait: Wait): Promise<RequestReport>;
  progress(progress: StateProgress): void;
}

/** To how many members one state is given at a time. */
const MOST_TRANSFERS = 16;

/** How long a transfer is kept of which no page is asked for, in milliseconds. */
const IDLE_MS = 60_000;

interface Giving {
  readonly pages: AsyncIterator<StatePage> | Iterator<StatePage>;
  readonly abort: AbortController;
  cursor: string;
  /** A page is on its way to somebody who may not wait for it any more. */
  isBusy: boolean;
  timer: Timer;
}

/** How far a joiner has come. */
interface Position {
  readonly transfer: string;
  after: string;
  /** What a member said that had the state and failed to give it. */
  failure: { readonly node: string; readonly code: string; readonly message: string } | undefined;
}

/** One state of this member's: gives it to others once it is there, and obtains it from them before that. */
export class StateTransfer {
  readonly name: string;
  readonly #state: SharedState;
  readonly #options: Required<StateOptions>;
  readonly #ports: StatePorts;
  readonly #giving = new Map<string, Giving>();
  #isReady = false;

  constructor(name: string, state: SharedState, options: StateOptions, ports: StatePorts) {
    this.name = name;
    this.#state = state;
    this.#options = { whenNobody: options.whenNobody ?? "retry", pageMs: options.pageMs ?? 10_000, pauseMs: options.pauseMs ?? 500 };
    this.#ports = ports;
  }

  // ---- giving ------------------------------------------------------------------------------------------------

  /** The next page that a joiner wants: of the transfer that it has begun with this member, or after where another member stopped. Throws `STATE_NOT_READY`, `BUSY`. */
  async give(request: Request): Promise<Uint8Array> {
    if (!this.#isReady) throw new TribuneError("STATE_NOT_READY", `the state ${this.name} is not there yet`, { about: this.name, next: "ask another member" });
    const { transfer, after } = decodeWanted(request.payload);
    const key = `${request.from.incarnation} ${transfer}`;
    let giving = this.#giving.get(key);
    if (giving !== undefined && (giving.isBusy || giving.cursor !== after)) {
      this.#end(key, giving); // a page was given up, or another member gave some: begin after what is there
      giving = undefined;
    }
    if (giving === undefined) {
      if (this.#giving.size >= MOST_TRANSFERS) throw new TribuneError("BUSY", `the state ${this.name} is given to ${MOST_TRANSFERS} members already`, { about: this.name, next: "ask another member" });
      giving = this.#begin(key, after);
    }
    giving.timer.cancel();
    giving.isBusy = true;
    try {
      const next = await giving.pages.next();
      const page = next.done === true ? undefined : next.value;
      const encoded = encodePage(page);
      giving.isBusy = false;
      if (page === undefined) this.#end(key, giving);
      else if (this.#giving.get(key) === giving) {
        giving.cursor = page.cursor;
        giving.timer = this.#endWhenIdle(key, giving);
      }
      return encoded;
    } catch (error) {
      this.#end(key, giving);
      throw error;
    }
  }

  #begin(key: string, after: string): Giving {
    const abort = new AbortController();
    const pages = this.#state.snapshot(after, abort.signal);
    const giving: Giving = { pages: Symbol.asyncIterator in pages ? pages[Symbol.asyncIterator]() : pages[Symbol.iterator](), abort, cursor: after, isBusy: false, timer: { cancel() {} } };
    this.#giving.set(key, giving);
    return giving;
  }

  #endWhenIdle(key: string, giving: Giving): Timer {
    return this.#ports.clock.setTimer(IDLE_MS, () => this.#end(key, giving));
  }

  #end(key: string, giving: Giving): void {
    giving.timer.cancel();
    if (this.#giving.get(key) === giving) this.#giving.delete(key);
    giving.abort.abort();
    void Promise.resolve(giving.pages.return?.()).catch(() => undefined); // its own trouble; nobody wants it any more
  }

  /** A member is gone: nothing is given to it any more. */
  left(incarnation: string): void {
    for (const [key, giving] of this.#giving) if (key.startsWith(`${incarnation} `)) this.#end(key, giving);
  }

  // ---- obtaining ---------------------------------------------------------------------------------------------

  /**
   * Obtains the state, page by page, from one member after the other until one has given its end; each goes on where the one before it stopped. From then on it is given to others.
   * Rejects with `STATE_UNAVAILABLE`, `ABORTED`, and what `apply` throws.
   */
  async obtain(wait: Wait): Promise<StateReport> {
    const { clock, random, incarnation } = this.#ports;
    const dueMs = clock.monotonicMs() + wait.deadlineMs;
    const report = { state: this.name, from: [] as string[], pages: 0, bytes: 0 };
    const position = { transfer: random.id(), after: "", failure: undefined };
    while (!this.#isReady) {
      const answers: GiverAnswer[] = [];
      for (const member of giverOrder(this.#ports.members(), incarnation, random)) {
        const answer = await this.#obtainFrom(member, position, report, { deadlineMs: dueMs - clock.monotonicMs(), signal: wait.signal });
        if (answer === "complete") {
          this.#isReady = true;
          return report;
        }
        answers.push(answer);
      }
      const verdict = afterRound(this.#options.whenNobody, { answers, isOldest: this.#ports.members()[0]?.incarnation === incarnation });
      // A part of a state is not an empty one.
      if (verdict === "empty" && report.pages === 0) break;
      const leftMs = dueMs - clock.monotonicMs();
      if (verdict !== "again" || leftMs <= 0) throw this.#unavailable(report, position);
      await sleep(clock, Math.min(leftMs, this.#options.pauseMs), wait.signal);
      if (wait.signal?.aborted === true) throw abortError(wait.signal, `obtaining the state ${this.name}`);
    }
    this.#isReady = true;
    return report;
  }

  async #obtainFrom(member: KnownPeer, position: Position, report: { from: string[]; pages: number; bytes: number }, wait: Wait): Promise<GiverAnswer | "complete"> {
    const { clock } = this.#ports;
    const dueMs = clock.monotonicMs() + wait.deadlineMs;
    for (;;) {
      const leftMs = dueMs - clock.monotonicMs();
      if (leftMs <= 0) return "gave-nothing";
      const { replies } = await this.#ports.ask(member, encodeWanted(position), { deadlineMs: Math.min(this.#options.pageMs, leftMs), signal: wait.signal });
      const reply = replies.get(member.node);
      if (reply?.status !== "replied") {
        if (isNotReady(reply)) return "not-ready";
        if (reply?.status === "failed") position.failure = { node: member.node, code: reply.code, message: reply.message };
        return "gave-nothing";
      }
      const page = pageOf(reply.payload);
      if (page === "unreadable") return "gave-nothing";
      if (report.from.at(-1) !== member.node) report.from.push(member.node);
      if (page === undefined) return "complete";
      await this.#state.apply(page);
      position.after = page.cursor;
      report.pages++;
      report.bytes += page.bytes.length;
      this.#ports.progress({ state: this.name, from: member.node, pages: report.pages, bytes: report.bytes });
    }
  }

  #unavailable({ pages }: { readonly pages: number }, { failure }: Position): TribuneError {
    const last = failure === undefined ? "" : `; ${failure.node} failed last, with ${failure.code}: ${failure.message}`;
    return new TribuneError("STATE_UNAVAILABLE", `no member gave the state ${this.name}${pages === 0 ? "" : ` to its end: ${pages} pages came`}${last}`, { about: this.name, next: failure === undefined ? "see whether the other members have started, and register the state" : "see what its snapshot does there" });
  }
}

function isNotReady(reply: Reply | undefined): boolean {
  return reply?.status === "failed" && reply.code === "STATE_NOT_READY";
}

function pageOf(payload: Uint8Array): StatePage | undefined | "unreadable" {
  try {
    return decodePage(payload);
  } catch (error) {
    if (!isTribuneError(error, "PROTOCOL_VIOLATION")) throw error;
    return "unreadable";
  }
}
