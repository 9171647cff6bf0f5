import { deputyOf } from "../election/index.ts";
import type { SuccessionOrder } from "../election/index.ts";
import { isoTime } from "../kernel/index.ts";
import type { EvidenceRule, Grounds, Observation } from "../presence/index.ts";
import { deathStep } from "../presence/index.ts";
import { viewFloor } from "../store/index.ts";
import type { Holder, MemberRow, NewEvent, PresenceRow, StoredMember, StoredView } from "../store/index.ts";
import { withoutAnnex } from "./annex.ts";

/** A member of the group, as users see it. Immutable. */
export interface Member {
  readonly node: string;
  /** One run of the node; fresh at every start. */
  readonly incarnation: string;
  /** What the member says about itself. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** `joining` only for this node itself, before the first view that has it. */
  readonly state: "joining" | "alive";
  /** ISO 8601, by the store's clock; empty while joining. */
  readonly joinedAt: string;
  /** It takes part but leads nothing, and does not count towards a minimum of members. */
  readonly observer: boolean;
}

/** An immutable, numbered list of members, the oldest first. The list of a number is the same for everybody. */
export interface View {
  readonly version: number;
  readonly members: readonly Member[];
  /** The member that publishes views; `null` if it has left and nobody has succeeded it yet. */
  readonly coordinator: Member | null;
  /** Whether views between the one delivered before and this one were missed. */
  readonly skipped: boolean;
}

/** A view, with what it has that the one delivered before had not, and the other way round. */
export interface ViewChange {
  readonly view: View;
  readonly joined: readonly Member[];
  readonly left: readonly Member[];
}

/** The view that the coordinator should publish, before the details of new members are known. */
export interface ViewPlan {
  readonly version: number;
  /** Incarnations whose row has to be read: new ones, and those with new metadata. */
  readonly toRead: readonly string[];
  readonly gone: readonly StoredMember[];
}

/**
 * Whether the first view of a generation has to wait. A failover may have brought back what others have seen leave; those do not beat, since a beat counts only in the
 * epoch that its sender knows. So who has not been seen to beat in this epoch is either declared dead first, or beats within its lease.
 */
export function mustWait(input: { readonly generation: number; readonly viewSeen: number; readonly presence: readonly PresenceRow[]; readonly own: string; readonly hasBeaten: (incarnation: string) => boolean }): boolean {
  const { generation, viewSeen, presence, own, hasBeaten } = input;
  if (generation === 1 || viewSeen > viewFloor(generation)) return false;
  return presence.some((row) => row.state === "alive" && row.incarnation !== own && !hasBeaten(row.incarnation));
}

/** Compares the stored view with everybody's presence. `undefined` if there is nothing to publish. */
export function planView(input: {
  readonly stored: StoredView | null;
  readonly presence: readonly PresenceRow[];
  readonly coordinator: Holder;
  readonly viewSeen: number;
  /** The group's generation; each one opens a fresh range of numbers. */
  readonly generation: number;
  /** A new coordinator publishes in any case. */
  readonly mustPublish: boolean;
}): ViewPlan | undefined {
  const { stored, presence, coordinator, viewSeen } = input;
  const alive = new Map(presence.filter((row) => row.state === "alive").map((row) => [row.incarnation, row]));
  const members = new Map((stored?.members ?? []).map((member) => [member.incarnation, member]));
  const toRead = [...alive.values()].filter((row) => members.get(row.incarnation)?.metadataVersion !== row.metadataVersion).map((row) => row.incarnation);
  const gone = [...members.values()].filter((member) => !alive.has(member.incarnation));
  // A failover may have lost views that some members have seen and cannot tell of any more: their numbers are never used again.
  const seen = presence.reduce((most, row) => Math.max(most, row.viewSeen), Math.max(viewFloor(input.generation), viewSeen, stored?.version ?? 0));
  const wentBack = seen > (stored?.version ?? 0);
  const renamed = stored?.coordinator?.incarnation !== coordinator.incarnation;
  if (toRead.length === 0 && gone.length === 0 && !wentBack && !renamed && !input.mustPublish) return undefined;
  return { version: seen + 1, toRead, gone };
}

/**
 * The least time between two views of a term: the first of a burst of joins comes at once, the rest of it in a few views. Each member reads all of each view, so what a view costs grows with the square of
 * the group: about 8 s of processor time in all with 1,000 members (measured, most of it in the members).
 */
export function viewSpacingMs(members: number): number {
  return members ** 2 / 100;
}

/** The view and its events, once the rows of `plan.toRead` and `plan.gone` are there. */
export function buildView(plan: ViewPlan, stored: StoredView | null, rows: readonly MemberRow[], coordinator: Holder): { readonly view: StoredView; readonly events: readonly NewEvent[] } {
  const byIncarnation = new Map(rows.map((row) => [row.incarnation, row]));
  const gone = new Set(plan.gone.map((member) => member.incarnation));
  const members = new Map((stored?.members ?? []).filter((member) => !gone.has(member.incarnation)).map((member) => [member.incarnation, member]));
  const events: NewEvent[] = [];
  for (const member of plan.gone) {
    const reason = byIncarnation.get(member.incarnation)?.deadReason ?? "gone";
    events.push({ type: reason === "left" ? "member-left" : "member-dead", subject: member.node, detail: { incarnation: member.incarnation, reason } });
  }
  for (const row of rows) {
    if (row.state !== "alive" || !plan.toRead.includes(row.incarnation)) continue; // it died since: the next view has nothing of it
    const known = members.has(row.incarnation);
    members.set(row.incarnation, {
      incarnation: row.incarnation,
      node: row.node,
      metadata: JSON.parse(row.metadata) as unknown,
      metadataVersion: row.metadataVersion,
      joinOrder: row.joinOrder,
      joinedAtMs: row.joinedAtMs,
      ...(row.observer ? { observer: true as const } : {}),
    });
    events.push({ type: known ? "member-updated" : "member-joined", subject: row.node, detail: { incarnation: row.incarnation } });
  }
  if (stored?.coordinator?.incarnation !== coordinator.incarnation) {
    events.push({ type: "coordinator-changed", subject: coordinator.node, detail: { incarnation: coordinator.incarnation, previous: stored?.coordinator?.node ?? null } });
  }
  const inOrder = [...members.values()].sort((a, b) => a.joinOrder - b.joinOrder || (a.incarnation < b.incarnation ? -1 : 1));
  return { view: { version: plan.version, members: inOrder, coordinator }, events };
}

/** What a coordinator does about silent members now. */
export interface DeathPlan {
  readonly declare: readonly { readonly observation: Observation; readonly grounds: Grounds }[];
  /** When to look again, on the monotonic clock; `undefined` if nobody is awaited. */
  readonly nextMs: number | undefined;
  /** So many are silent that the store or this observer is suspected first. */
  readonly suspicious: boolean;
}

/** Who has not been heard of for this share of a lease is silent: longer than two beats can be apart, shorter than the wait. */
const SILENT_SHARE = 0.75;

/** How the coordinator uses evidence: that of a member that leads something after the grace that the store asks for, that of others later, so that who has only lost its connection can have another one. */
export interface EvidenceOfMembers {
  readonly rule: EvidenceRule;
  /** Incarnations that hold an election. */
  readonly leaders: ReadonlySet<string>;
  readonly idleGraceMs: number;
}

/** Which of the observed members the coordinator declares dead now. */
export function planDeaths(observations: readonly Observation[], nowMs: number, evidence?: EvidenceOfMembers): DeathPlan {
  const alive = observations.filter((observation) => observation.state === "alive");
  const silent = alive.filter((observation) => nowMs - observation.sinceMs >= observation.leaseMs * SILENT_SHARE);
  const suspicious = silent.length >= 2 && silent.length > (alive.length + 1) / 2; // the observer itself is a member too
  const declare: Array<{ observation: Observation; grounds: Grounds }> = [];
  // Evidence that many lost at once is a connection that many lost at once.
  const free = alive.filter((observation) => observation.evidence === "free").length;
  const doubtful = free >= 2 && free > (alive.length + 1) / 2;
  const ruleFor = ({ incarnation }: Observation): EvidenceRule | undefined => {
    if (evidence === undefined || suspicious || doubtful) return undefined;
    const { rule, leaders, idleGraceMs } = evidence;
    return leaders.has(incarnation) ? rule : { ...rule, graceMs: Math.max(rule.graceMs, idleGraceMs) };
  };
  let nextMs: number | undefined;
  for (const observation of alive) {
    const step = deathStep(observation, nowMs, { extraLeases: suspicious ? 1 : 0, evidence: ruleFor(observation) });
    if (step.kind === "declare") declare.push({ observation, grounds: step.grounds });
    else nextMs = Math.min(nextMs ?? step.untilMs, step.untilMs);
  }
  return { declare, nextMs, suspicious };
}

/** More than these are looked at with the beats only. */
const MOST_ATTENDED = 16;

/**
 * Whose evidence of death this member waits for: the coordinator that of all others who lead something; the next in succession the coordinator's. So one connection more for each of these
 * two, whatever the size of the group.
 */
export function attendance(input: {
  readonly view: StoredView | null;
  readonly own: string;
  readonly leaders: ReadonlySet<string>;
  readonly succession: SuccessionOrder;
}): readonly string[] {
  const { view, own, leaders, succession } = input;
  const coordinator = view?.coordinator?.incarnation;
  if (view === null || coordinator === undefined) return [];
  if (coordinator === own) return view.members.map((member) => member.incarnation).filter((incarnation) => incarnation !== own && leaders.has(incarnation)).slice(0, MOST_ATTENDED);
  return deputyOf(view, succession)?.incarnation === own ? [coordinator] : [];
}

/** The view for users, made of the stored one and the one they were given before. */
export function presentView(stored: StoredView, before: View | undefined): View {
  const kept = new Map((before?.members ?? []).map((member) => [member.incarnation, member]));
  const members = stored.members.map((member) => {
    const old = kept.get(member.incarnation);
    return old !== undefined && saysTheSame(old, member) ? old : presentMember(member);
  });
  const coordinator = members.find((member) => member.incarnation === stored.coordinator?.incarnation) ?? null;
  return Object.freeze({ version: stored.version, members: Object.freeze(members), coordinator, skipped: before !== undefined && stored.version !== before.version + 1 });
}

/** Whether a member was made of such a row. A name and an incarnation belong together for ever. */
function saysTheSame(member: Member, stored: StoredMember): boolean {
  return Date.parse(member.joinedAt) === stored.joinedAtMs && member.observer === (stored.observer === true) && JSON.stringify(member.metadata) === JSON.stringify(withoutAnnex(stored.metadata));
}

/** The same view, as one delivers it to a reader who had `before`. */
export function asSeenAfter(view: View, before: View | undefined): View {
  const skipped = before !== undefined && view.version !== before.version + 1;
  return view.skipped === skipped ? view : Object.freeze({ ...view, skipped });
}

/** What happened between two views. */
export function diffViews(before: View | undefined, view: View): ViewChange {
  const old = new Set(before?.members.map((member) => member.incarnation));
  const now = new Set(view.members.map((member) => member.incarnation));
  return Object.freeze({
    view,
    joined: Object.freeze(view.members.filter((member) => !old.has(member.incarnation))),
    left: Object.freeze((before?.members ?? []).filter((member) => !now.has(member.incarnation))),
  });
}

/** A member for users, made of a stored one. */
export function presentMember(member: StoredMember): Member {
  return Object.freeze({
    node: member.node,
    incarnation: member.incarnation,
    metadata: deepFreeze(withoutAnnex(member.metadata)) as Readonly<Record<string, unknown>>,
    state: "alive" as const,
    joinedAt: isoTime(member.joinedAtMs),
    observer: member.observer === true,
  });
}

function deepFreeze(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
