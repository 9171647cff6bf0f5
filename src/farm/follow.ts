import type { AppRecord, Change, Release } from "./record.ts";

/** What a member has of one name. */
export interface LocalApp {
  /** What runs. */
  readonly active: Release | null;
  /** The change that it voted on last. */
  readonly voted: string | null;
  /** Releases that are prepared and do not run, by id. */
  readonly prepared: ReadonlyMap<string, Release>;
  /** The release that could not be applied (`null`: that nothing should run), and when to try again. */
  readonly failed: { readonly release: string | null; readonly retryAtMs: number } | null;
}

/** What a member does next about one name. */
export type MemberStep =
  | { readonly kind: "rest" }
  | { readonly kind: "wait"; readonly ms: number }
  /** Fetch, verify, prepare, and vote on it. */
  | { readonly kind: "vote"; readonly change: Change }
  | { readonly kind: "activate"; readonly release: Release }
  | { readonly kind: "deactivate"; readonly release: Release }
  /** It was prepared, and is not wanted. */
  | { readonly kind: "discard"; readonly release: Release };

/** What shall run on a node: the new release once its wave has come, what is desired otherwise. */
export function wanted(record: AppRecord, node: string): Release | null {
  const { change, current } = record;
  return change?.phase === "rolling" && change.admitted.includes(node) ? change.release : current;
}

/** Decides what a member does next: first what is decided, then what is asked, then tidying up. */
export function memberStep(record: AppRecord, node: string, local: LocalApp, nowMs: number): MemberStep {
  const { change } = record;
  const release = wanted(record, node);
  const differs = release?.id !== local.active?.id;
  const pauseMs = differs && local.failed !== null && local.failed.release === (release?.id ?? null) ? local.failed.retryAtMs - nowMs : 0;
  if (differs && pauseMs <= 0) {
    if (release !== null) return { kind: "activate", release };
    if (local.active !== null) return { kind: "deactivate", release: local.active };
  }
  if (change !== null && local.voted !== change.id) return { kind: "vote", change };
  for (const each of local.prepared.values()) {
    // While a change is under way, what is desired now may have to be gone back to.
    if (![release?.id, change?.release.id, record.current?.id, local.active?.id].includes(each.id)) return { kind: "discard", release: each };
  }
  return pauseMs > 0 ? { kind: "wait", ms: pauseMs } : { kind: "rest" };
}

/** Whether what a member is busy with still has a point; otherwise it is called off. */
export function isStillWanted(step: MemberStep, record: AppRecord, node: string): boolean {
  switch (step.kind) {
    case "vote":
      return record.change?.id === step.change.id;
    case "activate":
      return wanted(record, node)?.id === step.release.id;
    case "rest":
    case "wait":
    case "deactivate":
    case "discard":
      return true; // taking away is never called off half-way
  }
}

/** The digests of all artifacts that may be needed again; others can go. */
export function digestsOf(record: AppRecord): string[] {
  return [record.current, ...record.history, record.change?.release ?? null].flatMap((release) => (release === null ? [] : [release.digest]));
}
