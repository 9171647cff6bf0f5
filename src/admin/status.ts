import type { ReachReports } from "../channel/index.ts";
import { isoTime } from "../kernel/index.ts";
import { annexOf, withoutAnnex } from "../membership/index.ts";
import { trustMs } from "../presence/index.ts";
import { COORDINATOR } from "../store/index.ts";
import type { ElectionRow, GroupReading, PresenceRow, SessionInfo, StoreCapabilities, StoredMember, TermRow } from "../store/index.ts";
import { pauseStatus } from "./pause.ts";
import type { PauseStatus } from "./pause.ts";
import { warningsOf } from "./warnings.ts";
import type { StatusWarning } from "./warnings.ts";

/** Everything about a group at one instant. Plain data: it survives JSON as it is. */
export interface GroupStatus {
  readonly group: string;
  /** When it was read, by the store's clock; ISO 8601. */
  readonly at: string;
  readonly store: StoreStatus;
  /** What the members of the group have agreed on. */
  readonly settings: string;
  /** How a member that died is noticed: at once, by the store's evidence, when its lease is over, or some this way and some that. */
  readonly crashDetection: { readonly inForce: "evidence" | "lease" | "mixed"; readonly why: string };
  /** The number of the newest view; 0 before the first. */
  readonly viewVersion: number;
  /** The holder of the built-in election `coordinator`; `null` while nobody is. */
  readonly coordinator: NodeName | null;
  /** Who is in the view or in the store as alive, in the order of joining. */
  readonly members: readonly MemberStatus[];
  /** The dead that are no longer in the view; the store remembers them for some minutes. */
  readonly departed: readonly MemberStatus[];
  /** By name, the coordinator's election first. */
  readonly elections: readonly ElectionStatus[];
  /** What a person should look at; `notice` can be left as it is. */
  readonly warnings: readonly StatusWarning[];
}

/** A node and one run of it. */
export interface NodeName {
  readonly node: string;
  readonly incarnation: string;
}

/** The store, as this reading found it. */
export interface StoreStatus {
  readonly kind: string;
  /** Where it points; no password. */
  readonly label: string;
  readonly serverVersion: string;
  /** The version of the schema in the store, and the one that this code reads and writes. */
  readonly schemaVersion: number;
  readonly schemaNeeded: number;
  /** Identity and timeline of the server; changes when commits may have been lost. */
  readonly epoch: string;
  /** Counts the epochs of the group; each opens a fresh range of tokens. */
  readonly generation: number;
  /** How long this reading took, measured here. */
  readonly latencyMs: number;
  /** The store's wall clock less that of this process. */
  readonly clockOffsetMs: number;
  /** Whether the store pushes hints about changes. */
  readonly hints: boolean;
}

/** A member, as a person wants to see it. */
export interface MemberStatus extends NodeName {
  /** As the store has it. `absent`: the view has it, and the store has no row of it. */
  readonly state: "alive" | "dead" | "absent";
  readonly inView: boolean;
  readonly coordinator: boolean;
  /** Since its last beat, by the store's clock; `null` if there is no row. */
  readonly ageMs: number | null;
  readonly leaseMs: number | null;
  /** Alive, but without a beat for more than six tenths of its lease. */
  readonly silent: boolean;
  /** ISO 8601, by the store's clock; `null` until the view has it. */
  readonly joinedAt: string | null;
  /** The smallest is the oldest member. */
  readonly joinOrder: number;
  /** The newest view that it has seen. */
  readonly viewSeen: number;
  /** It takes part, but leads nothing. */
  readonly observer: boolean;
  /** It was asked to leave, and its beats are refused. */
  readonly evicted: boolean;
  /** How its death would be noticed; `null` if it is not alive. */
  readonly crashDetection: "evidence" | "lease" | null;
  /** Alive as far as is known, but the connection that proved so has ended: its process is gone, or is connecting anew. */
  readonly connectionEnded: boolean;
  /** How it can be reached by the other members; `null` if it has no channel, or until the view has it. */
  readonly channel: ChannelStatus | null;
  /** What the member says about itself; `null` until the view has it. */
  readonly metadata: unknown;
}

/** A member's place on the channel, and what others say about their way to it. Says nothing about whether it lives. */
export interface ChannelStatus {
  readonly address: string;
  /** Whether no member says that it has no connection with it. Members say so after some seconds. */
  readonly connected: boolean;
  /** Who has said so, and since when they have none; ISO 8601, by their own clocks. Not all, where many have lost many. */
  readonly unreachableFrom: readonly { readonly node: string; readonly since: string }[];
}

/** An election, as a person wants to see it. */
export interface ElectionStatus {
  readonly election: string;
  readonly holder: NodeName | null;
  /** The state of the holder's own row; `null` without a holder. */
  readonly holderState: "alive" | "dead" | "absent" | null;
  /** The token of the present term or of the last one, in decimal; `"0"` if it was never held. */
  readonly token: string;
  /** The token that may write, in decimal. It follows `token` when the holder's term is announced. */
  readonly fenceToken: string;
  /** Since when it is held, or free; ISO 8601, by the store's clock. */
  readonly since: string;
  /** Milliseconds since `since`. */
  readonly termAgeMs: number;
  /** For how long the holder may act at most without another beat; 0 without a live holder. */
  readonly trustLeftMs: number;
  /** Whether the holder of this very term was asked to resign. */
  readonly resignRequested: boolean;
  /** In whose favour; `null` if in nobody's. */
  readonly resignRequestedFor: string | null;
  /** Why no new term begins, if it is paused. */
  readonly paused: PauseStatus | null;
  /** For whom the free row is kept, and for how long from when the others saw that. */
  readonly reservation: { readonly node: string; readonly forMs: number } | null;
  /** The holder's, or the last one's. */
  readonly priority: number;
  /** For how long the holder's term is left alone by candidates of a higher priority. */
  readonly minimumTermMs: number;
  /** Who alive contends for it, the holder too; the highest priority first, then the oldest. For `coordinator` all members but observers. */
  readonly candidates: readonly CandidateStatus[];
  /** The newest term that is over. */
  readonly lastTerm: TermStatus | null;
}

/** Somebody who contends for an election. */
export interface CandidateStatus {
  readonly node: string;
  readonly priority: number;
  /** Whether its probe says that it may lead. */
  readonly fit: boolean;
}

/** A term in an election's history. */
export interface TermStatus {
  readonly token: string;
  readonly node: string;
  readonly began: string;
  readonly ended: string;
  readonly reason: string;
}

/** What is not in the reading: facts about the connection and how it was measured. */
export interface Surroundings {
  readonly group: string;
  readonly kind: string;
  readonly label: string;
  readonly capabilities: StoreCapabilities;
  readonly schemaNeeded: number;
  readonly session: SessionInfo;
  readonly latencyMs: number;
  /** This process's wall clock in the middle of the reading. */
  readonly wallMs: number;
  /** Who cannot reach whom, as members say it. */
  readonly reach?: ReachReports | undefined;
}

/**
 * A member that has not beaten for this share of its lease is called silent. The store does not know how often a member beats; a beat is at most half
 * a lease, plus a jitter of a tenth, so that anything less would call healthy members silent.
 */
export const SILENT_SHARE = 0.6;

/** Derives the read model from one reading. */
export function deriveStatus(reading: GroupReading, around: Surroundings): GroupStatus {
  const presence = new Map(reading.presence.map((row) => [row.incarnation, row]));
  const inView = new Map((reading.view?.members ?? []).map((member) => [member.incarnation, member]));
  const coordinatorRow = reading.elections.find((row) => row.election === COORDINATOR);
  const coordinator = coordinatorRow?.holder ?? null;
  // What those say who are gone is over.
  const reach = new Map([...(around.reach ?? [])].filter(([incarnation]) => presence.get(incarnation)?.state === "alive"));
  const everybody = [
    ...reading.presence.map((row) => memberStatus(row, inView.get(row.incarnation), coordinator, reach)),
    ...[...inView.values()].filter((member) => !presence.has(member.incarnation)).map((member) => absentMember(member, coordinator, reach)),
  ].sort((a, b) => a.joinOrder - b.joinOrder || compare(a.incarnation, b.incarnation));
  const status: Omit<GroupStatus, "warnings"> = {
    group: around.group,
    at: isoTime(reading.storeTimeMs),
    store: {
      kind: around.kind,
      label: around.label,
      serverVersion: around.session.serverVersion,
      schemaVersion: reading.schemaVersion,
      schemaNeeded: around.schemaNeeded,
      epoch: reading.epoch,
      generation: reading.generation,
      latencyMs: Math.round(around.latencyMs * 10) / 10,
      clockOffsetMs: Math.round(reading.storeTimeMs - around.wallMs),
      hints: around.session.hints,
    },
    settings: reading.settings,
    crashDetection: crashDetection(reading.presence, around),
    viewVersion: reading.view?.version ?? 0,
    coordinator: coordinator === null ? null : { node: coordinator.node, incarnation: coordinator.incarnation },
    members: everybody.filter((member) => member.state === "alive" || member.inView),
    departed: everybody.filter((member) => member.state === "dead" && !member.inView),
    elections: reading.elections.map((row) => electionStatus(row, reading, presence)).sort(byElection),
  };
  return { ...status, warnings: warningsOf(status, around) };
}

function crashDetection(presence: readonly PresenceRow[], { kind, capabilities }: Surroundings): GroupStatus["crashDetection"] {
  if (capabilities.evidence === null) return { inForce: "lease", why: `${kind} has no evidence of death` };
  const alive = presence.filter((row) => row.state === "alive");
  const withEvidence = alive.filter((row) => row.evidence !== "none").length;
  if (alive.length === 0) return { inForce: "lease", why: "nobody is alive who could give evidence" };
  if (withEvidence === 0) return { inForce: "lease", why: "no member gives evidence of life: they chose not to, or their connections do not allow it" };
  if (withEvidence < alive.length) return { inForce: "mixed", why: `${withEvidence} of ${alive.length} members give evidence of life` };
  return { inForce: "evidence", why: "all members give evidence of life" };
}

function memberStatus(row: PresenceRow, viewed: StoredMember | undefined, coordinator: NodeName | null, reach: ReachReports): MemberStatus {
  return {
    node: row.node,
    incarnation: row.incarnation,
    state: row.state,
    inView: viewed !== undefined,
    coordinator: coordinator?.incarnation === row.incarnation,
    ageMs: row.beatAgeMs,
    leaseMs: row.leaseMs,
    silent: row.state === "alive" && row.beatAgeMs > row.leaseMs * SILENT_SHARE,
    joinedAt: viewed === undefined ? null : isoTime(viewed.joinedAtMs),
    joinOrder: row.joinOrder,
    viewSeen: row.viewSeen,
    observer: row.observer,
    evicted: row.evicted,
    crashDetection: row.state !== "alive" ? null : row.evidence === "none" ? "lease" : "evidence",
    connectionEnded: row.state === "alive" && row.evidence === "free",
    channel: channelStatus(viewed, reach),
    metadata: withoutAnnex(viewed?.metadata) ?? null,
  };
}

function absentMember(viewed: StoredMember, coordinator: NodeName | null, reach: ReachReports): MemberStatus {
  return {
    node: viewed.node,
    incarnation: viewed.incarnation,
    state: "absent",
    inView: true,
    coordinator: coordinator?.incarnation === viewed.incarnation,
    ageMs: null,
    leaseMs: null,
    silent: false,
    joinedAt: isoTime(viewed.joinedAtMs),
    joinOrder: viewed.joinOrder,
    viewSeen: 0,
    observer: viewed.observer === true,
    evicted: false,
    crashDetection: null,
    connectionEnded: false,
    channel: channelStatus(viewed, reach),
    metadata: withoutAnnex(viewed.metadata) ?? null,
  };
}

function channelStatus(viewed: StoredMember | undefined, reach: ReachReports): ChannelStatus | null {
  const { channel: address } = annexOf(viewed?.metadata);
  if (viewed === undefined || typeof address !== "string") return null;
  const unreachableFrom = [...reach.values()].flatMap(({ node, unreached }) => {
    const found = unreached.find((each) => each.incarnation === viewed.incarnation);
    return found === undefined ? [] : [{ node, since: isoTime(found.sinceMs) }];
  });
  return { address, connected: unreachableFrom.length === 0, unreachableFrom };
}

function electionStatus(row: ElectionRow, reading: GroupReading, presence: ReadonlyMap<string, PresenceRow>): ElectionStatus {
  const holderRow = row.holder === null ? undefined : presence.get(row.holder.incarnation);
  const fence = reading.fences.find((fence) => fence.election === row.election);
  return {
    election: row.election,
    holder: row.holder === null ? null : { node: row.holder.node, incarnation: row.holder.incarnation },
    holderState: row.holder === null ? null : (holderRow?.state ?? "absent"),
    token: String(row.token),
    fenceToken: String(fence?.token ?? 0),
    since: isoTime(row.changedAtMs),
    termAgeMs: Math.max(0, reading.storeTimeMs - row.changedAtMs),
    trustLeftMs: holderRow?.state === "alive" ? Math.max(0, Math.round(trustMs(holderRow.leaseMs) - holderRow.beatAgeMs)) : 0,
    resignRequested: row.holder !== null && row.resignRequested === row.token,
    resignRequestedFor: row.holder !== null && row.resignRequested === row.token ? row.resignRequestedFor : null,
    paused: row.paused === null ? null : pauseStatus(row.paused),
    reservation: row.holder !== null || row.reservation === null ? null : { node: row.reservation.node, forMs: row.reservation.forMs },
    priority: row.priority,
    minimumTermMs: row.minimumTermMs,
    candidates: candidatesOf(row.election, reading),
    lastTerm: lastTerm(row.election, reading.terms),
  };
}

function candidatesOf(election: string, { presence, candidates }: GroupReading): readonly CandidateStatus[] {
  const rows =
    election === COORDINATOR
      ? presence.filter((row) => row.state === "alive" && !row.observer && !row.evicted).map(({ node, joinOrder }) => ({ node, joinOrder, priority: 0, fit: true }))
      : candidates.filter((row) => row.election === election);
  return [...rows].sort((a, b) => b.priority - a.priority || a.joinOrder - b.joinOrder).map(({ node, priority, fit }) => ({ node, priority, fit }));
}

function lastTerm(election: string, terms: readonly TermRow[]): TermStatus | null {
  const over = terms.filter((term) => term.election === election && term.endedAtMs !== null).sort((a, b) => b.token - a.token)[0];
  if (over === undefined) return null;
  return { token: String(over.token), node: over.node, began: isoTime(over.beganAtMs), ended: isoTime(over.endedAtMs ?? over.beganAtMs), reason: over.endReason ?? "" };
}

function byElection(a: ElectionStatus, b: ElectionStatus): number {
  return Number(b.election === COORDINATOR) - Number(a.election === COORDINATOR) || compare(a.election, b.election);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * What of a status changes only because something happened, as text: two readings with the same one differ in ages and latencies alone.
 */
export function fingerprint(status: GroupStatus): string {
  return JSON.stringify([
    status.viewVersion,
    status.coordinator,
    status.store.epoch,
    status.store.generation,
    status.members.map((member) => [member.incarnation, member.state, member.inView, member.silent, member.coordinator, member.metadata, member.evicted, member.crashDetection, member.connectionEnded, member.channel]),
    status.departed.map((member) => member.incarnation),
    status.elections.map((election) => [election.election, election.holder, election.holderState, election.token, election.fenceToken, election.resignRequested, election.resignRequestedFor, election.paused, election.reservation, election.candidates]),
    status.warnings.map((warning) => [warning.code, warning.about]),
  ]);
}
