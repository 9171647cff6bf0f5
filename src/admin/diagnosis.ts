import { MARGIN_MS, worstFailoverMs } from "../presence/index.ts";
import type { Timing } from "../presence/index.ts";
import type { Finding, GroupReading, InstalledSchema, SessionInfo, StoreCapabilities } from "../store/index.ts";

/** What was looked at in a store and on this machine. Plain data. */
export interface Diagnosis {
  readonly kind: string;
  /** Where the store is; no password. */
  readonly label: string;
  /** When this was asked, by this machine's clock; ISO 8601. */
  readonly at: string;
  readonly findings: readonly Finding[];
  /** The worst of their levels. */
  readonly worst: Finding["level"];
}

/** The oldest Node.js that this package runs on: type stripping and `node:sqlite` without a flag, and `require()` of modules. */
const OLDEST_NODE = [22, 18] as const;

/** The worst level of some findings. */
export function worstOf(findings: readonly Finding[]): Finding["level"] {
  if (findings.some((finding) => finding.level === "fail")) return "fail";
  return findings.some((finding) => finding.level === "warn") ? "warn" : "ok";
}

/** What the versions of a schema say about this code; `undefined`: this role may not read them. */
export function schemaFinding(installed: InstalledSchema | undefined, needed: number): Finding {
  const check = "schema";
  if (installed === undefined) return { check, level: "fail", found: "the schema's version cannot be read", next: "see what is said about writing" };
  const { version, worksWith } = installed;
  if (version === 0) return { check, level: "warn", found: `there is none yet; this code needs version ${needed}`, next: "the first node makes it if its role may; otherwise run 'tribune migrate' once" };
  if (version < needed) return { check, level: "warn", found: `version ${version}; this code needs ${needed}`, next: "run 'tribune migrate', before or with the first node of this version" };
  if (worksWith > needed) return { check, level: "fail", found: `version ${version}, which works with code of version ${worksWith} or newer; this code has ${needed}`, next: "upgrade tribune in this program" };
  return { check, level: "ok", found: version === needed ? `version ${version}, as this code needs it; code for version ${worksWith} or newer works with it` : `version ${version}, which also works with this code's ${needed}` };
}

/** Whether evidence of death is in force for a node that connects as this diagnosis did. `session`: `undefined` if none could be opened. */
export function evidenceFinding(session: SessionInfo | undefined, { evidence }: StoreCapabilities, { leaseMs }: Timing): Finding {
  const check = "evidence";
  const late = `a crash is noticed when the lease of ${seconds(leaseMs)} is over`;
  if (evidence === null) return { check, level: "ok", found: `this kind of store has none: ${late}` };
  if (session === undefined) return { check, level: "warn", found: "whether it is in force cannot be told without a session", next: "mend what keeps one from being opened, and ask again" };
  const { held, why } = session.evidence;
  if (held) return { check, level: "ok", found: `in force: ${why}; a crash is noticed at once, after ${evidence.graceMs} ms of grace` };
  return { check, level: "warn", found: `not in force, so ${late}: ${why}`, next: "see what is said about the way, rights and keep-alive; or set crashDetection: \"lease\", if that is soon enough" };
}

/** Whether hints come. */
export function hintsFinding(session: SessionInfo | undefined, { hints }: StoreCapabilities, { beatMs }: Timing): Finding | undefined {
  if (session === undefined || !hints) return undefined;
  if (session.hints) return { check: "hints", level: "ok", found: "changes are pushed to a session that connects as this one did" };
  return { check: "hints", level: "warn", found: `changes are not pushed, and are seen with the next beat, up to ${seconds(beatMs)} later`, next: "see what is said about the way to the store" };
}

/** Who is there, if there is a group. */
export function groupFinding(group: string, reading: GroupReading): Finding {
  const alive = reading.presence.filter((row) => row.state === "alive");
  const onLease = alive.filter((row) => row.evidence === "none").length;
  const detection = alive.length === 0 ? "" : onLease === 0 ? ", all with evidence of life" : `, ${onLease} of them without evidence of life`;
  return { check: "group", level: "ok", found: `${group} has ${alive.length} live member${alive.length === 1 ? "" : "s"}${detection}` };
}

/** How late timers fired here. */
export function eventLoopFinding(p999Ms: number, measuredMs: number, { leaseMs }: Timing): Finding {
  const check = "event-loop";
  const found = `99.9 % of the timers of this command were less than ${Math.round(p999Ms * 10) / 10} ms late for ${seconds(measuredMs)}; your program's own delays come on top, and the event 'degraded' tells of them`;
  if (p999Ms < leaseMs / 2) return { check, level: "ok", found };
  return { check, level: "warn", found: `${found}; the lease is ${seconds(leaseMs)}`, next: "look what takes this machine's processor, or lengthen the lease to more than twice that" };
}

/** What the timings mean. */
export function timingsFinding(timing: Timing, p999Ms: number): Finding {
  const check = "timings";
  const found = `lease ${seconds(timing.leaseMs)}, beat ${seconds(timing.beatMs)}, stop budget ${seconds(timing.stopBudgetMs)}: a leader that dies is succeeded within ${seconds(worstFailoverMs(timing))} at the latest`;
  const leastMs = 2 * p999Ms + MARGIN_MS;
  if (timing.leaseMs >= leastMs) return { check, level: "ok", found };
  return { check, level: "warn", found: `${found}; the lease should be longer than twice the event loop's delay (${Math.round(p999Ms)} ms)`, next: "take a longer preset, such as calm" };
}

/** Whether this Node.js will do. */
export function nodeFinding(version: string): Finding {
  const check = "node";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  const oldest = OLDEST_NODE.join(".");
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return { check, level: "ok", found: `Node.js ${version}; ${oldest} is the oldest that is supported` };
  return { check, level: "fail", found: `Node.js ${version}`, next: `use ${oldest} or newer` };
}

/** Whether the system says that it keeps its clock right; `undefined`: it does not say. */
export function timeSyncFinding(synchronized: boolean | undefined): Finding | undefined {
  const check = "time-sync";
  if (synchronized === undefined) return undefined;
  if (synchronized) return { check, level: "ok", found: "this machine's clock is synchronised" };
  return { check, level: "warn", found: "this machine's clock is not synchronised; that costs no safety as long as it runs at the right rate", next: "switch on a time service, such as chrony with 'maxslewrate 5000'" };
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}
