import { coordinatorStep, grant, memberStep } from "../../src/farm/index.ts";
import type { AppRecord, AppReport, CoordinatorStep, FarmMember, LocalApp, MemberStep, Release, Vote, Wish } from "../../src/farm/index.ts";
import { emptyRecord } from "../../src/farm/record.ts";

/** The decisions that a model runs on; a mutant replaces one. */
export interface Core {
  readonly coordinatorStep: typeof coordinatorStep;
  readonly memberStep: typeof memberStep;
  readonly grant: typeof grant;
  /** Whether the coordinator tells members of a decision before it is stored. */
  readonly hasty: boolean;
}

export const CORE: Core = { coordinatorStep, memberStep, grant, hasty: false };

/** What a model may do besides going on, and how often. */
export interface Budget {
  readonly coordinatorDeaths: number;
  readonly memberDeaths: number;
  readonly starts: number;
  readonly timeouts: number;
  readonly cancels: number;
}

/** A process that is, or was, the coordinator: it may still write what it decided. */
interface Coordinator {
  readonly token: number;
  readonly isAlive: boolean;
  readonly pending: { readonly expected: number; readonly record: AppRecord; readonly voters: readonly string[] | null } | null;
}

interface Node {
  readonly node: string;
  readonly incarnation: string;
  readonly isUp: boolean;
  /** What it has read last. */
  readonly seen: AppRecord;
  readonly local: LocalApp;
  readonly report: AppReport;
}

/** Everything there is. Immutable, so that states can be kept and compared. */
export interface State {
  readonly record: AppRecord;
  readonly version: number;
  readonly token: number;
  readonly coordinators: readonly Coordinator[];
  readonly nodes: readonly Node[];
  /** Who is in the coordinator's view, by incarnation; deaths are seen late. */
  readonly view: readonly string[];
  readonly votes: readonly Vote[];
  readonly wishes: readonly Wish[];
  readonly left: Budget;
  /** Nodes on which preparing fails. */
  readonly refusing: readonly string[];
  /** Nodes on which activating any new release fails. */
  readonly failing: readonly string[];
}

/** One thing that can happen, and what there is afterwards. */
export interface Move {
  readonly name: string;
  readonly next: State;
}

export class BrokenPromise extends Error {}

const NOTHING: AppReport = { release: null, version: null, failed: null };
const FRESH: LocalApp = { active: null, voted: null, prepared: new Map(), failed: null };

export const release = (version: string): Release => ({ id: version.padStart(32, "0"), version, digest: version.padStart(64, "0"), sizeBytes: 1, kind: "file", config: null, signature: null });

/** So many members, on all of which `0` runs, and wishes that are asked in any order. */
export function beginning(count: number, wishes: readonly Wish[], left: Budget, over: Partial<State> = {}): State {
  const current = release("0");
  const record: AppRecord = { ...emptyRecord("app"), current };
  const nodes = Array.from({ length: count }, (_, n): Node => ({ node: `n${n}`, incarnation: `n${n}.0`, isUp: true, seen: record, local: { ...FRESH, active: current }, report: { ...NOTHING, release: current.id, version: "0" } }));
  return { record, version: 1, token: 1, coordinators: [{ token: 1, isAlive: true, pending: null }], nodes, view: nodes.map(({ incarnation }) => incarnation), votes: [], wishes, left, refusing: [], failing: [], ...over };
}

/** Everything that can happen next. Throws `BrokenPromise` where it must not have. */
export function moves(state: State, core: Core): Move[] {
  return [...state.nodes.flatMap((node, n) => nodeMoves(state, node, n, core)), ...coordinatorMoves(state, core), ...worldMoves(state)];
}

// ---- members -------------------------------------------------------------------------------------------------

function nodeMoves(state: State, node: Node, n: number, core: Core): Move[] {
  if (!node.isUp) return [];
  const found: Move[] = [];
  const put = (name: string, changed: Partial<Node>, rest: Partial<State> = {}) => found.push({ name: `${node.node} ${name}`, next: { ...state, ...rest, nodes: state.nodes.with(n, { ...node, ...changed }) } });
  if (node.seen !== state.record && JSON.stringify(node.seen) !== JSON.stringify(state.record)) put("reads", { seen: state.record });
  const step = core.memberStep(node.seen, node.node, node.local, 0);
  if (step.kind !== "rest" && step.kind !== "wait") put(step.kind, ...afterStep(state, node, step));
  return found;
}

function afterStep(state: State, node: Node, step: MemberStep): [Partial<Node>, Partial<State>] {
  const { local } = node;
  switch (step.kind) {
    case "vote": {
      const yes = !state.refusing.includes(node.node);
      const vote: Vote = { change: step.change.id, node: node.node, incarnation: node.incarnation, yes, code: yes ? null : "FARM_PREPARE_FAILED", why: null };
      const prepared = yes && local.active?.id !== step.change.release.id ? new Map([...local.prepared, [step.change.release.id, step.change.release]]) : local.prepared;
      return [{ local: { ...local, voted: step.change.id, prepared } }, { votes: [...state.votes.filter(({ incarnation, change }) => incarnation !== node.incarnation || change !== vote.change), vote] }];
    }
    case "activate": {
      checkActivation(state, node, step.release);
      if (state.failing.includes(node.node) && step.release.version !== "0") {
        return [{ local: { ...local, failed: { release: step.release.id, retryAtMs: 1 } }, report: { ...node.report, failed: { release: step.release.id, code: "FARM_ACTIVATE_FAILED", why: "" } } }, {}];
      }
      const prepared = new Map(local.prepared);
      prepared.delete(step.release.id);
      if (local.active !== null) prepared.set(local.active.id, local.active);
      return [{ local: { ...local, active: step.release, prepared, failed: null }, report: { release: step.release.id, version: step.release.version, failed: null } }, {}];
    }
    case "deactivate":
      return [{ local: { ...local, active: null, prepared: new Map([...local.prepared, [step.release.id, step.release]]), failed: null }, report: NOTHING }, {}];
    case "discard": {
      if (step.release.id === state.record.current?.id && step.release.id === local.active?.id) throw new BrokenPromise("what runs was discarded");
      const prepared = new Map(local.prepared);
      prepared.delete(step.release.id);
      return [{ local: { ...local, prepared } }, {}];
    }
    case "rest":
    case "wait":
      return [{}, {}];
  }
}

/** Applied only after the decision is stored: it was desired at some time, or its wave had come. */
function checkActivation(state: State, node: Node, { id, version }: Release): void {
  const { record } = state;
  const decided = [record.current, ...record.history].some((each) => each?.id === id);
  const admitted = record.change?.release.id === id && record.change.phase === "rolling" && record.change.admitted.includes(node.node);
  // A member that read late may act on a wave that was taken back meanwhile; it reads that next.
  const late = node.seen.change?.phase === "rolling" && node.seen.change.release.id === id && record.outcomes.some((outcome) => outcome.id === node.seen.change?.id);
  if (!decided && !admitted && !late) throw new BrokenPromise(`${node.node} applies ${version}, which nobody has decided`);
}

// ---- the coordinator, and those who were -----------------------------------------------------------------------

function coordinatorMoves(state: State, core: Core): Move[] {
  const found: Move[] = [];
  for (const [n, coordinator] of state.coordinators.entries()) {
    const put = (name: string, changed: Coordinator, rest: Partial<State> = {}) => found.push({ name: `c${coordinator.token} ${name}`, next: { ...state, coordinators: state.coordinators.with(n, changed), ...rest } });
    if (coordinator.pending !== null) {
      // A writing may arrive long after whoever sent it is gone.
      const { pending } = coordinator;
      const isTaken = pending.expected === state.version && coordinator.token === state.token;
      if (isTaken) checkDecision(state, pending.record, pending.voters);
      put("writes", { ...coordinator, pending: null }, isTaken ? { record: pending.record, version: state.version + 1 } : {});
      if (!coordinator.isAlive) put("loses its writing", { ...coordinator, pending: null });
      continue;
    }
    if (!coordinator.isAlive) continue;
    const pend = (name: string, record: AppRecord, voters: readonly string[] | null, rest: Partial<State> = {}) =>
      put(name, { ...coordinator, pending: { expected: state.version, record, voters } }, { ...rest, ...(core.hasty ? { nodes: state.nodes.map((node) => ({ ...node, seen: record })) } : {}) });
    for (const wish of state.wishes) {
      const answer = core.grant(state.record, wish);
      const wishes = state.wishes.filter((each) => each !== wish);
      if (answer.kind === "write") pend(`grants ${wish.kind}`, answer.record, null, { wishes });
      else put(`answers ${wish.kind}: ${answer.kind}`, coordinator, { wishes });
    }
    for (const waitedMs of state.left.timeouts > 0 ? [0, Number.POSITIVE_INFINITY] : [0]) {
      const step = look(state, core, waitedMs);
      if (step.kind === "write") checkWave(state, step.record);
      if (step.kind === "write") pend(waitedMs === 0 ? "decides" : "runs out of time", step.record, state.view, waitedMs === 0 ? {} : { left: { ...state.left, timeouts: state.left.timeouts - 1 } });
    }
  }
  return found;
}

function look(state: State, core: Core, waitedMs: number): CoordinatorStep {
  const members: FarmMember[] = state.nodes.filter(({ incarnation }) => state.view.includes(incarnation)).map(({ node, incarnation }) => ({ node, incarnation, zone: "" }));
  const votes = new Map(state.votes.filter(({ change }) => change === state.record.change?.id).map((vote) => [vote.incarnation, vote]));
  return core.coordinatorStep({ record: state.record, members, votes, reports: new Map(state.nodes.map(({ incarnation, report }) => [incarnation, report])), waitedMs });
}

/** Committed, or let into its first wave, only with the yes of all who were in the view that was decided on. */
function checkDecision(state: State, next: AppRecord, voters: readonly string[] | null): void {
  const { change } = state.record;
  if (change === null || voters === null || change.phase !== "preparing") return;
  const isOn = next.change?.phase === "rolling" || next.current?.id === change.release.id;
  const yes = (incarnation: string) => state.votes.some((vote) => vote.change === change.id && vote.incarnation === incarnation && vote.yes);
  if (isOn && !voters.every(yes)) throw new BrokenPromise(`${change.release.version} was decided without the vote of ${voters.filter((each) => !yes(each)).join(", ")}`);
}

/** A wave is left behind only when all of it runs the release. */
function checkWave({ record: { change }, nodes, view }: State, next: AppRecord): void {
  if (change?.phase !== "rolling" || (next.change === null && next.current?.id !== change.release.id)) return;
  for (const node of change.wave) {
    const member = nodes.find((each) => each.node === node && view.includes(each.incarnation));
    if (member?.report.release !== change.release.id) throw new BrokenPromise(`it goes on although ${node} does not run ${change.release.version}`);
  }
}

// ---- what comes from outside -----------------------------------------------------------------------------------

function worldMoves(state: State): Move[] {
  const { left, nodes, coordinators } = state;
  const found: Move[] = [];
  const alive = coordinators.findIndex(({ isAlive }) => isAlive);
  const spend = (what: keyof Budget) => ({ left: { ...left, [what]: left[what] - 1 } });
  if (left.coordinatorDeaths > 0 && alive !== -1) {
    // It may be frozen rather than dead: what it has decided can still be written.
    const token = state.token + 1;
    found.push({ name: "the coordinator is replaced", next: { ...state, ...spend("coordinatorDeaths"), token, coordinators: [...coordinators.map((each) => ({ ...each, isAlive: false })), { token, isAlive: true, pending: null }] } });
  }
  for (const [n, node] of nodes.entries()) {
    if (node.isUp && left.memberDeaths > 0 && nodes.filter(({ isUp }) => isUp).length > 1) found.push({ name: `${node.node} dies`, next: { ...state, ...spend("memberDeaths"), nodes: nodes.with(n, { ...node, isUp: false }) } });
    if (!node.isUp && !state.view.includes(node.incarnation) && left.starts > 0) found.push({ name: `${node.node} starts`, next: started(state, n, spend("starts")) });
  }
  if (left.starts > 0 && nodes.every(({ isUp }) => isUp)) found.push({ name: "a newcomer starts", next: started(state, nodes.length, spend("starts")) });
  const gone = nodes.filter((node) => !node.isUp && state.view.includes(node.incarnation));
  for (const { node, incarnation } of gone) found.push({ name: `the view has ${node} no more`, next: { ...state, view: state.view.filter((each) => each !== incarnation) } });
  if (left.cancels > 0 && state.record.change !== null) found.push({ name: "it is called off", next: { ...state, ...spend("cancels"), wishes: [...state.wishes, { id: state.record.change.id, by: "n0", kind: "cancel" }] } });
  return found;
}

/** A member that starts is in the view, and reads what is there. */
function started(state: State, n: number, spent: Partial<State>): State {
  const before = state.nodes[n];
  const incarnation = `n${n}.${Number(before?.incarnation.split(".")[1] ?? -1) + 1}`;
  const fresh: Node = { node: `n${n}`, incarnation, isUp: true, seen: state.record, local: FRESH, report: NOTHING };
  return { ...state, ...spent, nodes: before === undefined ? [...state.nodes, fresh] : state.nodes.with(n, fresh), view: [...state.view, incarnation] };
}

/**
 * Faults end, and everybody goes on until nothing is left to do. Throws `BrokenPromise` unless all members then have what is desired, and nothing is under way.
 */
export function settle(state: State, core: Core): State {
  let now: State = { ...state, left: { coordinatorDeaths: 0, memberDeaths: 0, starts: 0, timeouts: 0, cancels: 0 } };
  for (let n = 0; n < 2_000; n++) {
    const next = moves(now, core)[n % 3 === 0 ? 0 : Math.max(0, moves(now, core).length - 1)] ?? moves({ ...now, left: { ...now.left, timeouts: 1 } }, core)[0];
    if (next === undefined) {
      checkQuiet(now);
      return now;
    }
    now = next.next;
  }
  throw new BrokenPromise("it does not come to rest");
}

function checkQuiet({ record, nodes, failing }: State): void {
  if (record.change !== null) throw new BrokenPromise("a change is under way for ever");
  for (const { node, isUp, local } of nodes) {
    if (!isUp || (failing.includes(node) && record.current?.version !== "0")) continue;
    if (local.active?.id !== record.current?.id) throw new BrokenPromise(`${node} has ${local.active?.version ?? "nothing"}, desired is ${record.current?.version ?? "nothing"}`);
    if (local.prepared.size > 0) throw new BrokenPromise(`${node} keeps ${[...local.prepared.values()].map(({ version }) => version).join()} prepared for ever`);
  }
}

/** Two states with the same key go on alike. */
export function keyOf(state: State): string {
  return JSON.stringify(state, (_key, value: unknown) => (value instanceof Map ? [...value.keys()] : value === Number.POSITIVE_INFINITY ? "∞" : value));
}
