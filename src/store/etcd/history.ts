import type { Header, StatusAnswer } from "./messages.ts";
import type { BeatRecord, Key } from "./records.ts";

/**
 * Which history of the store this is. etcd has nothing that changes when a cluster is restored from a backup: its tools may give the restored one the same identity, and its
 * revisions go on from the backup's. So the store says in a key of its own which history it is, and whoever opens a session compares that with what cannot be so in the same one.
 */
export interface History {
  /** The epoch: it names the cluster and the history. */
  readonly epoch: string;
  /** Grows with each history. */
  readonly number: number;
  readonly clusterId: string;
  /**
   * The number of entries in the cluster's log less the revision of the store, when this was written; no more than it was. Each revision is made by an entry of its own, so
   * within a history this never becomes less. Whoever restores a backup keeps the revision, and begins the log anew. `null`: the cluster does not tell.
   */
  readonly lead: number | null;
}

/** What a process remembers of a store that it has had a session on. */
export interface Memory {
  history: History | undefined;
  /** The greatest revision that an answer had. */
  revision: number;
  /** Its last accepted beat: where it stands, its number, and the revision that it made. */
  beat: { readonly key: Key<BeatRecord>; readonly beat: number; readonly revision: number } | undefined;
}

/** What is found when a session is opened. */
export interface Sight {
  /** The store's own word; `undefined`: it has none yet. */
  readonly history: History | undefined;
  readonly header: Pick<Header, "clusterId" | "revision">;
  /** No less than the lead is; `null`: the cluster does not tell. */
  readonly lead: number | null;
  /** Whether the store has the remembered beat in its past; `unknown` also where that past has been compacted. */
  readonly beat: "there" | "gone" | "unknown";
}

/**
 * What the lead was at the time of an answer, no less and no more, by what the member said before and after it: between the two its log has only grown. `null` where it does not
 * tell, and where several members answered, as behind a proxy: one of them may be behind the others.
 */
export function leadBetween(before: StatusAnswer, { memberId, revision }: Pick<Header, "memberId" | "revision">, after: StatusAnswer): { readonly least: number | null; readonly most: number | null } {
  const tells = [before, after].every((status) => status.appliedIndex !== 0 && status.header.memberId === memberId);
  return tells ? { least: before.appliedIndex - revision, most: after.appliedIndex - revision } : { least: null, most: null };
}

/** Why commits that were answered have been lost, as a clause; `undefined`: nothing says so. */
export function lossIn({ history, header, lead, beat }: Sight, memory: Memory): string | undefined {
  if (history === undefined) return "the store had no history yet";
  if (history.clusterId !== header.clusterId) return "this is another cluster";
  if (lead !== null && history.lead !== null && lead < history.lead) return "the cluster's log is younger than the store in it, as after a backup was restored";
  if (memory.history === undefined) return undefined;
  if (history.number < memory.history.number || (history.number === memory.history.number && history.epoch !== memory.history.epoch)) return "an epoch that this process has seen is gone";
  if (history.epoch !== memory.history.epoch) return undefined;
  if (header.revision < memory.revision) return "the store's revision is an earlier one than this process has seen";
  if (beat === "gone") return "a beat of this process that was confirmed is gone";
  return undefined;
}

/** The history that begins now. */
export function nextHistory({ history, header }: Sight, memory: Memory, options: { readonly id: string; readonly lead: number | null }): History {
  const number = Math.max(history?.number ?? 0, memory.history?.number ?? 0) + 1;
  return { epoch: `${header.clusterId}:${number}:${options.id}`, number, clusterId: header.clusterId, lead: options.lead };
}

export function parseHistory(text: string): History {
  return JSON.parse(text) as History;
}

export function historyText(history: History): string {
  return JSON.stringify(history);
}
