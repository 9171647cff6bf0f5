import type { ErrorCode } from "../kernel/index.ts";
import { OUTCOMES_KEPT, RELEASES_KEPT } from "./record.ts";
import type { AppRecord, AppReport, Change, Outcome, Release, Rolling, Vote } from "./record.ts";

/** A member that takes part: it votes, and everything is applied on it. */
export interface FarmMember {
  readonly node: string;
  readonly incarnation: string;
  readonly zone: string;
}

/** What a member asks the coordinator for. The same id is the same wish. */
export type Wish = { readonly id: string; readonly by: string } & (
  | { readonly kind: "deploy"; readonly release: Release; readonly prepareMs: number; readonly rolling: Rolling | null }
  | { readonly kind: "rollback"; readonly version: string | null; readonly prepareMs: number; readonly rolling: Rolling | null }
  | { readonly kind: "undeploy" }
  | { readonly kind: "cancel" }
);

/** What becomes of a wish: a new record to be stored, nothing because it is done already, or a refusal. */
export type WishAnswer = { readonly kind: "write"; readonly record: AppRecord } | { readonly kind: "done" } | { readonly kind: "refuse"; readonly code: ErrorCode; readonly why: string };

/** Decides what becomes of a wish. */
export function grant(record: AppRecord, wish: Wish): WishAnswer {
  const { change, current, history, outcomes, name } = record;
  if (wish.kind === "cancel") {
    return change?.id === wish.id ? { kind: "write", record: rolledBack(record, change, { code: "ABORTED", why: "it was called off", node: wish.by }) } : { kind: "done" };
  }
  if (change?.id === wish.id || outcomes.some(({ id }) => id === wish.id)) return { kind: "done" };
  if (change !== null) return { kind: "refuse", code: "FARM_BUSY", why: `version ${change.release.version} of ${name} is being deployed, asked for by ${change.by}` };
  switch (wish.kind) {
    case "undeploy":
      if (current === null) return { kind: "refuse", code: "FARM_NOT_DEPLOYED", why: `${name} is not deployed` };
      return { kind: "write", record: ended({ ...record, current: null, history: remembered(current, history) }, { id: wish.id, kind: "undeploy", version: current.version, result: "committed", ...NO_CAUSE }) };
    case "deploy":
      if ([current, ...history].some((release) => release?.version === wish.release.version)) return { kind: "refuse", code: "FARM_VERSION_EXISTS", why: `${name} has had a version ${wish.release.version}` };
      return { kind: "write", record: { ...record, change: begun(wish, wish.release) } };
    case "rollback": {
      const release = wish.version === null ? history[0] : history.find(({ version }) => version === wish.version);
      if (release === undefined) return { kind: "refuse", code: "FARM_NOT_DEPLOYED", why: wish.version === null ? `there is no version of ${name} to go back to` : `version ${wish.version} of ${name} is not one that can be gone back to` };
      return { kind: "write", record: { ...record, change: begun(wish, release) } };
    }
  }
}

/** What the coordinator sees of one name with a change under way. */
export interface CoordinatorSight {
  readonly record: AppRecord;
  /** All live members of its view that take part, in order of joining. */
  readonly members: readonly FarmMember[];
  /** Votes on this change, by incarnation. */
  readonly votes: ReadonlyMap<string, Vote>;
  /** What members have of this name, by incarnation. */
  readonly reports: ReadonlyMap<string, AppReport>;
  /** For how long this coordinator has seen this phase, or this wave, in milliseconds. */
  readonly waitedMs: number;
}

/** What the coordinator does next. Nothing counts before it is stored. */
export type CoordinatorStep = { readonly kind: "rest" } | { readonly kind: "wait"; readonly ms: number } | { readonly kind: "write"; readonly record: AppRecord };

/** Decides whether a change is committed, rolled back, goes on to its next wave, or has to wait. */
export function coordinatorStep(sight: CoordinatorSight): CoordinatorStep {
  const { change } = sight.record;
  if (change === null || sight.members.length === 0) return { kind: "rest" };
  return change.phase === "preparing" ? countVotes(sight, change) : watchWave(sight, change);
}

function countVotes({ record, members, votes, waitedMs }: CoordinatorSight, change: Change): CoordinatorStep {
  for (const { incarnation, node } of members) {
    const vote = votes.get(incarnation);
    if (vote?.yes === false) return { kind: "write", record: rolledBack(record, change, { code: vote.code, why: vote.why, node }) };
  }
  const missing = members.filter(({ incarnation }) => votes.get(incarnation) === undefined);
  if (missing.length === 0) return { kind: "write", record: change.rolling === null ? committed(record, change) : nextWave(record, change, members) };
  if (waitedMs < change.prepareMs) return { kind: "wait", ms: change.prepareMs - waitedMs };
  return { kind: "write", record: rolledBack(record, change, { code: "FARM_TIMEOUT", why: `${listed(missing)} did not vote within ${change.prepareMs} ms`, node: missing[0]?.node ?? null }) };
}

function watchWave({ record, members, reports, waitedMs }: CoordinatorSight, change: Change): CoordinatorStep {
  const waveMs = change.rolling?.waveMs ?? change.prepareMs;
  const pending: FarmMember[] = [];
  for (const node of change.wave) {
    const member = members.find((each) => each.node === node);
    if (member === undefined) return { kind: "write", record: rolledBack(record, change, { code: "FARM_MEMBER_LEFT", why: `${node} left before it was healthy`, node }) };
    const report = reports.get(member.incarnation);
    if (report?.failed?.release === change.release.id) return { kind: "write", record: rolledBack(record, change, { code: report.failed.code, why: report.failed.why, node }) };
    if (report?.release !== change.release.id) pending.push(member);
  }
  if (pending.length === 0) return { kind: "write", record: nextWave(record, change, members) };
  if (waitedMs < waveMs) return { kind: "wait", ms: waveMs - waitedMs };
  return { kind: "write", record: rolledBack(record, change, { code: "FARM_TIMEOUT", why: `${listed(pending)} did not become healthy within ${waveMs} ms`, node: pending[0]?.node ?? null }) };
}

/** The next members that may apply it; when all have, it is what is desired. */
function nextWave(record: AppRecord, change: Change, members: readonly FarmMember[]): AppRecord {
  const left = members.filter(({ node }) => !change.admitted.includes(node));
  const [first] = left;
  if (first === undefined) return committed(record, change);
  const by = change.rolling?.by ?? left.length;
  const wave = (by === "zone" ? left.filter(({ zone }) => zone === first.zone) : left.slice(0, by)).map(({ node }) => node);
  return { ...record, change: { ...change, phase: "rolling", admitted: [...change.admitted, ...wave], wave } };
}

const NO_CAUSE = { code: null, why: null, node: null } as const;

function begun(wish: Extract<Wish, { readonly kind: "deploy" | "rollback" }>, release: Release): Change {
  return { id: wish.id, kind: wish.kind, release, by: wish.by, phase: "preparing", prepareMs: wish.prepareMs, rolling: wish.rolling, admitted: [], wave: [] };
}

function committed(record: AppRecord, change: Change): AppRecord {
  const history = remembered(record.current, record.history.filter(({ id }) => id !== change.release.id));
  return ended({ ...record, current: change.release, history, change: null }, { id: change.id, kind: change.kind, version: change.release.version, result: "committed", ...NO_CAUSE });
}

function rolledBack(record: AppRecord, change: Change, cause: Pick<Outcome, "code" | "why" | "node">): AppRecord {
  return ended({ ...record, change: null }, { id: change.id, kind: change.kind, version: change.release.version, result: "rolled-back", ...cause });
}

function remembered(release: Release | null, history: readonly Release[]): readonly Release[] {
  return (release === null ? history : [release, ...history]).slice(0, RELEASES_KEPT);
}

function ended(record: AppRecord, outcome: Outcome): AppRecord {
  return { ...record, outcomes: [outcome, ...record.outcomes].slice(0, OUTCOMES_KEPT) };
}

function listed(members: readonly FarmMember[]): string {
  const names = members.slice(0, 5).map(({ node }) => node);
  return members.length > names.length ? `${names.join(", ")} and ${members.length - names.length} more` : names.join(", ");
}
