import type { ElectionStatus, EventRecord, GroupStatus, MemberStatus, StatusWarning } from "../admin/index.ts";
import { duration } from "./duration.ts";
import { safeJson, safeText } from "./safe-text.ts";
import type { Shell } from "./shell.ts";
import { table } from "./table.ts";
import type { Cell } from "./table.ts";

/** A whole status, as lines. */
export function showStatus(status: GroupStatus, shell: Shell): string[] {
  const { store } = status;
  const head = [
    `${shell.paint("bold", safeText(status.group))} on ${safeText(store.label)}`,
    shell.paint("dim", safeText(`${store.serverVersion}, schema ${store.schemaVersion}, read in ${store.latencyMs} ms, clock ${signed(store.clockOffsetMs)}, hints ${store.hints ? "on" : "off"}`)),
    shell.paint("dim", safeText(`generation ${store.generation}, epoch ${store.epoch}`)),
  ];
  return [
    ...head,
    "",
    `view ${status.viewVersion}, ${count(status.members.length, "member")}`,
    ...showMembers(status.members, shell),
    "",
    count(status.elections.length, "election"),
    ...showElections(status.elections, shell),
    ...showWarnings(status.warnings, shell),
  ];
}

/** Columns that say the same of everybody are left out, so that eighty characters do for an ordinary group. */
export function showMembers(members: readonly MemberStatus[], shell: Shell): string[] {
  if (members.length === 0) return [shell.paint("dim", "  nobody")];
  const newest = Math.max(...members.map((member) => member.viewSeen));
  return table(
    ["NODE", "STATE", "ROLE", "LAST BEAT", "LEASE", "EVIDENCE", "CHANNEL", "VIEW", "RUN", "METADATA"],
    members.map((member) => [
      member.node,
      stateOf(member, shell),
      member.coordinator ? "coordinator" : member.observer ? "observer" : "",
      member.ageMs === null ? "" : `${duration(member.ageMs)} ago`,
      member.leaseMs === null ? "" : duration(member.leaseMs),
      evidenceOf(member),
      channelOf(member, shell),
      !member.inView ? "not yet" : member.viewSeen === newest ? "" : String(member.viewSeen),
      member.incarnation.slice(0, 8),
      isEmpty(member.metadata) ? "" : safeJson(member.metadata),
    ]),
  );
}

export function showElections(elections: readonly ElectionStatus[], shell: Shell): string[] {
  if (elections.length === 0) return [shell.paint("dim", "  none")];
  return table(
    ["ELECTION", "HOLDER", "TOKEN", "FENCE", "SINCE", "TRUST LEFT", "CANDIDATES", "NOTE"],
    elections.map((election) => [
      election.election,
      election.holder === null ? { text: "nobody", paint: (text) => shell.paint("yellow", text) } : { text: election.holder.node, paint: (text) => shell.paint("green", text) },
      election.token,
      election.fenceToken === election.token ? "" : election.fenceToken,
      duration(election.termAgeMs),
      election.holder === null ? "" : duration(election.trustLeftMs),
      candidatesOf(election),
      noteOf(election),
    ]),
  );
}

export function showWarnings(warnings: readonly StatusWarning[], shell: Shell): string[] {
  if (warnings.length === 0) return [];
  return [
    "",
    ...warnings.flatMap((warning) => [
      `${warning.severity === "warning" ? shell.paint("yellow", "warning") : shell.paint("dim", "notice")} ${warning.code}: ${safeText(warning.message)}`,
      shell.paint("dim", `  ${safeText(warning.next)}`),
    ]),
  ];
}

/** An event on one line. */
export function showEvent(event: EventRecord, shell: Shell): string {
  const detail = Object.entries(event.detail)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([key, value]) => `${safeText(key)} ${safeText(key === "incarnation" && typeof value === "string" ? value.slice(0, 8) : typeof value === "string" ? value : safeJson(value))}`)
    .join(", ");
  return `${shell.paint("dim", event.at)}  ${String(event.sequence).padStart(5)}  ${shell.paint("cyan", event.type.padEnd(19))} ${safeText(event.subject)}${detail === "" ? "" : `  ${shell.paint("dim", detail)}`}`;
}

function stateOf(member: MemberStatus, shell: Shell): Cell {
  if (member.state !== "alive") return { text: member.state, paint: (text) => shell.paint("red", text) };
  if (member.evicted) return { text: "evicted", paint: (text) => shell.paint("red", text) };
  if (member.silent) return { text: "silent", paint: (text) => shell.paint("yellow", text) };
  return { text: "alive", paint: (text) => shell.paint("green", text) };
}

function evidenceOf({ crashDetection, connectionEnded }: MemberStatus): string {
  if (crashDetection === null) return "";
  return connectionEnded ? "free" : crashDetection === "evidence" ? "held" : "none";
}

function channelOf({ channel }: MemberStatus, shell: Shell): Cell {
  if (channel === null) return { text: "" };
  const [first] = channel.unreachableFrom.toSorted((a, b) => (a.since < b.since ? -1 : 1));
  if (first === undefined) return { text: "connected" };
  const others = channel.unreachableFrom.length - 1;
  return { text: `unreachable since ${first.since} from ${first.node}${others === 0 ? "" : ` and ${others} more`}`, paint: (text) => shell.paint("yellow", text) };
}

function candidatesOf({ candidates }: ElectionStatus): string {
  const fit = candidates.filter((candidate) => candidate.fit).length;
  return fit === candidates.length ? String(fit) : `${fit} of ${candidates.length} fit`;
}

function noteOf(election: ElectionStatus): string {
  const { holder, holderState, token, paused, resignRequested, resignRequestedFor, reservation, priority } = election;
  const notes = [
    ...(paused === null ? [] : [`paused by ${paused.by}: ${paused.reason}`]),
    ...(holderState === "dead" || holderState === "absent" ? [`the holder is ${holderState}`] : []),
    ...(resignRequested ? [resignRequestedFor === null ? "asked to resign" : `asked to hand over to ${resignRequestedFor}`] : []),
    ...(reservation === null ? [] : [`kept for ${reservation.node}`]),
    ...(holder === null && token === "0" ? ["never held"] : []),
    ...(holder !== null && priority !== 0 ? [`priority ${priority}`] : []),
  ];
  return notes.join("; ");
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function signed(ms: number): string {
  return `${ms >= 0 ? "+" : "-"}${duration(Math.abs(ms))}`;
}

function isEmpty(metadata: unknown): boolean {
  return metadata === null || metadata === undefined || (typeof metadata === "object" && Object.keys(metadata).length === 0);
}
