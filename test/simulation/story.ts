import type { HistoryEvent, RunResult, Violation } from "../../src/testing/index.ts";

/** How much of a history is shown around a violation. */
const AROUND = { before: 40, after: 8 };

/** A violation on one line. */
export function violationText({ check, message, atMs }: Pick<Violation, "check" | "message" | "atMs">): string {
  return `${check} at ${atMs.toFixed(1)} ms: ${message}`;
}

/** What happened, a line for each event: all of it with what was logged, or what is near a violation and its evidence. */
export function storyText(result: RunResult, show: { readonly around: Violation } | { readonly log: readonly (readonly [atMs: number, line: string])[] }): string {
  const { events } = result.history;
  const planned = result.plan.faults.map((fault) => [fault.atMs, `${fault.atMs.toFixed(1)} planned ${JSON.stringify({ ...fault, atMs: undefined })}`] as const);
  if ("log" in show) {
    const lines = [...show.log, ...planned, ...events.map((event) => [event.t, eventText(event)] as const)];
    return lines.sort(([a], [b]) => a - b).map(([, line]) => line).join("\n");
  }
  const { atMs, evidence } = show.around;
  const at = events.findLastIndex((event) => event.t <= atMs);
  const near = new Set(events.slice(Math.max(0, at - AROUND.before), at + AROUND.after));
  const proof = new Set<unknown>(evidence);
  const shown = events.filter((event) => near.has(event) || proof.has(event));
  const fromMs = shown[0]?.t ?? 0;
  const lines: (readonly [number, string])[] = [
    ...planned.filter(([plannedMs]) => plannedMs >= fromMs && plannedMs <= atMs).map(([plannedMs, line]) => [plannedMs, `  ${line}`] as const),
    ...shown.map((event) => [event.t, `${proof.has(event) ? "* " : "  "}${eventText(event)}`] as const),
  ];
  return lines.sort(([a], [b]) => a - b).map(([, line]) => line).join("\n");
}

function eventText(event: HistoryEvent): string {
  const { t, process, incarnation, kind, ...rest } = event;
  const who = process === "" ? "" : ` ${process}${incarnation === "" ? "" : ` (${incarnation.slice(0, 8)})`}`;
  return `${t.toFixed(1)}${who} ${kind} ${shortened(JSON.stringify(rest))}`;
}

/** Incarnations by their first eight digits, as in messages. */
function shortened(text: string): string {
  return text.replace(/\b([0-9a-f]{8})[0-9a-f]{24}\b/g, "$1");
}
