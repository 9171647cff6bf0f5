import type { History, HistoryEvent } from "../../src/testing/history/index.ts";

/** Histories that a check accepts, and those that it does not, by what is in them. */
export interface Cases {
  readonly good: Readonly<Record<string, History>>;
  /** What the message must say. */
  readonly bad: Readonly<Record<string, { readonly history: History; readonly says: RegExp; readonly times?: number }>>;
}

/** What happens to somebody, at a time. */
export type Entry = { t: number } & Record<string, unknown>;

/** Events of one process, which runs as incarnation `<name>-i`. */
export function of(name: string, ...entries: readonly Entry[]): HistoryEvent[] {
  return entries.map((entry) => ({ process: name, node: name.split("#")[0], incarnation: `${name}-i`, ...entry }) as unknown as HistoryEvent);
}

export function history(...parts: readonly HistoryEvent[][]): History {
  return { events: parts.flat().sort((a, b) => a.t - b.t), rows: [] };
}

export const view = (t: number, version: number, members: readonly string[], more: object = {}): Entry => ({
  t,
  kind: "view",
  version,
  members: members.map((name) => ({ node: name.split("#")[0], incarnation: `${name}-i`, metadata: {} })),
  coordinator: members[0] === undefined ? null : `${members[0]}-i`,
  skipped: false,
  ...more,
});
export const at = (t: number, kind: string, more: object = {}): Entry => ({ t, kind, ...more });
export const paused = (t: number): Entry => at(t, "paused", { cause: "SIGSTOP" });
export const resumed = (t: number): Entry => at(t, "resumed", { cause: "SIGSTOP" });
export const exited = (t: number, code: number | null, signal: string | null, expected: boolean): Entry => at(t, "exited", { code, signal, expected });
export const calm = (t: number, nodes: readonly string[], elections: readonly string[] = ["work"]): HistoryEvent[] => of("", at(t, "faults-ended", { nodes, elections }));
