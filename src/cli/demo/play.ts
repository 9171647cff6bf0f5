import { TribuneError } from "../../kernel/index.ts";
import type { Clock } from "../../kernel/index.ts";
import { measured } from "./presenter.ts";
import type { Presenter } from "./presenter.ts";
import { DEMO_ELECTION } from "./protocol.ts";
import type { Report, Row } from "./protocol.ts";
import type { Heard, Troupe } from "./troupe.ts";

export const NODES = ["ada", "ben", "cleo"] as const;

/** No step takes longer on a machine that works. */
const STEP_MS = 12_000;

export interface Place {
  readonly store: string;
  readonly label: string;
  readonly group: string;
  readonly table: string;
}

/** Entry numbers: what a stale leader tries to write must never be found. */
const STALE_ENTRY = 999;

/**
 * The demo, step by step. Everything shown has happened in real processes and was measured here; whatever does not come about as promised throws, and the
 * demo fails. Answers the name of the last leader.
 */
export async function play(troupe: Troupe, show: Presenter, place: Place, clock: Clock): Promise<string> {
  const written: Row[] = [];
  const since = () => clock.monotonicMs();

  const write = async (node: string): Promise<Extract<Report, { type: "written" }>> => {
    const mark = troupe.mark;
    const entry = written.length + 1;
    troupe.order(node, { type: "write", entry });
    const { report } = await troupe.hear("written", { since: mark, withinMs: STEP_MS, what: `${node} to write entry ${entry}`, where: (heard) => heard.node === node });
    written.push({ entry, token: report.token, node });
    return report;
  };
  const successor = async (mark: number, previous: { readonly node: string; readonly token: string }): Promise<Heard<"term">> => {
    const heard = await troupe.hear("term", { since: mark, withinMs: STEP_MS, what: "a successor", where: (heard) => heard.node !== previous.node });
    promise(BigInt(heard.report.token) > BigInt(previous.token), `the successor's token ${heard.report.token} is greater than ${previous.token}`);
    return heard;
  };

  // ---- start
  show.waiting("three processes start");
  const began = since();
  for (const node of NODES) {
    troupe.raise(node);
    troupe.order(node, { type: "start", store: place.store, group: place.group, node, table: place.table });
  }
  const joined = await Promise.all(NODES.map((node) => troupe.hear("joined", { since: 0, withinMs: STEP_MS, what: `${node} to join`, where: (heard) => heard.node === node })));
  const views = await Promise.all(NODES.map((node) => viewOf(troupe, node, [...NODES], 0)));
  const startMs = since() - began;
  const version = views[0]?.report.version ?? 0;
  promise(new Set(views.map(({ report }) => report.members.map((member) => member.incarnation).join())).size === 1, "all three see the same members");
  show.step("start", { store: place.label, group: place.group, nodes: troupe.actors.map(({ node, pid }) => ({ node, pid })), view: version, tookMs: round(startMs) }, `three processes joined group ${place.group} in ${measured(startMs)}; all see ${NODES.join(", ")}`);

  // ---- elect
  show.waiting("they elect a leader");
  let mark = troupe.mark;
  const contendedAtMs = since();
  for (const node of NODES) troupe.order(node, { type: "contend" });
  const first = await troupe.hear("term", { since: mark, withinMs: STEP_MS, what: "a leader" });
  const electMs = first.atMs - contendedAtMs;
  show.step("elect", { election: DEMO_ELECTION, leader: first.node, token: first.report.token, tookMs: round(electMs) }, `${first.node} leads ${DEMO_ELECTION} with token ${first.report.token}, after ${measured(electMs)}`);

  // ---- write
  mark = troupe.mark;
  troupe.order(first.node, { type: "make" });
  await troupe.hear("made", { since: mark, withinMs: STEP_MS, what: `${first.node} to make the table` });
  const firstWrite = await write(first.node);
  show.step("write", { leader: first.node, entry: 1, token: firstWrite.token, tookMs: round(firstWrite.tookMs) }, `${first.node} wrote entry 1 in ${measured(firstWrite.tookMs)}, in a transaction that commits only while its term stands`);

  // ---- kill
  show.waiting(`${first.node} is killed; the others notice when its lease runs out`);
  mark = troupe.mark;
  const killedAtMs = troupe.signal(first.node, "SIGKILL");
  const second = await successor(mark, { node: first.node, token: first.report.token });
  const killMs = second.atMs - killedAtMs;
  const promisedMs = joined[0]?.report.worstFailoverMs ?? 0;
  const secondWrite = await write(second.node);
  show.step(
    "kill",
    { killed: first.node, leader: second.node, token: second.report.token, tookMs: round(killMs), worstFailoverMs: promisedMs, entry: 2 },
    `SIGKILL for ${first.node}; ${second.node} leads with token ${second.report.token} after ${measured(killMs)} (promised: ${measured(promisedMs)} at most)`,
    `${second.node} wrote entry 2 in ${measured(secondWrite.tookMs)}`,
  );

  // ---- freeze
  mark = troupe.mark;
  troupe.order(second.node, { type: "write-after-freeze", entry: STALE_ENTRY });
  const { report: decided } = await troupe.hear("decided", { since: mark, withinMs: STEP_MS, what: `${second.node} to decide to write`, where: (heard) => heard.node === second.node });
  promise(decided.mayAct, `${second.node} is the leader when it decides to write`);
  // It is not inside a transaction now: on SQLite a frozen one would hold the only write lock, and everybody would wait.
  const frozenAtMs = troupe.signal(second.node, "SIGSTOP");
  show.waiting(`${second.node} is frozen; the other one notices when its lease runs out`);
  const third = await successor(mark, { node: second.node, token: second.report.token });
  const freezeMs = third.atMs - frozenAtMs;
  const thirdWrite = await write(third.node);
  show.step(
    "freeze",
    { frozen: second.node, leader: third.node, token: third.report.token, tookMs: round(freezeMs), entry: 3 },
    `SIGSTOP for ${second.node}, which had just decided to write; ${third.node} leads with token ${third.report.token} after ${measured(freezeMs)}`,
    `${third.node} wrote entry 3 in ${measured(thirdWrite.tookMs)}`,
  );

  // ---- wake
  mark = troupe.mark;
  troupe.signal(second.node, "SIGCONT");
  show.waiting(`${second.node} wakes, and writes first thing`);
  const { report: woke } = await troupe.hear("woke", { since: mark, withinMs: STEP_MS, what: `${second.node} to try its late write`, where: (heard) => heard.node === second.node });
  for (const attempt of woke.attempts) promise(attempt.code === "TERM_LOST", `the late write is refused with TERM_LOST (${attempt.by}: ${attempt.code ?? "not refused"}, ${attempt.message})`);
  const [byClock, byFence] = woke.attempts;
  show.step(
    "wake",
    { woken: second.node, staleToken: woke.token, frozenMs: round(woke.frozenMs), attempts: woke.attempts },
    `SIGCONT for ${second.node}: after ${measured(woke.frozenMs)} it goes on with its write, and is refused: ${byClock?.code ?? ""}`,
    `its clocks told it; the same write without asking them is refused by the store: ${byFence?.code ?? ""}`,
    `(${byFence?.message ?? ""})`,
  );

  // ---- rejoin
  show.waiting("the killed one is started again, the woken one rejoins by itself");
  mark = troupe.mark;
  const raisedAtMs = since();
  troupe.raise(first.node);
  troupe.order(first.node, { type: "start", store: place.store, group: place.group, node: first.node, table: place.table });
  const back = await troupe.hear("joined", { since: mark, withinMs: STEP_MS, what: `${first.node} to join again`, where: (heard) => heard.node === first.node });
  const complete = await viewOf(troupe, third.node, [...NODES], mark);
  const rejoinMs = since() - raisedAtMs;
  const incarnations = new Map(complete.report.members.map((member) => [member.node, member.incarnation]));
  for (const [index, node] of NODES.entries()) {
    const kept = incarnations.get(node) === joined[index]?.report.incarnation;
    promise(kept === (node === third.node), `${node} is there as ${node === third.node ? "the same" : "a new"} incarnation`);
  }
  promise(back.report.incarnation === incarnations.get(first.node), `${first.node} is in the view as the incarnation that joined`);
  troupe.order(first.node, { type: "contend" });
  show.step("rejoin", { raised: first.node, rejoined: second.node, view: complete.report.version, tookMs: round(rejoinMs) }, `${first.node} was started again, ${second.node} came back by itself, both as new incarnations: view ${complete.report.version} has all three after ${measured(rejoinMs)}`);

  // ---- resign
  show.waiting(`${third.node} resigns`);
  mark = troupe.mark;
  const resignedAtMs = since();
  troupe.order(third.node, { type: "resign" });
  const fourth = await successor(mark, { node: third.node, token: third.report.token });
  const resignMs = fourth.atMs - resignedAtMs;
  const fourthWrite = await write(fourth.node);
  troupe.order(third.node, { type: "contend" });
  show.step(
    "resign",
    { resigned: third.node, leader: fourth.node, token: fourth.report.token, tookMs: round(resignMs), entry: 4 },
    `${third.node} resigned; ${fourth.node} leads with token ${fourth.report.token} after ${measured(resignMs)}`,
    `${fourth.node} wrote entry 4 in ${measured(fourthWrite.tookMs)}`,
  );

  // ---- check
  show.waiting("what is in the table?");
  mark = troupe.mark;
  troupe.order(fourth.node, { type: "read" });
  const { report: found } = await troupe.hear("rows", { since: mark, withinMs: STEP_MS, what: "the rows of the table" });
  checkRows(found.rows, written);
  show.step("check", { rows: found.rows }, `the table has exactly the ${found.rows.length} entries that were confirmed, tokens in order, and nothing of the stale leader:`, ...found.rows.map((row) => `  entry ${row.entry}  token ${row.token}  by ${row.node}`));
  return fourth.node;
}

/** Every confirmed write is there, once, nothing else is, and tokens never decrease. Throws otherwise. */
export function checkRows(found: readonly Row[], written: readonly Row[]): void {
  const shape = (rows: readonly Row[]) => rows.map((row) => `${row.entry}/${row.token}/${row.node}`).join(" ");
  promise(shape(found) === shape(written), `the table has exactly what was written (found: ${shape(found)}; written: ${shape(written)})`);
  const falls = found.some((row, index) => index > 0 && BigInt(row.token) < BigInt(found[index - 1]?.token ?? "0"));
  promise(!falls, "tokens never decrease in the order of the entries");
}

/** The first view that this node sees since `mark`, or saw last before it, with exactly these members. */
function viewOf(troupe: Troupe, node: string, members: readonly string[], since: number): Promise<Heard<"view">> {
  const wanted = [...members].sort().join();
  return troupe.hear("view", {
    since,
    withinMs: STEP_MS,
    what: `a view of ${members.join(", ")}`,
    where: (heard) => heard.node === node && heard.report.members.map((member) => member.node).sort().join() === wanted,
  });
}

/** What the demo shows has to hold; otherwise it fails and says what did not. */
function promise(holds: boolean, what: string): void {
  if (!holds) throw new TribuneError("INTERNAL", `the demo expected that ${what}, and it was not so`, { next: "this is a bug: please report it with the output above" });
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
