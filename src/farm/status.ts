import type { ErrorCode } from "../kernel/index.ts";
import type { Understood } from "./document-cache.ts";
import { wanted } from "./follow.ts";
import type { AppRecord, NodeReport, Outcome, Release } from "./record.ts";

/** What one member has of one name. */
export interface MemberOutcome {
  readonly node: string;
  /** `applied`: what is desired there runs. `failed`: it could not be applied, or is not healthy. `pending`: not yet. */
  readonly state: "applied" | "failed" | "pending";
  /** The version that runs; `null`: none. */
  readonly version: string | null;
  readonly code: ErrorCode | null;
  readonly why: string | null;
}

/** What is desired of one name, and what there is. */
export interface FarmStatus {
  readonly name: string;
  readonly desired: Pick<Release, "version" | "digest" | "sizeBytes" | "kind" | "config"> | null;
  /** Versions that can be gone back to, the newest first. */
  readonly earlier: readonly string[];
  readonly change: { readonly kind: "deploy" | "rollback"; readonly version: string; readonly phase: "preparing" | "rolling"; readonly by: string; readonly admitted: readonly string[] } | null;
  /** How the last change ended. */
  readonly last: Outcome | null;
  /** One row for each member that takes part, in order of joining. */
  readonly members: readonly MemberOutcome[];
}

/** Puts side by side what is desired and what members report. */
export function statusOf(record: AppRecord, members: readonly { readonly node: string; readonly incarnation: string }[], reports: ReadonlyMap<string, Understood<NodeReport>>): FarmStatus {
  const byIncarnation = new Map([...reports.values()].map(({ value }) => [value.incarnation, value]));
  const { change, current } = record;
  return {
    name: record.name,
    desired: current === null ? null : { version: current.version, digest: current.digest, sizeBytes: current.sizeBytes, kind: current.kind, config: current.config },
    earlier: record.history.map(({ version }) => version),
    change: change === null ? null : { kind: change.kind, version: change.release.version, phase: change.phase, by: change.by, admitted: change.admitted },
    last: record.outcomes[0] ?? null,
    members: members.map(({ node, incarnation }) => memberOutcome(record, node, byIncarnation.get(incarnation))),
  };
}

function memberOutcome(record: AppRecord, node: string, report: NodeReport | undefined): MemberOutcome {
  const desired = wanted(record, node)?.id ?? null;
  const app = report !== undefined && Object.hasOwn(report.apps, record.name) ? report.apps[record.name] : undefined;
  if (app === undefined) return { node, state: "pending", version: null, code: null, why: null };
  if (app.failed?.release === desired && app.failed !== null) return { node, state: "failed", version: app.version, code: app.failed.code, why: app.failed.why };
  return { node, state: app.release === desired ? "applied" : "pending", version: app.version, code: null, why: null };
}
