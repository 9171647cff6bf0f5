import { COORDINATOR, LARGE_CLOCK_OFFSET_MS } from "../store/index.ts";
import type { GroupStatus, Surroundings } from "./status.ts";

/** The stable names of what `status` warns of. */
export type WarningCode =
  | "NO_MEMBERS"
  | "MEMBER_SILENT"
  | "MEMBER_EVICTED"
  | "DEAD_IN_VIEW"
  | "NODE_TWICE"
  | "MEMBER_UNREACHABLE"
  | "NO_COORDINATOR"
  | "COORDINATOR_SILENT"
  | "ELECTION_VACANT"
  | "ELECTION_PAUSED"
  | "NO_FIT_CANDIDATE"
  | "HOLDER_DEAD"
  | "FENCE_BEHIND"
  | "SCHEMA_OLDER"
  | "SCHEMA_NEWER"
  | "STORE_SESSION"
  | "NO_HINTS"
  | "STORE_SLOW"
  | "CLOCK_OFFSET"
  | "CRASH_DETECTION_LEASE";

/** Something that a person should look at, and what to do about it. */
export interface StatusWarning {
  readonly code: WarningCode;
  /** `notice`: less than it could be, and fine if you know it. */
  readonly severity: "warning" | "notice";
  /** The node, election or store that it is about. */
  readonly about: string;
  readonly message: string;
  readonly next: string;
}

/** A reading that takes longer than this is worth a word: each beat of each member takes as long. */
export const SLOW_STORE_MS = 100;

/** Claiming and passing the fence are two statements: for this long the fence may well be behind. */
export const FENCE_PATIENCE_MS = 500;

/** An election that is paused and that nobody holds is worth a word when it has been so for longer than this: somebody may have forgotten it. */
export const LONG_PAUSE_MS = 900_000;

type Facts = Omit<GroupStatus, "warnings">;

/** All warnings about a group, the most pressing first. */
export function warningsOf(status: Facts, around: Surroundings): readonly StatusWarning[] {
  const empty = !status.members.some((member) => member.state === "alive");
  // In a group without members everything else about them follows from that.
  const group = empty ? [noMembers(status)] : [...memberWarnings(status), ...coordinatorWarnings(status), ...electionWarnings(status)];
  return [...group, ...storeWarnings(status, around)].sort((a, b) => Number(a.severity === "notice") - Number(b.severity === "notice"));
}

function noMembers(status: Facts): StatusWarning {
  return warning("NO_MEMBERS", status.group, `nobody is alive in group ${status.group}`, "start a member, for example with 'tribune join'");
}

function memberWarnings(status: Facts): StatusWarning[] {
  const alive = status.members.filter((member) => member.state === "alive");
  const found: StatusWarning[] = [];
  for (const member of alive.filter((member) => member.silent)) {
    if (member.evicted) {
      // It goes with its next beat, which is due long before it counts as silent.
      found.push(warning("MEMBER_EVICTED", member.node, `${member.node} was asked to leave, and is still there; it has not beaten for ${seconds(member.ageMs ?? 0)}`, "look whether that process still runs; it is declared dead when its lease is over"));
      continue;
    }
    found.push(
      warning(
        "MEMBER_SILENT",
        member.node,
        `${member.node} has not beaten for ${seconds(member.ageMs ?? 0)} of its lease of ${seconds(member.leaseMs ?? 0)}`,
        "look at that process, its event loop and its way to the store",
      ),
    );
  }
  for (const member of status.members.filter((member) => member.state !== "alive")) {
    found.push(
      warning("DEAD_IN_VIEW", member.node, `${member.node} is ${member.state === "dead" ? "dead" : "not in the store"}, and still in view ${status.viewVersion}`, "the coordinator publishes the next view; if it does not, look at the coordinator"),
    );
  }
  for (const { node, channel } of alive) {
    if (channel === null || channel.connected) continue;
    const from = channel.unreachableFrom.map((each) => `${each.node} (since ${each.since})`).join(", ");
    found.push(warning("MEMBER_UNREACHABLE", node, `${node} has no connection at ${channel.address} with ${from}; that harms their messages, and nobody's place in the group`, "look at the network between them, at what it advertises, and whether all members protect their connections in the same way"));
  }
  const names = new Map<string, number>();
  for (const member of alive) names.set(member.node, (names.get(member.node) ?? 0) + 1);
  for (const [node, count] of names) {
    if (count > 1) found.push(warning("NODE_TWICE", node, `${count} live incarnations are called ${node}`, "give each running node a name of its own"));
  }
  return found;
}

function coordinatorWarnings(status: Facts): StatusWarning[] {
  const election = status.elections.find((election) => election.election === COORDINATOR);
  if (election === undefined || election.holder === null) {
    return [warning("NO_COORDINATOR", status.group, "the group has no coordinator: joins and leaves are not seen", "a member takes over within a moment; if none does, look at their logs")];
  }
  const holder = status.members.find((member) => member.incarnation === election.holder?.incarnation);
  if (holder?.silent !== true) return [];
  return [warning("COORDINATOR_SILENT", holder.node, `the coordinator ${holder.node} has not beaten for ${seconds(holder.ageMs ?? 0)}`, "another member succeeds it when its lease has run out")];
}

function electionWarnings(status: Facts): StatusWarning[] {
  const found: StatusWarning[] = [];
  for (const election of status.elections) {
    const { election: name, holder, holderState, termAgeMs, paused, candidates } = election;
    if (candidates.length > 0 && candidates.every((candidate) => !candidate.fit)) {
      found.push(warning("NO_FIT_CANDIDATE", name, `the probes of all ${candidates.length} candidates of ${name} say that they may not lead: ${candidates.map((candidate) => candidate.node).join(", ")}`, "mend what the probe asks, or start a candidate that is fit"));
    }
    if (holder === null && paused !== null) {
      if (Date.parse(status.at) - Date.parse(paused.at) <= LONG_PAUSE_MS) continue; // somebody meant it
      found.push(warning("ELECTION_PAUSED", name, `${name} has been paused by ${paused.by} since ${paused.at} (${paused.reason}), and nobody holds it`, `run 'tribune resume ${name}' if the reason is over`));
      continue;
    }
    if (holder === null) {
      if (name === COORDINATOR || election.token === "0") continue;
      const by = election.lastTerm === null ? "" : `; ${election.lastTerm.node} held it last`;
      found.push(warning("ELECTION_VACANT", name, `nobody has held ${name} for ${seconds(termAgeMs)}${by}`, candidates.length === 0 ? "start a process that contends for it, or look at why those that do are not members" : `look at its candidates: ${candidates.map((candidate) => candidate.node).join(", ")}`));
      continue;
    }
    if (holderState !== "alive") {
      found.push(warning("HOLDER_DEAD", name, `${holder.node} holds ${name} and is ${holderState === "dead" ? "dead" : "not in the store"}`, "the next contender takes it; if there is none, start one"));
    } else if (election.fenceToken !== election.token && BigInt(election.fenceToken) < BigInt(election.token) && termAgeMs > FENCE_PATIENCE_MS) {
      found.push(
        warning(
          "FENCE_BEHIND",
          name,
          `${holder.node} has claimed ${name} with token ${election.token}, but the fence still stands at ${election.fenceToken} after ${seconds(termAgeMs)}`,
          "an older term's transaction is open: look for one on the server, and end it",
        ),
      );
    }
  }
  return found;
}

function storeWarnings(status: Facts, around: Surroundings): StatusWarning[] {
  const { store } = status;
  const found: StatusWarning[] = [];
  if (store.schemaVersion < store.schemaNeeded) {
    found.push(warning("SCHEMA_OLDER", store.label, `the schema has version ${store.schemaVersion}, this code needs ${store.schemaNeeded}`, "run 'tribune migrate'"));
  }
  if (store.schemaVersion > store.schemaNeeded) {
    found.push(warning("SCHEMA_NEWER", store.label, `the schema has version ${store.schemaVersion}, this code knows ${store.schemaNeeded}`, "upgrade tribune here"));
  }
  for (const sentence of around.session.warnings) {
    const cut = sentence.lastIndexOf("; ");
    found.push(warning("STORE_SESSION", store.label, cut === -1 ? sentence : sentence.slice(0, cut), cut === -1 ? "see the guide of this store" : sentence.slice(cut + 2)));
  }
  if (around.capabilities.hints && !around.session.hints && around.session.warnings.length === 0) {
    found.push(warning("NO_HINTS", store.label, "the store's hints do not reach this connection: changes are seen with the next beat only", "look at the guide of this store for what keeps hints away"));
  }
  if (store.latencyMs > SLOW_STORE_MS) {
    found.push(warning("STORE_SLOW", store.label, `reading the group took ${Math.round(store.latencyMs)} ms`, "look at the load of the store and the network to it, or lengthen the leases"));
  }
  if (Math.abs(store.clockOffsetMs) > LARGE_CLOCK_OFFSET_MS) {
    found.push(
      warning("CLOCK_OFFSET", store.label, `the store's clock is ${seconds(Math.abs(store.clockOffsetMs))} ${store.clockOffsetMs > 0 ? "ahead of" : "behind"} this machine's`, "set the clocks by NTP; times in the record are the store's"),
    );
  }
  const onLease = status.members.filter((member) => member.crashDetection === "lease").map((member) => member.node);
  if (status.crashDetection.inForce !== "evidence" && (onLease.length > 0 || around.capabilities.evidence === null)) found.push(leaseNotice(status, onLease, around));
  return found;
}

function leaseNotice(status: Facts, onLease: readonly string[], { capabilities }: Surroundings): StatusWarning {
  const { store, crashDetection } = status;
  if (capabilities.evidence === null) return notice("CRASH_DETECTION_LEASE", store.label, `a member that dies is noticed when its lease runs out: ${crashDetection.why}`, "shorten the lease if that is too slow");
  const shown = onLease.length <= 5 ? onLease.join(", ") : `${onLease.slice(0, 5).join(", ")} and ${onLease.length - 5} more`;
  return notice("CRASH_DETECTION_LEASE", shown, `the death of ${shown} is noticed when the lease runs out, although the store could give evidence`, "run 'tribune doctor' on that machine, or look at health().crashDetection there; fine if crashDetection: \"lease\" was chosen");
}

function notice(code: WarningCode, about: string, message: string, next: string): StatusWarning {
  return { ...warning(code, about, message, next), severity: "notice" };
}

function warning(code: WarningCode, about: string, message: string, next: string): StatusWarning {
  return { code, severity: "warning", about, message, next };
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
