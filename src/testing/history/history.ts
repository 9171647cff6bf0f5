import type { ChannelEvent } from "./channel-events.ts";
import type { Happening } from "./happening.ts";

/**
 * What processes under test write down, so that what they did can be judged afterwards: one JSON object per line, each process into
 * a file of its own. A line is written before the next thing happens (`appendFileSync` or `writeSync`), so that a history survives SIGKILL.
 *
 * `t` is in milliseconds on *one* monotonic clock for all processes: on one host `CLOCK_MONOTONIC`, which `hostMonotonicMs` reads.
 * Wall clocks do not qualify.
 */
export type HistoryEvent =
  | Started
  | Joined
  | Announced
  | Ended
  | Believes
  | Denies
  | Viewed
  | DeclaredDead
  | Wrote
  | Told
  | Paused
  | Resumed
  | CutOff
  | Mended
  | Killed
  | Exited
  | OutageBegan
  | OutageEnded
  | Fault
  | Granted
  | Published
  | FailedOver
  | WorkBegan
  | WorkSettled
  | CoordinatorTold
  | RecordRead
  | Quiet
  | FaultsEnded
  | Suspected
  | Absolved
  | ChannelEvent;

/** A process runs. */
export interface Started extends Happening {
  readonly kind: "started";
}

/** A process is a member: `start()` has resolved, or it has rejoined as `incarnation`. */
export interface Joined extends Happening {
  readonly kind: "joined";
}

/**
 * A term was announced to this process. `mayAct` is asked *after* `t` was read; where it is false, the process was frozen in the very moment of
 * announcing, and the order of announcements says nothing about this one.
 */
export interface Announced extends Happening {
  readonly kind: "announced";
  readonly election: string;
  readonly token: number;
  readonly mayAct: boolean;
  /** Incarnations of processes that run and have not been told that an earlier term of theirs is to stop. Only a simulation knows. */
  readonly unaware?: readonly string[];
}

/** This process knows that its term is over. */
export interface Ended extends Happening {
  readonly kind: "ended";
  readonly election: string;
  readonly token: number;
  readonly reason: string;
}

/**
 * A sample: `term.mayAct()` was true. `t` is read *before* asking: since `mayAct` never turns true again, it was true at `t` as well, also if the
 * process was stopped between the two. The other way round would accuse the innocent.
 */
export interface Believes extends Happening {
  readonly kind: "believes";
  readonly election: string;
  readonly token: number;
}

/** `term.mayAct()` was false in a term of which nobody has said yet that it is over. Noted once for each term. */
export interface Denies extends Happening {
  readonly kind: "denies";
  readonly election: string;
  readonly token: number;
}

/** A view was delivered. */
export interface Viewed extends Happening {
  readonly kind: "view";
  readonly version: number;
  readonly members: readonly { readonly node: string; readonly incarnation: string; readonly metadata: unknown }[];
  /** The coordinator's incarnation. */
  readonly coordinator: string | null;
  readonly skipped: boolean;
  /** Incarnations that the delivered change named as joined and as left, where the writer noted them. */
  readonly joined?: readonly string[];
  readonly left?: readonly string[];
}

/** This process has declared another incarnation dead; `t` is after the store's answer, or in a simulation the moment at which the store did it. */
export interface DeclaredDead extends Happening {
  readonly kind: "declared-dead";
  readonly dead: string;
  /** How long ago, in true time, the store last took a beat of the dead one, or its join. Only a simulation knows. */
  readonly silentMs?: number;
  /** The lease of the dead one. Only a simulation knows. */
  readonly leaseMs?: number;
  /** How many members were alive in the store just before, with the dead one. Only a simulation knows. */
  readonly alive?: number;
  /** Elections that named the dead one as holder just before. Only a simulation knows. */
  readonly held?: readonly string[];
  /** The longest that whoever declared it had gone without an answer to a beat or a look, on its own clock, within a lease of the dead one before it said so. Only a simulation knows. */
  readonly blindMs?: number;
  /** Where evidence was the ground: how long it had been free, what ended the session that held it, and whether its process had heard of that. Only a simulation knows. */
  readonly proof?: { readonly freeMs: number; readonly endedBy: EndOfSession; readonly heard: boolean };
}

/** Who ended a session: its own process, dead or alive; an administrator or a middlebox, this one only; the server, all of them; a pooler, which ends what it shares out and tells nobody. */
export type EndOfSession = "process" | "outside" | "server" | "pooler";

/**
 * How a fenced write was answered. `write` names the attempt and stands in the row that it writes. `unknown`: the answer itself says that it may or may
 * not have been written. A process that was killed before the answer has no such event.
 */
export interface Wrote extends Happening {
  readonly kind: "wrote";
  readonly election: string;
  readonly token: number;
  readonly write: string;
  readonly outcome: "committed" | "refused" | "unknown";
  readonly code: string;
}

/** The cluster told its process something. `code` is that of an error, or empty. */
export interface Told extends Happening {
  readonly kind: "told";
  readonly what: "suspended" | "recovered" | "degraded" | "lost" | "rejoined" | "overrun" | "error";
  readonly code: string;
  readonly detail: string;
}

/** A process does not run from here on: SIGSTOP, or an event loop that is blocked. */
export interface Paused extends Happening {
  readonly kind: "paused";
  readonly cause: string;
}

export interface Resumed extends Happening {
  readonly kind: "resumed";
  readonly cause: string;
}

/** A process runs, but its link to the store is cut, or as good as. */
export interface CutOff extends Happening {
  readonly kind: "cut-off";
  readonly how: string;
}

export interface Mended extends Happening {
  readonly kind: "mended";
}

/** A process is being killed; nothing of it runs after this. */
export interface Killed extends Happening {
  readonly kind: "killed";
}

/** A process is gone. `expected`: it was killed or asked to end, and ended in the way it should. */
export interface Exited extends Happening {
  readonly kind: "exited";
  readonly code: number | null;
  readonly signal: string | null;
  readonly expected: boolean;
}

/** The store cannot be used from here on. */
export interface OutageBegan extends Happening {
  readonly kind: "outage-began";
}

export interface OutageEnded extends Happening {
  readonly kind: "outage-ended";
}

/** What was done to the processes, for the reader of a history; no check depends on it. */
export interface Fault extends Happening {
  readonly kind: "fault";
  readonly name: string;
  readonly targets: readonly string[];
}

/** The store gave this process a token: a claim took effect, whether or not the claimant ever hears of it. Only a simulation sees this. */
export interface Granted extends Happening {
  readonly kind: "granted";
  readonly election: string;
  readonly token: number;
}

/** The store took a view from this process. Only a simulation sees this. */
export interface Published extends Happening {
  readonly kind: "published";
  readonly version: number;
  /** The publisher's token of the coordinator's election. */
  readonly token: number;
  /** The incarnations of its members, in its order. */
  readonly members: readonly string[];
}

/** Another server answers from here on. What was committed after `lostSinceMs` is lost; where nothing is, that is `t`. */
export interface FailedOver extends Happening {
  readonly kind: "failed-over";
  readonly lostSinceMs: number;
}

/** A callback of `lead` was called for this term. */
export interface WorkBegan extends Happening {
  readonly kind: "work-began";
  readonly election: string;
  readonly token: number;
}

/** That callback has returned or thrown. */
export interface WorkSettled extends Happening {
  readonly kind: "work-settled";
  readonly election: string;
  readonly token: number;
}

/** The cluster told its process of another coordinator; incarnations, `null` for none. */
export interface CoordinatorTold extends Happening {
  readonly kind: "coordinator-told";
  readonly coordinator: string | null;
  readonly previous: string | null;
}

/** A reader of the group's record asked for what came after `after`, and was answered these sequence numbers. The first of a reader has what it found as `after`. */
export interface RecordRead extends Happening {
  readonly kind: "record-read";
  readonly after: number;
  readonly sequences: readonly number[];
  /** How many the store said are forgotten in between. */
  readonly skipped: number;
}

/** From `fromMs` to `t` nothing happened to anybody: no fault, no work that ended, nobody who came or left. What reached the store meanwhile, by operation. Only a simulation sees this. */
export interface Quiet extends Happening {
  readonly kind: "quiet";
  readonly fromMs: number;
  readonly operations: Readonly<Record<string, number>>;
  /** Versions and sequence numbers that grew meanwhile, by name: elections, events, view. */
  readonly grew: readonly string[];
  /** Hints that were sent. */
  readonly hints: number;
}

/** All faults are over: cut links are mended, whoever stood still runs, the store answers. From here on everything has to come right within the bound. Only a simulation knows. */
export interface FaultsEnded extends Happening {
  readonly kind: "faults-ended";
  /** Nodes that run from here to the end, and the elections that each of them contends for without end. */
  readonly nodes: readonly string[];
  readonly elections: readonly string[];
}

/** This process suspects an incarnation to have ended: a connection to it broke, and right after that nobody listened at its address. */
export interface Suspected extends Happening {
  readonly kind: "suspected";
  readonly suspect: string;
}

/** There is a connection with an incarnation again: it is suspected of nothing. */
export interface Absolved extends Happening {
  readonly kind: "absolved";
  readonly suspect: string;
}

/** A row that was written under a fence, as the table has it at the end. */
export interface FencedRow {
  /** Drawn inside the transaction while it held the fence. On SQLite the order of these is the order of commits; on PostgreSQL that of a lock that is held until the commit. */
  readonly sequence: number;
  /** The server's own word on the order of commits, where it gives one: microseconds on its clock. */
  readonly committedAt?: number | undefined;
  readonly election: string;
  readonly token: number;
  readonly node: string;
  readonly incarnation: string;
  /** The attempt's name; see {@link Wrote}. */
  readonly write: string;
  /** When the writer began the attempt, on the shared clock. */
  readonly t: number;
  /** When the commit took effect, on the shared clock. Only a simulation knows. */
  readonly committedMs?: number | undefined;
  /** When a failover took the row away again, on the shared clock. Only a simulation knows, and has such rows at all. */
  readonly lostMs?: number | undefined;
}

/** What several processes logged, in the order of one clock. */
export interface History {
  /** In order of `t`. */
  readonly events: readonly HistoryEvent[];
  readonly rows: readonly FencedRow[];
}

/** The events of one file. A last line that was cut off by a kill is left out; any other bad line throws. */
export function parseHistory(text: string, name = "history"): HistoryEvent[] {
  const lines = text.split("\n");
  const cutOff = lines.pop();
  const events = lines.filter((line) => line !== "").map((line, index) => parseLine(line, `${name}:${index + 1}`));
  if (cutOff !== undefined && cutOff !== "") {
    try {
      events.push(parseLine(cutOff, name));
    } catch {
      // Killed in the middle of writing it.
    }
  }
  return events;
}

function parseLine(line: string, where: string): HistoryEvent {
  let event: Partial<HistoryEvent> | null;
  try {
    event = JSON.parse(line) as Partial<HistoryEvent> | null;
  } catch (error) {
    throw new Error(`${where} is not JSON`, { cause: error });
  }
  if (typeof event !== "object" || event === null || typeof event.t !== "number" || typeof event.kind !== "string") throw new Error(`${where} is not an event of a history`);
  return event as HistoryEvent;
}

/** One history of several files' events. Those of one process keep their order where their times are equal. */
export function mergeHistories(parts: readonly (readonly HistoryEvent[])[], rows: readonly FencedRow[] = []): History {
  return { events: parts.flat().sort((a, b) => a.t - b.t), rows };
}
