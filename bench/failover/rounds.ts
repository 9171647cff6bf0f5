import { setTimeout as pause } from "node:timers/promises";
import type { Contender } from "./contender.ts";
import { Lane, TooLong } from "./lane.ts";
import type { Line } from "./lane.ts";
import type { TraceLine } from "./protocol.ts";

/** How a leader goes away: SIGKILL, SIGSTOP, SIGSTOP between two statements of a fenced transaction, or of its own will. */
export const DEPARTURES = ["kill", "freeze", "freeze-writing", "resign", "transfer"] as const;
export type Departure = (typeof DEPARTURES)[number];

/** What is measured, again and again. */
export interface Course {
  readonly line: Line;
  readonly departure: Departure;
  /** Where a group has a coordinator: whether the leader is it. */
  readonly role: "coordinator" | "other" | undefined;
  readonly rounds: number;
  /** How many groups are measured side by side. One, where milliseconds matter. */
  readonly lanes: number;
  /** Before each round, and as much again at random, so that it falls anywhere between two beats. */
  readonly settleMs: number;
  readonly spreadMs: number;
  /** The longest to wait for a successor. */
  readonly patienceMs: number;
  readonly onRound: () => void;
  readonly onTrace?: (trace: Trace) => void;
}

/** Where the time of one round went. */
export interface Trace {
  readonly departure: Departure;
  readonly role: string | undefined;
  readonly tookMs: number;
  readonly lines: ReadonlyArray<TraceLine & { readonly node: string; readonly sinceMs: number }>;
}

/** One round. */
export interface Round {
  /** From the departure to the announcement of the next term; infinite if none came in time. */
  readonly tookMs: number;
  /** Frozen leaders of ours: from the end of its trust to the successor's announcement. Negative would be two leaders. */
  readonly afterTrustMs?: number;
  /** Frozen leaders: from its waking up to its knowing that it leads no more; `null` if it never did within {@link NOTICE_MS}. */
  readonly noticedMs?: number | null;
  /** What became of the transaction in which it was frozen: `committed`, or the code of the error. */
  readonly outcome?: string;
}

/** A frozen leader that goes on is given so long to notice that it is none. */
const NOTICE_MS = 5_000;

/** Who was not succeeded twice will not be the third time: the rest of the rounds is spared. */
const HOPELESS = 2;

/** Runs the rounds of a course on its lanes. */
export async function run(course: Course): Promise<readonly Round[]> {
  const rounds: Round[] = [];
  let left = course.rounds;
  let hopeless = 0;
  const work = async (lane: Lane) => {
    try {
      while (left > 0 && hopeless < HOPELESS) {
        left -= 1;
        const round = await oneRound(course, lane);
        rounds.push(round);
        if (round.tookMs === Number.POSITIVE_INFINITY) hopeless += 1;
        course.onRound();
      }
    } finally {
      await lane.close();
    }
  };
  const lanes = Array.from({ length: Math.min(course.lanes, course.rounds) }, (_, n) => new Lane(course.line, `lane${n + 1}`));
  const results = await Promise.allSettled(lanes.map(work));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return rounds;
}

/** Resolves with who leads at a moment that has nothing to do with beats, polls or the round before. */
async function chooseMoment({ role, settleMs, spreadMs, patienceMs, line }: Course, lane: Lane): Promise<Contender> {
  for (;;) {
    const first = await lane.complete(patienceMs + 60_000);
    await pause(settleMs);
    const arranged = role === undefined ? lane.holder : await lane.arrange(role);
    if (role !== undefined && arranged !== first) await pause(settleMs);
    await pause(Math.random() * spreadMs);
    const now = await lane.complete(patienceMs + 60_000);
    // Some hand over by themselves, when the group grows for one: then it has not settled yet.
    if (now === arranged || line.leads === "latest") return now;
  }
}

async function oneRound(course: Course, lane: Lane): Promise<Round> {
  const { departure } = course;
  const holder = await chooseMoment(course, lane);
  const others = lane.contenders.filter((each) => each !== holder);
  const before = new Map(others.map((each) => [each, each.announced]));
  const successor = () => others.find((each) => each.announced > (before.get(each) ?? 0));
  holder.watching = false;
  holder.lastEnded = undefined;
  holder.isWriting = false;
  holder.outcome = undefined;
  holder.handingOverMs = undefined;
  const beganMs = await depart(course, lane, holder, others);
  const [after] = await Promise.allSettled([lane.until("somebody else leads", () => successor()?.holds !== undefined, course.patienceMs)]);
  if (after.status === "rejected" && !(after.reason instanceof TooLong)) throw after.reason;
  const announcedMs = successor()?.holds?.t ?? Number.POSITIVE_INFINITY;
  const tookMs = announcedMs - beganMs();
  if (course.onTrace !== undefined && course.line.trace) await tellTrace(course, lane, holder, beganMs(), tookMs);
  if (departure === "kill") await holder.end();
  return isFreeze(departure) ? await wake(lane, holder, tookMs, announcedMs) : { tookMs };
}

function isFreeze(departure: Departure): boolean {
  return departure === "freeze" || departure === "freeze-writing";
}

/** Has the leader go away; answers how to know when it did. */
async function depart({ departure }: Course, lane: Lane, holder: Contender, others: readonly Contender[]): Promise<() => number> {
  if (departure === "kill") {
    const t = holder.signal("SIGKILL");
    return () => t;
  }
  if (isFreeze(departure)) {
    holder.order({ order: "watch-trust" });
    await lane.until("the leader notes its trust", () => holder.watching);
    if (departure === "freeze-writing") {
      holder.order({ order: "open-transaction" });
      await lane.until("the leader is inside of a transaction", () => holder.isWriting);
    }
    await pause(50); // so that there is something to note
    const t = holder.signal("SIGSTOP");
    return () => t;
  }
  const to = others[Math.floor(Math.random() * others.length)] as Contender;
  holder.order(departure === "resign" ? { order: "resign" } : { order: "transfer", to: to.name });
  await lane.until("the leader hands over", () => holder.handingOverMs !== undefined);
  return () => holder.handingOverMs as number;
}

/** Has the frozen leader go on, and sees when it knows. One that never does is ended, so that the next round begins with one leader. */
async function wake(lane: Lane, holder: Contender, tookMs: number, announcedMs: number): Promise<Round> {
  const wokenMs = holder.signal("SIGCONT");
  const [noticed] = await Promise.allSettled([lane.until("the frozen leader knows", () => holder.lastEnded !== undefined, NOTICE_MS)]);
  const ended = holder.lastEnded;
  if (noticed.status === "rejected" || ended === undefined) {
    await holder.end();
    return { tookMs, noticedMs: null };
  }
  const trustEndMs = ended.trustEndMs;
  const wasWriting = holder.isWriting;
  if (wasWriting) {
    holder.order({ order: "commit" });
    await lane.until("the transaction has an outcome", () => holder.outcome !== undefined);
  }
  return { tookMs, noticedMs: ended.t - wokenMs, ...(wasWriting ? { outcome: holder.outcome as string } : {}), ...(trustEndMs === null ? {} : { afterTrustMs: announcedMs - trustEndMs }) };
}

/** Long enough to show what was going on before. */
const TRACED_BEFORE_MS = 60;

async function tellTrace({ departure, role, onTrace }: Course, lane: Lane, holder: Contender, beganMs: number, tookMs: number): Promise<void> {
  // One that resigns or transfers has its share in it; one that is killed or frozen cannot tell.
  const lines = (await lane.trace(isFreeze(departure) || departure === "kill" ? [holder] : [])).map((line) => ({ ...line, sinceMs: line.t - beganMs }));
  const near = lines.filter(({ sinceMs, tookMs: lasted = 0 }) => sinceMs + lasted > -TRACED_BEFORE_MS && sinceMs <= tookMs + 1);
  onTrace?.({ departure, role, tookMs, lines: near });
}
