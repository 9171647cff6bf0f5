import type { CHECKS, FencedRow, History, HistoryEvent } from "../../src/testing/history/index.ts";

/**
 * Histories written by hand for each check: some that keep its promise and some that break it. Lease 1000, beat 250, slack 500: an office may be empty for 2000.
 */
export const CONFIG = { leaseMs: 1_000, beatMs: 250, slackMs: 500 };

export interface Cases {
  readonly good: Readonly<Record<string, History>>;
  /** What the message must say. */
  readonly bad: Readonly<Record<string, { readonly history: History; readonly says: RegExp; readonly times?: number }>>;
}

// ---- words to write histories in

type Entry = { t: number } & Record<string, unknown>;

/** Events of one process, which runs as incarnation `<name>-i`. */
function of(name: string, ...entries: readonly Entry[]): HistoryEvent[] {
  return entries.map((entry) => ({ process: name, node: name.split("#")[0], incarnation: `${name}-i`, ...entry }) as unknown as HistoryEvent);
}

function history(...parts: readonly HistoryEvent[][]): History {
  return { events: parts.flat().sort((a, b) => a.t - b.t), rows: [] };
}

function withRows(base: History, ...rows: readonly FencedRow[]): History {
  return { ...base, rows };
}

const announced = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "announced", election: "work", token, mayAct: true, ...more });
const ended = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "ended", election: "work", token, reason: "TERM_RESIGNED", ...more });
const believes = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "believes", election: "work", token, ...more });
const wrote = (t: number, token: number, write: string, outcome = "committed"): Entry => ({ t, kind: "wrote", election: "work", token, write, outcome, code: outcome === "committed" ? "" : "TERM_LOST" });
const view = (t: number, version: number, members: readonly string[], more: object = {}): Entry => ({
  t,
  kind: "view",
  version,
  members: members.map((name) => ({ node: name.split("#")[0], incarnation: `${name}-i`, metadata: {} })),
  coordinator: members[0] === undefined ? null : `${members[0]}-i`,
  skipped: false,
  ...more,
});
const dead = (t: number, name: string): Entry => ({ t, kind: "declared-dead", dead: `${name}-i` });
const at = (t: number, kind: string, more: object = {}): Entry => ({ t, kind, ...more });
const paused = (t: number): Entry => at(t, "paused", { cause: "SIGSTOP" });
const resumed = (t: number): Entry => at(t, "resumed", { cause: "SIGSTOP" });
const exited = (t: number, code: number | null, signal: string | null, expected: boolean): Entry => at(t, "exited", { code, signal, expected });
const told = (t: number, what: string, code = ""): Entry => at(t, "told", { what, code, detail: "" });
const coordinates = { election: "coordinator" };

function row(sequence: number, token: number, name: string, more: object = {}): FencedRow {
  return { sequence, election: "work", token, node: name, incarnation: `${name}-i`, write: `${name}-${sequence}`, t: sequence, ...more };
}

/** a leads as 1, then b as 2. */
const handover = history(of("a", announced(10, 1), ended(20, 1)), of("b", announced(30, 2)));

// ---- the cases

export const CASES: Readonly<Record<keyof typeof CHECKS, Cases>> = {
  tokensGrow: {
    good: {
      "two terms one after the other": handover,
      "the same node wins twice, by a greater token each time": history(of("a", announced(10, 5), ended(20, 5), announced(30, 9))),
      "two elections count for themselves": history(of("a", announced(10, 7)), of("b", announced(20, 3, { election: "other" }))),
      "a term that was announced into a freeze is out of the order": history(of("a", announced(100, 1, { mayAct: false })), of("b", announced(50, 2))),
    },
    bad: {
      "a smaller token later": { history: history(of("a", announced(10, 2)), of("b", announced(20, 1))), says: /token 1 of work was announced after 2/ },
      "one token, two incarnations": { history: history(of("a", announced(10, 4, { mayAct: false })), of("b", announced(20, 4))), says: /token 4 of work belongs to a .* and to b/ },
      "the same token announced twice to one node": { history: history(of("a", announced(10, 4), ended(11, 4), announced(20, 4))), says: /announced after 4/ },
      "a row written with another's token": { history: withRows(handover, row(1, 2, "a")), says: /a \(a-i\) wrote with it/ },
    },
  },
  beliefsDoNotOverlap: {
    good: {
      "one stops believing before the next begins": history(of("a", believes(10, 1), believes(15, 1)), of("b", believes(16, 2), believes(30, 2))),
      "a frozen one believes nothing while it sleeps": history(of("a", believes(10, 1)), of("b", believes(500, 2)), of("b", believes(900, 2))),
      "different elections may be held at once": history(of("a", believes(10, 1), believes(90, 1)), of("b", believes(50, 1, { election: "other" }))),
    },
    bad: {
      "the old one still believes": { history: history(of("a", believes(10, 1), believes(60, 1)), of("b", believes(50, 2), believes(90, 2))), says: /for 10\.0 ms/ },
      "one belief inside another": { history: history(of("a", believes(10, 1), believes(100, 1)), of("b", believes(40, 2), believes(50, 2)), of("c", believes(60, 3))), says: /term 1 of work/, times: 2 },
      "one process believes in two terms": { history: history(of("a", believes(10, 1), believes(30, 1), believes(20, 2))), says: /in 2, for 0\.0 ms/ },
      "the two samples of one instant": { history: history(of("a", believes(10, 1)), of("b", believes(10, 2))), says: /for 0\.0 ms/ },
    },
  },
  fencedRowsInOrder: {
    good: {
      "rows of the old token, then rows of the new": withRows(handover, row(1, 1, "a"), row(2, 1, "a"), row(5, 2, "b")),
      "the order of the list does not matter": withRows(handover, row(5, 2, "b"), row(1, 1, "a")),
      "the server agrees about the order": withRows(handover, row(1, 1, "a", { committedAt: 10 }), row(3, 1, "a", { committedAt: 20 }), row(4, 2, "b", { committedAt: 20 })),
      "no rows": handover,
    },
    bad: {
      "an old token after a new one": { history: withRows(handover, row(1, 2, "b"), row(2, 1, "a")), says: /order of sequence, a row of token 1 \(a .* after one of token 2/ },
      "drawn early and committed late": { history: withRows(handover, row(1, 1, "a", { committedAt: 90 }), row(2, 2, "b", { committedAt: 50 })), says: /order of commit/ },
      "every stale row counts": { history: withRows(handover, row(1, 2, "b"), row(2, 1, "a"), row(3, 2, "b"), row(4, 1, "a")), says: /token 1/, times: 2 },
      "a token that was never announced": { history: withRows(handover, row(1, 3, "c")), says: /never announced/ },
    },
  },
  writesAnsweredHonestly: {
    good: {
      "committed and there": withRows(history(of("a", wrote(10, 1, "a-1"))), row(1, 1, "a")),
      "refused and not there": withRows(history(of("a", wrote(10, 1, "a-1"), wrote(20, 1, "a-9", "refused"))), row(1, 1, "a")),
      "unknown, both ways": withRows(history(of("a", wrote(10, 1, "a-1", "unknown"), wrote(20, 1, "a-9", "unknown"))), row(1, 1, "a")),
      "killed before the answer": withRows(history(of("a", at(10, "killed"))), row(1, 1, "a")),
    },
    bad: {
      "committed and lost": { history: history(of("a", wrote(10, 1, "a-1"))), says: /a-1 .* answered as committed and is not in the table/ },
      "refused and written": { history: withRows(history(of("a", wrote(10, 1, "a-1", "refused"))), row(1, 1, "a")), says: /refused with TERM_LOST and is in the table/ },
      "written twice": { history: withRows(history(of("a", wrote(10, 1, "w"))), row(1, 1, "a", { write: "w" }), row(2, 1, "a", { write: "w" })), says: /twice/ },
    },
  },
  viewsAgree: {
    good: {
      "all see the same": history(of("a", view(10, 1, ["a", "b"])), of("b", view(12, 1, ["a", "b"]))),
      "other numbers, other lists": history(of("a", view(10, 1, ["a"]), view(20, 2, ["a", "b"])), of("b", view(21, 2, ["a", "b"]))),
      "one has missed a view": history(of("a", view(10, 1, ["a"]), view(20, 2, ["a", "b"])), of("b", view(30, 3, ["b"]))),
    },
    bad: {
      "another list under the same number": { history: history(of("a", view(10, 1, ["a", "b"])), of("b", view(12, 1, ["a", "c"]))), says: /view 1 is one thing to a .* another to b/ },
      "another order": { history: history(of("a", view(10, 1, ["a", "b"], { coordinator: "a-i" })), of("b", view(12, 1, ["b", "a"], { coordinator: "a-i" }))), says: /view 1/ },
      "another coordinator": { history: history(of("a", view(10, 1, ["a", "b"])), of("b", view(12, 1, ["a", "b"], { coordinator: "b-i" }))), says: /view 1/ },
      "other metadata": { history: history(of("a", view(10, 1, ["a"])), of("b", view(12, 1, [], { coordinator: "a-i", members: [{ node: "a", incarnation: "a-i", metadata: { n: 1 } }] }))), says: /view 1/ },
    },
  },
  viewsGrow: {
    good: {
      "one by one": history(of("a", view(10, 1, ["a"]), view(20, 2, ["a", "b"]), view(30, 3, ["a"]))),
      "with a gap that is marked": history(of("a", view(10, 1, ["a"]), view(30, 4, ["a"], { skipped: true }))),
      "a process that begins late begins anywhere": history(of("a", view(10, 1, ["a"])), of("b", view(30, 7, ["b"]))),
      "a node comes back as another incarnation": history(of("a", view(10, 1, ["a", "b"]), view(20, 2, ["a"]), view(30, 3, ["a", "b#2"]))),
    },
    bad: {
      "the same number again": { history: history(of("a", view(10, 1, ["a"]), view(20, 1, ["a"]))), says: /view 1 after view 1/ },
      "back to an older one": { history: history(of("a", view(10, 3, ["a"]), view(20, 2, ["a"]))), says: /view 2 after view 3/ },
      "a gap that is not marked": { history: history(of("a", view(10, 1, ["a"]), view(20, 3, ["a"]))), says: /is not marked as skipping/ },
      "a mark without a gap": { history: history(of("a", view(10, 1, ["a"]), view(20, 2, ["a"], { skipped: true }))), says: /is marked as skipping/ },
      "the dead come back": { history: history(of("a", view(10, 1, ["a", "b"])), of("c", view(20, 2, ["a"])), of("a", view(30, 3, ["a", "b"], { skipped: true }))), says: /b-i left with view 2 and is back in view 3/ },
    },
  },
  deadNeverActs: {
    good: {
      "silent since": history(of("a", believes(10, 1), dead(50, "b")), of("b", believes(5, 1))),
      "another incarnation of the node goes on": history(of("a", dead(50, "b")), of("b", believes(60, 2, { incarnation: "b-ii" }))),
      "announced into the freeze, knowing better": history(of("a", dead(50, "b")), of("b", announced(60, 1, { mayAct: false }))),
    },
    bad: {
      "believes on": { history: history(of("a", dead(50, "b")), of("b", believes(40, 1), believes(60, 1), believes(70, 1))), says: /b \(b-i\) believed in term 1 of work 10\.0 ms after/ },
      "is announced a term": { history: history(of("a", dead(50, "b")), of("b", announced(60, 2))), says: /was announced term 2/ },
      "is a member again": { history: history(of("a", dead(50, "b")), of("b", at(60, "joined"))), says: /was a member/ },
    },
  },
  runningIsNotDeclaredDead: {
    good: {
      "it was killed": history(of("b", at(1, "joined"), at(10, "killed")), of("a", dead(1_500, "b"))),
      "it was stopped": history(of("b", at(1, "joined"), paused(10), resumed(3_000)), of("a", dead(1_500, "b"))),
      "it was stopped a moment ago": history(of("b", at(1, "joined"), paused(10), resumed(1_400)), of("a", dead(1_500, "b"))),
      "it was cut off": history(of("b", at(1, "joined"), at(10, "cut-off", { how: "blackhole" }), at(3_000, "mended")), of("a", dead(1_500, "b"))),
      "it knew that its trust had lapsed": history(of("b", at(1, "joined"), told(1_400, "lost", "TERM_LOST")), of("a", dead(1_500, "b"))),
      "nothing is known of it": history(of("a", dead(1_500, "x"))),
    },
    bad: {
      "it ran": { history: history(of("b", at(1, "joined")), of("a", dead(1_500, "b"))), says: /declared incarnation b-i of b dead, which was running/ },
      "it was stopped long ago": { history: history(of("b", at(1, "joined"), paused(10), resumed(20)), of("a", dead(5_000, "b"))), says: /which was running/ },
      "it was cut off long ago": { history: history(of("b", at(1, "joined"), at(10, "cut-off", { how: "blackhole" }), at(20, "mended")), of("a", dead(5_000, "b"))), says: /which was running/ },
      "it was back from a lapse": { history: history(of("b", at(1, "joined"), told(1_000, "lost", "TERM_LOST"), told(1_200, "rejoined")), of("a", dead(1_500, "b"))), says: /which was running/ },
      "it was killed only later": { history: history(of("b", at(1, "joined"), at(2_000, "killed")), of("a", dead(1_500, "b"))), says: /which was running/ },
    },
  },
  noUnexpectedExit: {
    good: {
      "killed by the harness": history(of("a", exited(10, null, "SIGKILL", true))),
      "asked to stop": history(of("a", exited(10, 0, null, true))),
      "still running": history(of("a", at(1, "started"))),
    },
    bad: {
      "an uncaught error": { history: history(of("a", exited(10, 1, null, false))), says: /a ended by itself, with code 1/ },
      "a clean end that nobody asked for": { history: history(of("a", exited(10, 0, null, false))), says: /with code 0/ },
      "a crash": { history: history(of("a", exited(10, null, "SIGSEGV", false))), says: /SIGSEGV/ },
    },
  },
  noInternalError: {
    good: {
      "nothing told": history(of("a", at(1, "started"))),
      "the store was away": history(of("a", told(1, "suspended", "STORE_UNREACHABLE"), told(2, "lost", "TERM_LOST"))),
      "an overrun is the work's fault": history(of("a", told(1, "overrun"))),
    },
    bad: {
      "a bug": { history: history(of("a", told(1, "error", "INTERNAL"))), says: /a \(a-i\) reported INTERNAL/ },
      "a listener that failed": { history: history(of("a", told(1, "error", "LISTENER_FAILED"))), says: /LISTENER_FAILED/ },
      "each one": { history: history(of("a", told(1, "error", "INTERNAL")), of("b", told(1, "error", "INTERNAL"))), says: /INTERNAL/, times: 2 },
    },
  },
  leaderReturns: {
    good: {
      "a killed leader is succeeded in time": history(of("a", announced(0, 1), at(100, "killed")), of("b", announced(2_000, 2), at(9_000, "joined"))),
      "a leader that is stopped for a short while": history(of("a", announced(0, 1), paused(100), resumed(700)), of("b", at(9_000, "joined"))),
      "an outage does not count": history(of("a", announced(0, 1), ended(1_000, 1)), of("", at(100, "outage-began"), at(5_000, "outage-ended")), of("b", announced(6_500, 2))),
      "the history ends soon after the fault": history(of("a", announced(0, 1), at(100, "killed")), of("b", at(2_000, "joined"))),
      "nobody ever contended": history(of("a", at(0, "joined"), at(9_000, "joined"))),
    },
    bad: {
      "too late": { history: history(of("a", announced(0, 1), at(100, "killed")), of("b", announced(2_200, 2))), says: /work had no holder for 2100 ms; 2000 ms are allowed/ },
      "never": { history: history(of("a", announced(0, 1), ended(10, 1)), of("b", at(9_000, "joined"))), says: /has none at the end/ },
      "a stopped leader that nobody succeeds": { history: history(of("a", announced(0, 1), paused(100), resumed(3_000)), of("b", at(9_000, "joined"))), says: /2900 ms/ },
      "too late after an outage": { history: history(of("a", announced(0, 1), ended(1_000, 1)), of("", at(100, "outage-began"), at(5_000, "outage-ended")), of("b", announced(7_100, 2))), says: /2100 ms after the store came back/ },
      "a successor that dies at once counts only while it lives": { history: history(of("a", announced(0, 1), at(100, "killed")), of("b", announced(1_000, 2), at(1_001, "killed")), of("c", announced(4_000, 3))), says: /2999 ms/ },
    },
  },
  coordinatorReturns: {
    good: {
      "a view with the new coordinator comes in time": history(of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b"]), at(100, "killed")), of("b", announced(1_500, 2, coordinates), view(1_600, 2, ["b"]), at(9_000, "joined"))),
      "the same coordinator all along": history(of("a", announced(0, 1, coordinates), view(1, 1, ["a"]), view(8_000, 2, ["a"]), at(9_000, "joined"))),
      "another process tells the view": history(of("a", announced(0, 1, coordinates), view(1, 1, ["a"]), at(100, "killed")), of("b", announced(1_500, 2, coordinates)), of("c", view(1_900, 2, ["b"]), at(9_000, "joined"))),
    },
    bad: {
      "a term without a view": { history: history(of("a", announced(0, 1, coordinates), view(1, 1, ["a"]), at(100, "killed")), of("b", announced(1_500, 2, coordinates), at(9_000, "joined"))), says: /coordinator had no holder for 8900 ms, and has none at the end/ },
      "a view that comes late": { history: history(of("a", announced(0, 1, coordinates), view(1, 1, ["a"]), at(100, "killed")), of("b", announced(1_500, 2, coordinates), view(2_500, 2, ["b"]))), says: /2400 ms/ },
      "views that name the dead": { history: history(of("a", announced(0, 1, coordinates), view(1, 1, ["a"]), at(100, "killed")), of("b", view(1_500, 2, ["a", "b"]), at(9_000, "joined"))), says: /coordinator had no holder/ },
    },
  },
  deadLeaveTheView: {
    good: {
      "the next view is without the killed": history(of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b"]), view(1_500, 2, ["a"]), at(9_000, "joined")), of("b", at(100, "killed"))),
      "it was in no view yet": history(of("a", announced(0, 1, coordinates), view(1, 1, ["a"]), at(9_000, "joined")), of("b", at(100, "killed"))),
      "the coordinator died as well": history(
        of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b", "c"]), at(100, "killed")),
        of("c", announced(1_500, 2, coordinates), view(1_600, 2, ["b", "c"], { coordinator: "c-i" }), view(3_800, 3, ["c"]), at(9_000, "joined")),
        of("b", at(100, "killed")),
      ),
    },
    bad: {
      "never": { history: history(of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b"]), at(9_000, "joined")), of("b", at(100, "killed"))), says: /b was killed and is still in the newest view/ },
      "late": { history: history(of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b"]), view(4_000, 2, ["a"]), at(9_000, "joined")), of("b", at(100, "killed"))), says: /was still in the view 3900 ms later/ },
      "a later view shows it again": { history: history(of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b"]), view(1_000, 2, ["a"]), view(8_000, 3, ["a", "b"]), at(9_000, "joined")), of("b", at(100, "killed"))), says: /still in the newest view/ },
    },
  },
};
