import type { CHECKS, FencedRow, History, HistoryEvent } from "../../src/testing/history/index.ts";
import { CHANNEL_CASES } from "./channel-cases.ts";
import { at, calm, exited, history, of, paused, resumed, view } from "./history-words.ts";
import type { Cases, Entry } from "./history-words.ts";

/**
 * Histories written by hand for each check: some that keep its promise and some that break it. Lease 1000, beat 250, slack 500: an office may be empty for 2000.
 */
export const CONFIG = { leaseMs: 1_000, beatMs: 250, slackMs: 500 };

// ---- words to write these histories in

function withRows(base: History, ...rows: readonly FencedRow[]): History {
  return { ...base, rows };
}

const announced = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "announced", election: "work", token, mayAct: true, ...more });
const ended = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "ended", election: "work", token, reason: "TERM_RESIGNED", ...more });
const believes = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "believes", election: "work", token, ...more });
const denies = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "denies", election: "work", token, ...more });
const wrote = (t: number, token: number, write: string, outcome = "committed"): Entry => ({ t, kind: "wrote", election: "work", token, write, outcome, code: outcome === "committed" ? "" : "TERM_LOST" });
const suspected = (t: number, name: string): Entry => at(t, "suspected", { suspect: `${name}-i` });
const QUICKLY = { freeMs: 2, endedBy: "process", heard: true };
const dead = (t: number, name: string): Entry => ({ t, kind: "declared-dead", dead: `${name}-i` });
const told = (t: number, what: string, code = ""): Entry => at(t, "told", { what, code, detail: "" });
const coordinates = { election: "coordinator" };

// What only a simulation sees.
const granted = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "granted", election: "work", token, ...more });
const published = (t: number, version: number, token: number, members: readonly string[]): Entry => ({ t, kind: "published", version, token, members: members.map((name) => `${name}-i`) });
const failedOver = (t: number, lostSinceMs = t): HistoryEvent[] => of("", at(t, "failed-over", { lostSinceMs }));
const began = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "work-began", election: "work", token, ...more });
const settled = (t: number, token: number, more: object = {}): Entry => ({ t, kind: "work-settled", election: "work", token, ...more });
const changed = (joined: readonly string[], left: readonly string[]) => ({ joined: joined.map((name) => `${name}-i`), left: left.map((name) => `${name}-i`) });
const named = (t: number, coordinator: string | null, previous: string | null): Entry => ({ t, kind: "coordinator-told", coordinator: coordinator && `${coordinator}-i`, previous: previous && `${previous}-i` });
const read = (t: number, after: number, sequences: readonly number[], skipped = 0): Entry => ({ t, kind: "record-read", after, sequences, skipped });
const quiet = (t: number, operations: object, more: object = {}): HistoryEvent[] => of("", at(t, "quiet", { fromMs: t - 100, operations, grew: [], hints: 0, ...more }));
const buried = (t: number, name: string, silentMs: number, more: object = {}): Entry => ({ ...dead(t, name), silentMs, leaseMs: 1_000, ...more });

function row(sequence: number, token: number, name: string, more: object = {}): FencedRow {
  return { sequence, election: "work", token, node: name, incarnation: `${name}-i`, write: `${name}-${sequence}`, t: sequence, ...more };
}

/** One of `alive` that nobody had another reason to bury. */
const buriedAlone = (t: number, name: string, silentMs: number, alive: number): Entry => buried(t, name, silentMs, { alive, held: [] });

/** a has long been the coordinator of itself, b and c. */
const presides = [...of("a", announced(1, 1, coordinates)), ...of("b", at(1, "joined")), ...of("c", at(1, "joined"))];

/** a leads as 1, then b as 2. */
const handover = history(of("a", announced(10, 1), ended(20, 1)), of("b", announced(30, 2)));

/** Faults end at 1000, so that all has to be right at 11000; a coordinates, b works, both have view 3. The history ends at 20000. */
const coordinating = of("a", at(0, "started"), announced(900, 5, coordinates), view(1_500, 3, ["a", "b"]), believes(20_000, 5, coordinates));
const leading = of("b", at(0, "started"), announced(2_000, 7), view(1_501, 3, ["a", "b"]));
const faultsEnd = calm(1_000, ["a", "b"]);

// ---- the cases

export const CASES: Readonly<Record<keyof typeof CHECKS, Cases>> = {
  ...CHANNEL_CASES,
  tokensGrow: {
    good: {
      "two terms one after the other": handover,
      "the same node wins twice, by a greater token each time": history(of("a", announced(10, 5), ended(20, 5), announced(30, 9))),
      "two elections count for themselves": history(of("a", announced(10, 7)), of("b", announced(20, 3, { election: "other" }))),
      "a term that was announced into a freeze is out of the order": history(of("a", announced(100, 1, { mayAct: false })), of("b", announced(50, 2))),
    },
    bad: {
      "a smaller token later": { history: history(of("a", announced(10, 2)), of("b", announced(20, 1))), says: /token 1 of work was announced after 2/ },
      "the same token announced twice to one node": { history: history(of("a", announced(10, 4), ended(11, 4), announced(20, 4))), says: /announced after 4/ },
      "an old one that lets itself be told late": { history: history(of("a", announced(30, 1)), of("b", announced(20, 2), ended(25, 2))), says: /token 1 of work was announced after 2/ },
    },
  },
  tokensHaveOneHolder: {
    good: {
      "two terms one after the other": handover,
      "the holder is told, believes and writes": withRows(history(of("a", announced(10, 4), believes(11, 4), wrote(12, 4, "a-1"))), row(1, 4, "a")),
      "one that is announced late": history(of("b", announced(20, 2)), of("a", announced(30, 1), believes(31, 1))),
      "two elections count for themselves": history(of("a", announced(10, 7)), of("b", announced(20, 7, { election: "other" }))),
    },
    bad: {
      "one token, two incarnations": { history: history(of("a", announced(10, 4, { mayAct: false })), of("b", announced(20, 4))), says: /token 4 of work belongs to a .* and to b/ },
      "one token, two nodes": { history: history(of("a", announced(10, 4, { mayAct: false })), of("b", announced(20, 4, { incarnation: "a-i" }))), says: /token 4 of work belongs to a .* and to b/ },
      "a row written with another's token": { history: withRows(handover, row(1, 2, "a")), says: /a \(a-i\) wrote with it/ },
    },
  },
  grantedTokensGrow: {
    good: {
      "each greater than the one before": history(of("a", granted(10, 1)), of("b", granted(20, 2)), of("a", granted(30, 9))),
      "two elections count for themselves": history(of("a", granted(10, 7)), of("b", granted(20, 3, { election: "other" }))),
      "a failover that lost a grant opens a new range": history(of("a", granted(10, 1), granted(20, 2)), failedOver(30, 15), of("b", granted(40, 2 ** 32))),
      "grants that nobody was told of": history(of("a", granted(10, 1), granted(20, 2)), of("b", granted(30, 3), announced(40, 3))),
    },
    bad: {
      "a smaller one later": { history: history(of("a", granted(10, 2)), of("b", granted(20, 1))), says: /token 1 of work was granted after 2/ },
      "one that was lost is granted again": { history: history(of("a", granted(20, 2)), failedOver(30, 15), of("b", granted(40, 2))), says: /token 2 of work was granted to a .* and again to b/ },
      "a smaller one after a failover": { history: history(of("a", granted(20, 2)), failedOver(30, 5), of("b", granted(40, 1))), says: /granted after 2/ },
      "twice to the same": { history: history(of("a", granted(10, 2), granted(20, 2))), says: /again to a/ },
      "once too small, once again": { history: history(of("a", granted(10, 5), granted(20, 3), granted(30, 3))), says: /token 3/, times: 2 },
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
  beliefNeverReturns: {
    good: {
      "it believed, and then not any more": history(of("a", believes(10, 1), denies(20, 1), ended(21, 1))),
      "the next term is another belief": history(of("a", denies(20, 1), ended(21, 1), announced(30, 2), believes(31, 2))),
      "another process, or another election": history(of("a", denies(20, 1)), of("b", believes(30, 1)), of("a", believes(31, 1, { election: "other" }))),
      "nobody asked in between": history(of("a", believes(10, 1), believes(90, 1))),
    },
    bad: {
      "it believes again": { history: history(of("a", believes(10, 1), denies(20, 1), believes(30, 1))), says: /a \(a-i\) believed in term 1 of work again, 10\.0 ms after/ },
      "it believes for the first time": { history: history(of("a", denies(20, 1), believes(20, 1))), says: /again, 0\.0 ms after/ },
      "told once for each time that it was found": { history: history(of("a", denies(20, 1), believes(30, 1), believes(31, 1), denies(40, 1), believes(50, 1))), says: /10\.0 ms/, times: 2 },
    },
  },
  signalComesFirst: {
    good: {
      "nothing is known of it": history(of("a", announced(10, 1)), of("b", announced(30, 2))),
      "everybody was told": history(of("a", announced(10, 1)), of("b", announced(30, 2, { unaware: [] }))),
      "the first term": history(of("a", announced(10, 1, { unaware: [] }))),
    },
    bad: {
      "one was not": { history: history(of("a", announced(10, 1)), of("b", announced(30, 2, { unaware: ["a-i"] }))), says: /b \(b-i\) was announced term 2 of work while a-i, .* had not been told to stop/ },
      "two were not": { history: history(of("a", announced(10, 1)), of("b", announced(20, 2)), of("c", announced(30, 3, { unaware: ["a-i", "b-i"] }))), says: /term 3 of work/, times: 2 },
      "again and again": { history: history(of("b", announced(20, 2, { unaware: ["a-i"] })), of("c", announced(30, 3, { unaware: ["a-i"] }))), says: /a-i/, times: 2 },
    },
  },
  workNeverOverlaps: {
    good: {
      "one after the other": history(of("a", began(10, 1), settled(20, 1), began(20, 2), settled(30, 2))),
      "in two elections at once": history(of("a", began(10, 1), began(11, 1, { election: "other" }))),
      "in two processes at once": history(of("a", began(10, 1)), of("b", began(20, 2))),
      "the process was started again": history(of("a", at(1, "started"), began(10, 1), at(15, "killed"), at(20, "started"), began(30, 2))),
    },
    bad: {
      "the old one goes on": { history: history(of("a", began(10, 1), began(19.9, 2), settled(20, 1))), says: /work of term 2 of work began in a .* while that of term 1 had not settled/ },
      "it never settles": { history: history(of("a", began(10, 1), ended(15, 1), began(500, 2), settled(600, 2))), says: /that of term 1/ },
      "another one's end is not its end": { history: history(of("a", began(10, 1), settled(15, 1, { election: "other" }), settled(16, 9), began(20, 2)), of("b", settled(12, 1))), says: /that of term 1/ },
      "twice for one term": { history: history(of("a", began(10, 1), began(20, 1))), says: /that of term 1/ },
    },
  },
  fencedRowsInOrder: {
    good: {
      "rows of the old token, then rows of the new": withRows(handover, row(1, 1, "a"), row(2, 1, "a"), row(5, 2, "b")),
      "the order of the list does not matter": withRows(handover, row(5, 2, "b"), row(1, 1, "a")),
      "the server agrees about the order": withRows(handover, row(1, 1, "a", { committedAt: 10 }), row(3, 1, "a", { committedAt: 20 }), row(4, 2, "b", { committedAt: 20 })),
      "no rows": handover,
      "a simulation knows when they were committed, whatever the sequence": withRows(handover, row(2, 1, "a", { committedMs: 10 }), row(1, 2, "b", { committedMs: 11 })),
      "committed in one moment, the sequence decides": withRows(handover, row(1, 1, "a", { committedMs: 10 }), row(2, 2, "b", { committedMs: 10 })),
      "a newer row that was lost before": withRows(handover, row(1, 1, "a", { committedMs: 10 }), row(2, 2, "b", { committedMs: 20, lostMs: 30 }), row(2, 1, "a", { committedMs: 30, write: "w" })),
    },
    bad: {
      "an old token after a new one": { history: withRows(handover, row(1, 2, "b"), row(2, 1, "a")), says: /order of sequence, a row of token 1 \(a .* after one of token 2/ },
      "drawn early and committed late": { history: withRows(handover, row(1, 1, "a", { committedAt: 90 }), row(2, 2, "b", { committedAt: 50 })), says: /order of commit/ },
      "every stale row counts": { history: withRows(handover, row(1, 2, "b"), row(2, 1, "a"), row(3, 2, "b"), row(4, 1, "a")), says: /token 1/, times: 2 },
      "a token that was never announced": { history: withRows(handover, row(1, 3, "c")), says: /never announced/ },
      "committed late in a simulation, with an early sequence": { history: withRows(handover, row(1, 1, "a", { committedMs: 21 }), row(2, 2, "b", { committedMs: 20 })), says: /order of commit, a row of token 1/ },
      "a newer row that is lost only later": { history: withRows(handover, row(1, 2, "b", { committedMs: 20, lostMs: 30.1 }), row(2, 1, "a", { committedMs: 30 })), says: /token 1 .* after one of token 2/ },
      "a newer row below one that was lost": {
        history: withRows(history(of("a", announced(1, 1), announced(2, 2), announced(3, 3))), row(1, 2, "a", { committedMs: 10 }), row(2, 3, "a", { committedMs: 20, lostMs: 30 }), row(3, 1, "a", { committedMs: 40 })),
        says: /token 1 .* after one of token 2/,
      },
      "a stale row is itself newer than the next": {
        history: withRows(history(of("a", announced(1, 1), announced(2, 2), announced(3, 3))), row(1, 3, "a", { committedMs: 10, lostMs: 25 }), row(2, 2, "a", { committedMs: 20 }), row(3, 1, "a", { committedMs: 30 })),
        says: /token (?:2 .* after one of token 3|1 .* after one of token 2)/,
        times: 2,
      },
      "a token that was never announced, in a row that was lost": { history: withRows(handover, row(1, 3, "c", { committedMs: 10, lostMs: 20 })), says: /never announced/ },
    },
  },
  writesPrecedeTheNextTerm: {
    good: {
      "committed before the next is announced": withRows(handover, row(1, 1, "a", { committedMs: 15 }), row(2, 1, "a", { committedMs: 30 }), row(3, 2, "b", { committedMs: 31 })),
      "nobody knows when": withRows(handover, row(1, 2, "b"), row(2, 1, "a", { committedAt: 90 })),
      "another election": withRows(handover, row(1, 1, "a", { committedMs: 90, election: "other" })),
      "a failover took the next term away": withRows(history(of("a", announced(10, 1)), of("b", announced(30, 2)), failedOver(40, 20)), row(1, 1, "a", { committedMs: 50 })),
      "a failover came between the next claim and what was heard of it": withRows(history(of("a", announced(10, 1)), of("b", granted(20, 2)), failedOver(29, 15), of("b", announced(30, 2))), row(1, 1, "a", { committedMs: 50 })),
      "nobody was announced anything": withRows(history(), row(1, 1, "a", { committedMs: 50 })),
    },
    bad: {
      "committed after the next is announced": { history: withRows(handover, row(1, 1, "a", { committedMs: 30.5 })), says: /a \(a-i\) wrote with token 1 of work 0\.5 ms after term 2 had been announced to b/ },
      "each row of two": { history: withRows(handover, row(1, 1, "a", { committedMs: 31 }), row(2, 2, "b", { committedMs: 32 }), row(3, 1, "a", { committedMs: 33 })), says: /after term 2/, times: 2 },
      "a failover that took less away": { history: withRows(history(of("a", announced(10, 1)), of("b", announced(30, 2)), failedOver(40, 35)), row(1, 1, "a", { committedMs: 50 })), says: /20\.0 ms after term 2/ },
      "a failover came before the next claim": { history: withRows(history(of("a", announced(10, 1)), failedOver(19, 15), of("b", granted(20, 2), announced(30, 2))), row(1, 1, "a", { committedMs: 50 })), says: /after term 2/ },
      "the greatest of several": { history: withRows(history(of("a", announced(10, 1)), of("b", announced(30, 3)), of("c", announced(40, 2))), row(1, 2, "c", { committedMs: 50 })), says: /after term 3/ },
    },
  },
  writesAnsweredHonestly: {
    good: {
      "committed and there": withRows(history(of("a", wrote(10, 1, "a-1"))), row(1, 1, "a")),
      "refused and not there": withRows(history(of("a", wrote(10, 1, "a-1"), wrote(20, 1, "a-9", "refused"))), row(1, 1, "a")),
      "unknown, both ways": withRows(history(of("a", wrote(10, 1, "a-1", "unknown"), wrote(20, 1, "a-9", "unknown"))), row(1, 1, "a")),
      "killed before the answer": withRows(history(of("a", at(10, "killed"))), row(1, 1, "a")),
      "committed, and lost with a failover": withRows(history(of("a", wrote(10, 1, "a-1"), wrote(40, 1, "a-2"))), row(1, 1, "a", { committedMs: 9, lostMs: 30 }), row(2, 1, "a", { committedMs: 20, lostMs: 30 })),
      "written again after it was lost": withRows(history(of("a", wrote(40, 1, "w"))), row(7, 1, "a", { write: "w", committedMs: 30 }), row(9, 1, "a", { write: "w", committedMs: 10, lostMs: 30 })),
    },
    bad: {
      "committed and lost": { history: history(of("a", wrote(10, 1, "a-1"))), says: /a-1 .* answered as committed and is not in the table/ },
      "refused and written": { history: withRows(history(of("a", wrote(10, 1, "a-1", "refused"))), row(1, 1, "a")), says: /refused with TERM_LOST and is in the table/ },
      "written twice": { history: withRows(history(of("a", wrote(10, 1, "w"))), row(1, 1, "a", { write: "w" }), row(2, 1, "a", { write: "w" })), says: /twice/ },
      "refused, written, and lost": { history: withRows(history(of("a", wrote(10, 1, "a-1", "refused"))), row(1, 1, "a", { committedMs: 9, lostMs: 30 })), says: /refused with TERM_LOST and is in the table/ },
      "written again just before it was lost": { history: withRows(history(of("a", wrote(10, 1, "w"))), row(1, 1, "a", { write: "w", committedMs: 9, lostMs: 30.1 }), row(2, 1, "a", { write: "w", committedMs: 30 })), says: /twice/ },
      "three times, of which one was lost": {
        history: withRows(history(of("a", wrote(10, 1, "w"))), row(1, 1, "a", { write: "w", committedMs: 10 }), row(2, 1, "a", { write: "w", committedMs: 20, lostMs: 30 }), row(3, 1, "a", { write: "w", committedMs: 40 })),
        says: /twice/,
        times: 2,
      },
    },
  },
  viewsAgree: {
    good: {
      "all see the same": history(of("a", view(10, 1, ["a", "b"])), of("b", view(12, 1, ["a", "b"]))),
      "other numbers, other lists": history(of("a", view(10, 1, ["a"]), view(20, 2, ["a", "b"])), of("b", view(21, 2, ["a", "b"]))),
      "one has missed a view": history(of("a", view(10, 1, ["a"]), view(20, 2, ["a", "b"])), of("b", view(30, 3, ["b"]))),
      "as it was published": history(of("a", published(9, 1, 1, ["a", "b"]), view(10, 1, ["a", "b"])), of("b", view(12, 1, ["a", "b"]))),
      "a number that was lost is not used again": history(of("a", published(9, 1, 1, ["a"]), published(10, 2, 1, ["a", "b"])), failedOver(20, 9.5), of("a", published(30, 2 ** 32 + 1, 1, ["a"]))),
      "the same metadata, read twice": history(
        of("a", view(10, 1, [], { coordinator: "a-i", members: [{ node: "a", incarnation: "a-i", metadata: { n: [1, { x: null }], m: "s" } }] })),
        of("b", view(12, 1, [], { coordinator: "a-i", members: [{ node: "a", incarnation: "a-i", metadata: { n: [1, { x: null }], m: "s" } }] })),
      ),
    },
    bad: {
      "another list under the same number": { history: history(of("a", view(10, 1, ["a", "b"])), of("b", view(12, 1, ["a", "c"]))), says: /view 1 is one thing to a .* another to b/ },
      "another order": { history: history(of("a", view(10, 1, ["a", "b"], { coordinator: "a-i" })), of("b", view(12, 1, ["b", "a"], { coordinator: "a-i" }))), says: /view 1/ },
      "another coordinator": { history: history(of("a", view(10, 1, ["a", "b"])), of("b", view(12, 1, ["a", "b"], { coordinator: "b-i" }))), says: /view 1/ },
      "other metadata": { history: history(of("a", view(10, 1, ["a"])), of("b", view(12, 1, [], { coordinator: "a-i", members: [{ node: "a", incarnation: "a-i", metadata: { n: 1 } }] }))), says: /view 1/ },
      "metadata that is other deep inside": {
        history: history(
          of("a", view(10, 1, [], { coordinator: "a-i", members: [{ node: "a", incarnation: "a-i", metadata: { n: [1, { x: null }] } }] })),
          of("b", view(12, 1, [], { coordinator: "a-i", members: [{ node: "a", incarnation: "a-i", metadata: { n: [1, {}] } }] })),
        ),
        says: /view 1/,
      },
      "metadata of other kinds": {
        history: history(...[{}, null, "x", 1].map((kind, index) => of(`p${index}`, view(10 + index, 1, [], { coordinator: null, members: [{ node: "a", incarnation: "a-i", metadata: { kind } }] })))),
        says: /one thing to p0/,
        times: 3,
      },
      "metadata with a list for an object": {
        history: history(
          of("a", view(10, 1, [], { coordinator: "a-i", members: [{ node: "a", incarnation: "a-i", metadata: { n: ["x"] } }] })),
          of("b", view(12, 1, [], { coordinator: "a-i", members: [{ node: "a", incarnation: "a-i", metadata: { n: { 0: "x" } } }] })),
        ),
        says: /view 1/,
      },
      "another node of the same incarnation": { history: history(of("a", view(10, 1, ["a"])), of("b", view(12, 1, [], { coordinator: "a-i", members: [{ node: "b", incarnation: "a-i", metadata: {} }] }))), says: /view 1/ },
      "other than it was published": { history: history(of("a", published(9, 1, 1, ["a", "b"])), of("b", view(12, 1, ["a"]), view(13, 2, ["a"]))), says: /view 1 is one thing to a \(a-i\), who published it, and another to b/ },
      "a number that was lost is given again": { history: history(of("a", published(9, 1, 1, ["a"]), published(10, 2, 1, ["a", "b"])), failedOver(20, 9.5), of("a", published(30, 2, 1, ["a"]))), says: /view 2/ },
      "one of three that saw it": { history: history(of("a", published(9, 1, 1, ["a"]), view(10, 1, ["a"])), of("b", view(10, 1, ["b"])), of("c", view(11, 1, ["a"]))), says: /to b/ },
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
  viewsPublishedInOrder: {
    good: {
      "one by one, by one publisher": history(of("a", granted(1, 1, coordinates), published(10, 1, 1, ["a"]), published(20, 2, 1, ["a", "b"]), published(21, 3, 1, ["a"]))),
      "a successor goes on": history(of("a", granted(1, 1, coordinates), published(10, 1, 1, ["a"])), of("b", granted(15, 2, coordinates), published(20, 2, 2, ["b"]))),
      "a failover took the successor's claim away": history(of("a", granted(1, 1, coordinates)), of("b", granted(15, 2, coordinates)), failedOver(20, 10), of("a", published(30, 1, 1, ["a"]))),
      "after a failover, in a new range": history(of("a", granted(1, 1, coordinates), published(10, 1, 1, ["a"]), published(20, 2, 1, ["a", "b"])), failedOver(30, 15), of("a", published(40, 2 ** 32 + 1, 1, ["a"]))),
      "nothing is known of grants": history(of("a", granted(1, 9), published(10, 1, 1, ["a"])), of("b", published(20, 2, 2, ["b"]))),
      "tokens of other elections are other tokens": history(of("a", granted(1, 1, coordinates)), of("b", granted(2, 1)), of("a", published(10, 1, 1, ["a"]))),
    },
    bad: {
      "the same number again": { history: history(of("a", published(10, 1, 1, ["a"]), published(20, 1, 1, ["a"]))), says: /a \(a-i\) published view 1 after view 1/ },
      "a number that a failover lost": { history: history(of("a", published(10, 1, 1, ["a"]), published(20, 2, 1, ["a", "b"])), failedOver(30, 15), of("a", published(40, 2, 1, ["a"]))), says: /view 2 after view 2/ },
      "a deposed publisher": { history: history(of("a", published(10, 1, 1, ["a"]), published(30, 3, 1, ["a"])), of("b", published(20, 2, 2, ["b"]))), says: /view 3 with token 1 after token 2 had been used/ },
      "a late statement of a deposed one, before the next publishes": { history: history(of("a", granted(1, 1, coordinates), published(16, 1, 1, ["a"])), of("b", granted(15, 2, coordinates), published(20, 2, 2, ["b"]))), says: /view 1 with token 1 after token 2 had been granted to b/ },
      "the same, where a failover lost only what came later": { history: history(of("a", granted(1, 1, coordinates)), of("b", granted(15, 2, coordinates)), failedOver(20, 16), of("a", published(30, 1, 1, ["a"]))), says: /after token 2 had been granted/ },
      "another's token": { history: history(of("a", granted(1, 1, coordinates)), of("b", published(10, 1, 1, ["b"]))), says: /b .* with token 1, which was granted to a/ },
      "a token of nobody": { history: history(of("a", granted(1, 1, coordinates), published(10, 1, 2, ["a"]))), says: /with token 2, which nobody had been granted/ },
      "a token that is granted only later": { history: history(of("a", published(10, 1, 1, ["a"]), granted(11, 1, coordinates))), says: /which nobody had been granted/ },
    },
  },
  changesToldOnce: {
    good: {
      "the first view brings all, each next one what is different": history(of("a", view(10, 1, ["a", "b"], changed(["a", "b"], [])), view(20, 2, ["a", "c"], changed(["c"], ["b"])), view(30, 3, ["a", "c"], changed([], [])))),
      "each process for itself": history(of("a", view(10, 1, ["a"], changed(["a"], [])), view(20, 2, ["a", "b"], changed(["b"], []))), of("b", view(21, 2, ["a", "b"], changed(["a", "b"], [])))),
      "another run under the same name begins anew": history(of("a", at(1, "started"), view(10, 1, ["a"], changed(["a"], [])), at(20, "started"), view(30, 2, ["a", "b"], changed(["a", "b"], [])))),
      "a view without an end of noting": history(of("a", view(10, 1, ["a"]), view(20, 2, ["a", "b"]))),
      "each new coordinator": history(of("a", view(10, 1, ["a", "b"]), named(10, "a", null), view(20, 2, ["a", "b"]), view(30, 3, ["b"]), named(31, "b", "a"), view(40, 4, [], { coordinator: null }), named(40, null, "b"))),
      "none at first": history(of("a", view(10, 1, ["b"], { coordinator: null }), view(20, 2, ["b"]), named(20, "b", null))),
      "killed in between": history(of("a", view(10, 1, ["a"]), named(10, "a", null), view(20, 2, ["b"]), at(30, "killed"), at(40, "exited", { code: null, signal: "SIGKILL", expected: true }))),
      "the history ends in between": history(of("a", view(10, 1, ["a"]), named(10, "a", null), view(20, 2, ["b"]), believes(21, 1)), of("b", believes(90, 2))),
    },
    bad: {
      "one who joined is not named": { history: history(of("a", view(10, 1, ["a"], changed(["a"], [])), view(20, 2, ["a", "b"], changed([], [])))), says: /a \(a-i\) was told with view 2 that nobody had joined; b-i is not named/ },
      "one is named who was there": { history: history(of("a", view(10, 1, ["a"], changed(["a"], [])), view(20, 2, ["a"], changed(["a"], [])))), says: /that a-i had joined; a-i had not/ },
      "one who left is not named": { history: history(of("a", view(10, 1, ["a", "b"], changed(["a", "b"], [])), view(20, 2, ["a"], changed([], [])))), says: /that nobody had left; b-i is not named/ },
      "one has left who was never there": { history: history(of("a", view(10, 1, ["a"], changed(["a"], ["b"])))), says: /that b-i had left; b-i had not/ },
      "one is named twice": { history: history(of("a", view(10, 1, ["a", "b"], changed(["a", "a"], [])))), says: /one is named twice/ },
      "one joins, leaves, joins and leaves again": {
        history: history(of("a", view(10, 1, ["a", "b"], changed(["a", "b"], [])), view(20, 2, ["a"], changed([], ["b"])), view(30, 3, ["a", "b"], changed(["b"], [])), view(40, 4, ["a"], changed([], ["b"])))),
        says: /for the second time that b-i had (?:joined|left)/,
        times: 2,
      },
      "what is skipped counts as well": { history: history(of("a", view(10, 1, ["a", "b"], changed(["a", "b"], [])), view(20, 5, ["a", "c"], { skipped: true, ...changed(["c"], []) }))), says: /b-i is not named/ },
      "a coordinator that the view has not": { history: history(of("a", view(10, 1, ["a", "b"]), named(10, "b", null))), says: /told of coordinator b-i where view 1 has a-i/ },
      "another previous one": { history: history(of("a", view(10, 1, ["a", "b"]), named(10, "a", null), view(20, 2, ["b"]), named(20, "b", null))), says: /b-i after null, where a-i was told before/ },
      "told twice": { history: history(of("a", view(10, 1, ["a"]), named(10, "a", null), named(11, "a", "a"))), says: /which changed nothing about it or was told of already/ },
      "told though it is the same": { history: history(of("a", view(10, 1, ["a"]), named(10, "a", null), view(20, 2, ["a", "b"]), named(20, "a", "a"))), says: /by view 2, which changed nothing/ },
      "told before any view": { history: history(of("a", named(9, "a", null))), says: /before any view/ },
      "not told before the next view": { history: history(of("a", view(10, 1, ["a"]), named(10, "a", null), view(20, 2, ["b"]), view(30, 3, ["b"]))), says: /never told that view 2 has another coordinator, b-i/ },
      "not told until the end": { history: history(of("a", view(10, 1, ["a"]), named(10, "a", null), view(20, 2, ["b"]), believes(21.1, 1))), says: /never told that view 2/ },
      "one process is never told": { history: history(of("a", view(10, 1, ["a"]), named(10, "a", null)), of("b", view(10, 1, ["a"]), believes(50, 1))), says: /b \(b-i\) was never told/ },
    },
  },
  deadNeverActs: {
    good: {
      "silent since": history(of("a", believes(10, 1), dead(50, "b")), of("b", believes(5, 1))),
      "another incarnation of the node goes on": history(of("a", dead(50, "b")), of("b", believes(60, 2, { incarnation: "b-ii" }))),
      "announced into the freeze, knowing better": history(of("a", dead(50, "b")), of("b", announced(60, 1, { mayAct: false }))),
      "a failover takes the death back": history(of("a", dead(50, "b")), failedOver(60, 49.9), of("b", believes(70, 1), granted(71, 2))),
      "the store still takes what it had sent": history(of("a", dead(50, "b")), of("b", published(60, 2, 1, ["b"]), at(61, "view", { version: 2, members: [], coordinator: null, skipped: false }))),
    },
    bad: {
      "believes on": { history: history(of("a", dead(50, "b")), of("b", believes(40, 1), believes(60, 1), believes(70, 1))), says: /b \(b-i\) believed in term 1 of work 10\.0 ms after/ },
      "is announced a term": { history: history(of("a", dead(50, "b")), of("b", announced(60, 2))), says: /was announced term 2/ },
      "is a member again": { history: history(of("a", dead(50, "b")), of("b", at(60, "joined"))), says: /was a member/ },
      "is granted a term": { history: history(of("a", dead(50, "b")), of("b", granted(60, 2))), says: /was granted term 2 of work 10\.0 ms after/ },
      "a failover that lost less does not take the death back": { history: history(of("a", dead(50, "b")), failedOver(60, 50), of("b", believes(70, 1))), says: /20\.0 ms after/ },
      "of two deaths the first stands": { history: history(of("a", dead(40, "c"), dead(50, "b")), failedOver(60, 45), of("b", believes(70, 1)), of("c", believes(70, 1))), says: /c \(c-i\)/ },
      "declared dead again after it was taken back": { history: history(of("a", dead(50, "b"), dead(80, "b")), failedOver(60, 45), of("b", believes(70, 1), believes(90, 1))), says: /10\.0 ms after/ },
      "declared dead by two, it counts from the first": { history: history(of("a", dead(50, "b")), of("c", dead(55, "b")), of("b", believes(60, 1))), says: /10\.0 ms after/ },
    },
  },
  runningIsNotDeclaredDead: {
    good: {
      "it was killed": history(of("b", at(1, "joined"), at(10, "killed")), of("a", dead(1_500, "b"))),
      "it was stopped": history(of("b", at(1, "joined"), paused(10), resumed(3_000)), of("a", dead(1_500, "b"))),
      "it was stopped a moment ago": history(of("b", at(1, "joined"), paused(10), resumed(1_400)), of("a", dead(1_500, "b"))),
      "it was stopped two leases ago, and no longer": history(of("b", at(1, "joined"), paused(10), resumed(3_000)), of("a", dead(5_000, "b"))),
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
  deathNeedsSilence: {
    good: {
      "silent for its lease, less what clocks may differ": history(of("a", buried(5_000, "b", 989))),
      "silent for long": history(of("a", buried(5_000, "b", 60_000))),
      "a longer lease counts for itself": history(of("a", buried(5_000, "b", 9_899, { leaseMs: 10_000 }))),
      "evidence needs no silence": history(of("a", buried(5_000, "b", 150, { proof: { freeMs: 120, endedBy: "process", heard: true } }))),
      "the silence is not known": history(of("a", dead(10, "b"), { ...dead(20, "c"), silentMs: 5 }, { ...dead(30, "d"), leaseMs: 1_000 })),
    },
    bad: {
      "a little too early": { history: history(of("a", buried(5_000, "b", 988.9))), says: /b-i dead after 988\.9 ms of silence: its lease of 1000 ms was taken away early/ },
      "after another's lease": { history: history(of("a", buried(5_000, "b", 1_000, { leaseMs: 2_000 }))), says: /its lease of 2000 ms/ },
      "while it beats": { history: history(of("a", buried(5_000, "b", 0), buried(6_000, "c", 3))), says: /taken away early/, times: 2 },
    },
  },
  deathNeedsProof: {
    good: {
      "its own process ended the session": history(of("a", buried(5_000, "b", 150, { proof: { freeMs: 101, endedBy: "process", heard: true } }))),
      "an administrator did, and the process could not hear of it": history(of("a", buried(5_000, "b", 150, { proof: { freeMs: 100, endedBy: "outside", heard: false } }))),
      "less what clocks may differ": history(of("a", buried(5_000, "b", 150, { proof: { freeMs: 98.5, endedBy: "process", heard: true } }))),
      "silence needs no proof": history(of("a", buried(5_000, "b", 1_100))),
      "without a grace, where suspicion agrees": history(of("a", suspected(4_990, "b"), buried(5_000, "b", 3, { proof: QUICKLY }))),
      "without a grace, where the session had ended a little before": history(of("a", suspected(4_200, "b"), buried(5_000, "b", 3, { proof: QUICKLY }))),
    },
    bad: {
      "the server went away, and took all evidence with it": { history: history(of("a", buried(5_000, "b", 150, { proof: { freeMs: 900, endedBy: "server", heard: false } }))), says: /b-i dead on evidence that went with the server/ },
      "a pooler closed what it had lent": { history: history(of("a", buried(5_000, "b", 150, { proof: { freeMs: 900, endedBy: "pooler", heard: false } }))), says: /that a pooler had freed/ },
      "without a grace": { history: history(of("a", buried(5_000, "b", 3, { proof: { freeMs: 2, endedBy: "process", heard: true } }))), says: /that had been free for 2\.0 ms only/ },
      "without a grace, and suspicion is older than that": { history: history(of("a", suspected(3_900, "b"), buried(5_000, "b", 3, { proof: QUICKLY }))), says: /for 2\.0 ms only/ },
      "without a grace, and another one suspects it": { history: history(of("c", suspected(4_990, "b")), of("a", suspected(4_990, "d"), buried(5_000, "b", 3, { proof: QUICKLY }))), says: /for 2\.0 ms only/ },
      "without a grace, and it was there again": { history: history(of("a", suspected(4_900, "b"), at(4_950, "absolved", { suspect: "b-i" }), buried(5_000, "b", 3, { proof: QUICKLY }))), says: /for 2\.0 ms only/ },
      "by suspicion, and the server went away": { history: history(of("a", suspected(4_990, "b"), buried(5_000, "b", 150, { proof: { ...QUICKLY, endedBy: "server" } }))), says: /that went with the server/ },
    },
  },
  deathNeedsWatching: {
    good: {
      "it heard from the store all the time": history(of("b", at(1, "joined")), of("a", buried(5_000, "b", 1_100, { blindMs: 250 }))),
      "half a lease is not too long": history(of("b", at(1, "joined")), of("a", buried(5_000, "b", 1_100, { blindMs: 501 }))),
      "of a longer lease": history(of("b", at(1, "joined")), of("a", buried(5_000, "b", 2_100, { leaseMs: 2_000, blindMs: 1_001 }))),
      "a successor wants the name": history(of("b#1", at(1, "joined")), of("b#2", buried(5_000, "b#1", 1_100, { blindMs: 900 }))),
      "nobody knows whose it was": history(of("a", buried(5_000, "b", 1_100, { blindMs: 900 }))),
      "nothing is known of it": history(of("b", at(1, "joined")), of("a", buried(5_000, "b", 1_100), { ...dead(6_000, "c"), blindMs: 900 })),
    },
    bad: {
      "it had heard nothing for long": { history: history(of("b", at(1, "joined")), of("a", buried(5_000, "b", 1_100, { blindMs: 900 }))), says: /b-i dead, and had heard nothing from the store for 900\.0 ms of the lease of 1000 ms/ },
      "a little too long": { history: history(of("c", view(1, 1, ["a", "b"])), of("a", buried(5_000, "b", 1_100, { blindMs: 501.1 }))), says: /for 501\.1 ms/ },
      "one after the other": { history: history(of("b", at(1, "joined")), of("c", at(1, "joined")), of("a", buried(5_000, "b", 1_100, { blindMs: 700 }), buried(5_001, "c", 1_100, { blindMs: 700 }))), says: /700\.0 ms/, times: 2 },
    },
  },
  massDeathWaits: {
    good: {
      "all are silent, and it waits": history(presides, of("a", buriedAlone(5_000, "b", 1_750, 3), buriedAlone(5_001, "c", 1_751, 2))),
      "half is not more than half": history(presides, of("a", buriedAlone(5_000, "b", 1_100, 4), buriedAlone(5_001, "c", 1_101, 3))),
      "one is not many": history(presides, of("a", buriedAlone(5_000, "b", 1_100, 1))),
      "the second fell silent later, and may not have been silent yet": history(presides, of("a", buriedAlone(5_000, "b", 1_100, 3), buriedAlone(5_100, "c", 1_199, 2))),
      "the second dies by another decision": history(presides, of("a", buriedAlone(5_000, "b", 1_100, 3), buriedAlone(5_501, "c", 1_700, 2))),
      "the second has another lease": history(presides, of("a", buriedAlone(5_000, "b", 1_100, 3), { ...buriedAlone(5_001, "c", 1_101, 2), leaseMs: 900 })),
      "somebody wants the office of one": history(presides, of("a", buriedAlone(5_000, "b", 1_100, 3), { ...buriedAlone(5_001, "c", 1_101, 2), held: ["work"] })),
      "a successor wants the name of one": history(presides, of("c#2", at(2, "joined")), of("c", at(3, "joined")), of("a", buriedAlone(5_000, "b", 1_100, 3)), of("c#2", buriedAlone(5_001, "c", 1_101, 2))),
      "it has not watched for long": history(of("b", at(1, "joined")), of("c", at(1, "joined")), of("a", announced(3_001, 1, coordinates), buriedAlone(5_000, "b", 1_100, 3), buriedAlone(5_001, "c", 1_101, 2))),
      "its office has ended": history(presides, of("a", ended(4_000, 1, coordinates), buriedAlone(5_000, "b", 1_100, 3), buriedAlone(5_001, "c", 1_101, 2))),
      "nobody knows whose they were": history(of("a", announced(1, 1, coordinates), buriedAlone(5_000, "b", 1_100, 3), buriedAlone(5_001, "c", 1_101, 2))),
      "a history that tells no numbers": history(presides, of("a", dead(5_000, "b"), dead(5_001, "c"))),
    },
    bad: {
      "two of three at once": { history: history(presides, of("a", buriedAlone(5_000, "b", 1_100, 3), buriedAlone(5_001, "c", 1_101, 2))), says: /a \(a-i\) declared 2 of 3 members dead, the first after 1100\.0 ms/ },
      "a little too early": { history: history(presides, of("a", buriedAlone(5_000, "b", 1_749.9, 3), buriedAlone(5_499, "c", 2_300, 2))), says: /2 of 3/ },
      "three of five, told once": { history: history(presides, of("d", at(1, "joined")), of("e", at(1, "joined")), of("a", buriedAlone(5_000, "b", 1_100, 5), buriedAlone(5_001, "c", 1_200, 4), buriedAlone(5_002, "d", 1_300, 3), buriedAlone(5_003, "e", 1_300, 2))), says: /3 of 5/ },
      "known from a view only": { history: history(of("a", announced(1, 1, coordinates), view(10, 1, ["a", "b", "c"]), buriedAlone(5_000, "b", 1_100, 3), buriedAlone(5_001, "c", 1_101, 2))), says: /2 of 3/ },
      "again later": { history: history(presides, of("d", at(1, "joined")), of("e", at(1, "joined")), of("a", buriedAlone(5_000, "b", 1_100, 3), buriedAlone(5_001, "c", 1_101, 2), buriedAlone(9_000, "d", 1_100, 3), buriedAlone(9_001, "e", 1_101, 2))), says: /2 of 3/, times: 2 },
    },
  },
  recordIsGapFree: {
    good: {
      "on and on": history(of("a", read(10, 4, [5, 6]), read(20, 6, []), read(30, 6, [7]))),
      "what was forgotten is counted": history(of("a", read(10, 0, [11, 12], 10), read(20, 12, [], 5), read(30, 12, [21], 8))),
      "two readers": history(of("a", read(10, 4, [5, 6])), of("b", read(15, 2, [3, 4]), read(25, 4, [5])), of("a", read(20, 6, [7]))),
      "a failover, and it begins anew": history(of("a", read(10, 4, [5, 6])), failedOver(15), of("a", read(20, 6, [7]), read(30, 2, [3, 4]), read(40, 4, [5]))),
      "each failover lets it begin anew": history(of("a", read(10, 4, [5])), failedOver(15), of("a", read(20, 0, [1])), failedOver(25), of("a", read(30, 0, [1]))),
      "an answer from before the second failover, heard after it": history(of("a", read(10, 4, [5])), failedOver(15), failedOver(25), of("a", read(30, 2, [3, 4]), read(40, 3, [4]))),
      "another run under the same name": history(of("a", at(1, "started"), read(10, 4, [5]), at(15, "started"), read(20, 0, [1]))),
    },
    bad: {
      "a gap in an answer": { history: history(of("a", read(10, 4, [5, 7, 9]))), says: /a \(a-i\) read the record after 4, 0 of it forgotten, and found 7 where 6 is due/ },
      "a gap at the beginning of an answer": { history: history(of("a", read(10, 4, [6]))), says: /found 6 where 5 is due/ },
      "one twice": { history: history(of("a", read(10, 4, [5, 5]))), says: /found 5 where 6 is due/ },
      "fewer forgotten than said": { history: history(of("a", read(10, 4, [7], 3))), says: /3 of it forgotten, and found 7 where 8 is due/ },
      "reads some again": { history: history(of("a", read(10, 4, [5, 6]), read(20, 5, [6]))), says: /read the record on from 5, where it had read up to 6/ },
      "leaves some out": { history: history(of("a", read(10, 4, []), read(20, 6, [7]))), says: /on from 6, where it had read up to 4/ },
      "begins anew twice after one failover": { history: history(of("a", read(10, 4, [5])), failedOver(15), of("a", read(20, 0, [1]), read(30, 0, [1]))), says: /on from 0, where it had read up to 1/ },
      "begins anew three times after two failovers": { history: history(of("a", read(10, 4, [5])), failedOver(15), failedOver(16), of("a", read(20, 0, [1]), read(30, 0, [1]), read(40, 0, [1]))), says: /on from 0, where it had read up to 1/, times: 1 },
      "a failover before it had begun": { history: history(failedOver(5), of("a", read(10, 4, [5]), read(20, 0, [1]))), says: /on from 0/ },
    },
  },
  idleWritesNothing: {
    good: {
      "beats only": history(quiet(500, { beat: 120 })),
      "not even beats": history(quiet(500, {})),
      "operations that were counted and did not come": history(quiet(500, { beat: 3, look: 0, claim: 0 })),
      "it was never quiet": history(of("a", at(1, "started"))),
    },
    bad: {
      "looks": { history: history(quiet(500, { beat: 3, look: 1 })), says: /nothing happened for 100 ms, and yet there were 1 × look/ },
      "the record grows": { history: history(quiet(500, { beat: 3 }, { grew: ["events"] })), says: /growing events/ },
      "hints": { history: history(quiet(500, { beat: 3 }, { hints: 2 })), says: /2 hints/ },
      "all at once, and again": { history: history(quiet(500, { claim: 2 }, { grew: ["elections", "events"], hints: 2 }), quiet(900, { look: 1 })), says: /2 × claim, growing elections, growing events, 2 hints|1 × look/, times: 2 },
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
      "a killed leader is succeeded just in time": history(of("a", announced(0, 1), at(100, "killed")), of("b", announced(2_100, 2), at(9_000, "joined"))),
      "a leader that is stopped for a short while": history(of("a", announced(0, 1), paused(100), resumed(700)), of("b", at(9_000, "joined"))),
      "an outage does not count": history(of("a", announced(0, 1), ended(1_000, 1)), of("", at(100, "outage-began"), at(5_000, "outage-ended")), of("b", announced(6_500, 2))),
      "the history ends soon after the fault": history(of("a", announced(0, 1), at(100, "killed")), of("b", at(2_000, "joined"))),
      "nobody ever contended": history(of("a", at(0, "joined"), at(9_000, "joined"))),
    },
    bad: {
      "too late": { history: history(of("a", announced(0, 1), at(100, "killed")), of("b", announced(2_200, 2))), says: /work had no holder for 2100 ms; 2000 ms are allowed/ },
      "a little too late": { history: history(of("a", announced(0, 1), at(100, "killed")), of("b", announced(2_101, 2))), says: /2001 ms; 2000 ms are allowed/ },
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
      "just in time": history(of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b"]), view(3_100, 2, ["a"]), at(9_000, "joined")), of("b", at(100, "killed"))),
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
      "a little too late": { history: history(of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b"]), view(3_101, 2, ["a"])), of("b", at(100, "killed"))), says: /was still in the view 3001 ms later/ },
      "a later view shows it again": { history: history(of("a", announced(0, 1, coordinates), view(1, 1, ["a", "b"]), view(1_000, 2, ["a"]), view(8_000, 3, ["a", "b"]), at(9_000, "joined")), of("b", at(100, "killed"))), says: /still in the newest view/ },
    },
  },
  comesRight: {
    good: {
      "all is right soon": history(faultsEnd, coordinating, leading),
      "just in time": history(calm(1_000, ["c"]), of("c", announced(10_999, 5, coordinates), view(11_000, 3, ["c"]), announced(11_000, 9), believes(11_001, 9))),
      "whoever led meanwhile": history(faultsEnd, coordinating, leading, of("a", announced(500, 2), ended(9_000, 2), announced(9_100, 8)), of("b", ended(9_050, 7))),
      "the old run of a node counts no more": history(faultsEnd, coordinating, leading, of("b", view(200, 1, ["b"])), of("b#0", at(-5, "started"), view(1, 1, ["b"]), announced(2, 1), at(3, "killed"))),
      "nor what the store does late for it": history(faultsEnd, coordinating, leading, of("b#0", granted(5_000, 3))),
      "a node that is gone may have seen what it likes": history(faultsEnd, coordinating, leading, of("c", view(500, 2, ["c"]))),
      "what came after it was right is another matter": history(faultsEnd, coordinating, leading, of("a", view(15_000, 4, ["a", "b"]))),
      "another node's end touches nobody": history(faultsEnd, coordinating, leading, of("c", announced(100, 1), at(15_000, "killed"))),
      "an old term ends late": history(faultsEnd, coordinating, leading, of("c", announced(100, 1), ended(15_000, 1))),
      "an old term of the leader itself ends late": history(faultsEnd, coordinating, leading, of("b", announced(100, 1), ended(15_000, 1))),
      "who holds it no more is refused": history(faultsEnd, coordinating, leading, of("a", wrote(12_000, 2, "w", "refused")), of("b", wrote(10_900, 7, "x", "refused"), wrote(12_000, 7, "y"), wrote(12_001, 7, "z", "unknown"))),
      "the faults never end": history(of("a", announced(0, 1), at(100, "killed"))),
      "handed over, late, to a node that has not had it since": history(faultsEnd, coordinating, leading, of("b", ended(15_000, 7)), of("a", announced(15_010, 8))),
    },
    bad: {
      "handed over to and fro": { history: history(faultsEnd, coordinating, leading, of("b", ended(15_000, 7), announced(16_020, 9)), of("a", announced(15_010, 8), ended(16_000, 8))), says: /work had no holder for 20 ms/, times: 1 },
      "handed over, with a gap of more than a beat": { history: history(faultsEnd, coordinating, leading, of("b", ended(15_000, 7)), of("a", announced(17_010, 8))), says: /work had no holder for 2010 ms/ },
      "lost to a node that has not had it since": { history: history(faultsEnd, coordinating, leading, of("b", ended(15_000, 7, { reason: "TERM_LOST" })), of("a", announced(15_010, 8))), says: /work had no holder for 10 ms/ },
      "no leader": { history: history(faultsEnd, coordinating, of("b", view(1_501, 3, ["a", "b"]))), says: /work had no holder for 9000 ms, from 10000 ms after the last fault to the end/ },
      "a leader a little too late": { history: history(faultsEnd, coordinating, of("b", view(1_501, 3, ["a", "b"]), announced(11_001, 7))), says: /work had no holder for 1 ms, from 10000 ms after the last fault$/ },
      "a leader that is killed": { history: history(faultsEnd, coordinating, leading, of("b", at(5_000, "killed"))), says: /work had no holder for 9000 ms/ },
      "a leader that is killed later": { history: history(faultsEnd, coordinating, leading, of("b", at(12_000, "killed"))), says: /work had no holder for 8000 ms/ },
      "a leader that ends later": { history: history(faultsEnd, coordinating, leading, of("b", ended(15_000, 7))), says: /work had no holder for 5000 ms, from 14000 ms after/ },
      "a leader that ends later, and is killed": { history: history(faultsEnd, coordinating, leading, of("b", ended(15_000, 7), at(16_000, "killed"), ended(17_000, 7))), says: /work had no holder for 5000 ms/ },
      "two gaps": { history: history(faultsEnd, coordinating, leading, of("b", ended(15_000, 7), announced(15_100, 8), ended(16_000, 8), announced(16_001, 9))), says: /work had no holder for (?:100|1) ms/, times: 2 },
      "the newest term ended, whatever an older one says": { history: history(faultsEnd, coordinating, leading, of("c", announced(2_100, 6)), of("b", at(12_000, "exited", { code: 0, signal: null, expected: true }))), says: /work had no holder for 8000 ms/ },
      "no coordinator": { history: history(faultsEnd, coordinating, leading, of("a", ended(950, 5, coordinates))), says: /coordinator had no holder/ },
      "a node without a view": { history: history(faultsEnd, coordinating, of("b", at(0, "started"), announced(2_000, 7), view(11_001, 3, ["a", "b"]))), says: /b had no view 10000 ms after the last fault/ },
      "a restarted node without a view": { history: history(faultsEnd, coordinating, leading, of("b#2", at(5_000, "started"))), says: /b had no view/ },
      "a node that was started again under the same name": { history: history(faultsEnd, coordinating, leading, of("b", at(5_000, "started"))), says: /b had no view/ },
      "other views": { history: history(faultsEnd, coordinating, leading, of("b", view(11_000, 4, ["a", "b"]))), says: /a \(a-i\) had view 3, and b \(b-i\) view 4/ },
      "one too many in the view": { history: history(faultsEnd, coordinating, leading, of("a", view(3_000, 4, ["a", "b", "c"])), of("b", view(3_000, 4, ["a", "b", "c"]))), says: /view 4 had a, b, c .* where a, b ran/ },
      "a node twice in the view": { history: history(faultsEnd, coordinating, leading, of("a", view(3_000, 4, ["a", "b", "b#0"])), of("b", view(3_000, 4, ["a", "b", "b#0"]))), says: /view 4 had a, b, b/ },
      "one missing in the view": { history: history(faultsEnd, coordinating, leading, of("a", view(3_000, 4, ["a"])), of("b", view(3_000, 4, ["a"]))), says: /view 4 had a 10000/ },
      "a holder that cannot write": { history: history(faultsEnd, coordinating, leading, of("b", wrote(12_000, 7, "w", "refused"), wrote(13_000, 7, "v", "refused"))), says: /b \(b-i\) held term 7 of work, and its write was refused with TERM_LOST/ },
      "a coordinator that is not in it": { history: history(faultsEnd, coordinating, leading, of("a", view(3_000, 4, ["a", "b"], { coordinator: "x-i" })), of("b", view(3_000, 4, ["a", "b"], { coordinator: "x-i" }))), says: /view 4 named no coordinator/ },
      "a view without a coordinator": { history: history(faultsEnd, coordinating, leading, of("a", view(3_000, 4, ["a", "b"], { coordinator: null })), of("b", view(3_000, 4, ["a", "b"], { coordinator: null }))), says: /view 4 named no coordinator/ },
      "the history ends at the bound": { history: history(faultsEnd, of("a", announced(2_000, 5, coordinates), view(3_000, 3, ["a", "b"]), believes(11_000, 5, coordinates)), of("b", announced(2_000, 7), view(3_000, 3, ["a", "b"]))), says: /the history ends too early: 10000 ms after the last fault/ },
    },
  },
};
