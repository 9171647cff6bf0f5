import { counts, table, violationLines } from "../fleet/text.ts";
import type { FaultOptions } from "./options.ts";
import type { PlannedFault } from "./plan.ts";
import type { RunResult } from "./run.ts";
import type { Spread, Summary } from "./summary.ts";

const PLAN_SHOWN = 40;

export function planText(plan: readonly PlannedFault[], { store, world }: { readonly store: string; readonly world: string }, options: FaultOptions): string {
  const { nodes, leaseMs, beatMs, minutes, seed, crashDetection } = options;
  const first = plan.slice(0, PLAN_SHOWN).map((fault) => (fault.during.length === 0 ? fault.kind : `${fault.kind} (${fault.during.map((other) => other.kind).join(", ")})`));
  return [
    `${nodes} nodes on ${store}; ${world}`,
    `lease ${leaseMs} ms, beat ${beatMs} ms, crash detection by ${crashDetection}, ${minutes} min, seed ${seed}`,
    `plan: ${first.join(", ")}${plan.length > first.length ? `, … (${plan.length} drawn, as many are done as there is time for)` : ""}`,
  ].join("\n");
}

export function resultText(result: RunResult): string {
  const { summary, violations, failures, folder, seed, passed } = result;
  const lines = [...summaryLines(summary), "", ...violationLines(violations)];
  for (const { process, stderr } of failures) lines.push("", `${process} ended by itself; it said:`, stderr.trimEnd());
  if (folder !== undefined) lines.push("", `history: ${folder}; picture: ${folder}/picture.svg (judge and draw again: node test/faults/check.ts ${folder})`);
  lines.push(`${passed ? "passed" : "FAILED"}: ${violations.length} violations, seed ${seed}`);
  return lines.join("\n");
}

function summaryLines(summary: Summary): string[] {
  const rows = summary.faults.map((fault) => [fault.kind, String(fault.count), spreadText(fault.leaderlessMs), spreadText(fault.coordinatorlessMs), fault.violations === 0 ? "0" : `${fault.violations} !`]);
  const leftOut = Object.entries(summary.leftOut);
  return [
    ...table([["fault", "count", "no leader, ms", "no coordinator, ms", "violations"], ["", "", "min / median / max", "min / median / max", ""], ...rows]),
    "",
    `${(summary.tookMs / 1_000).toFixed(1)} s; ${summary.rows} rows, ${summary.lostRows} of them lost in failovers; ${summary.views} views; ${summary.incarnations} incarnations, ${summary.declaredDead} declared dead; ${summary.beliefSamples} samples of belief`,
    `terms: ${counts(summary.terms)}`,
    `writes: ${counts(summary.writes)}`,
    `told: ${counts(summary.told)}`,
    ...(Object.keys(summary.remarks).length > 0 ? [`remarks: ${counts(summary.remarks)}`] : []),
    ...(Object.keys(summary.excused).length > 0 ? [`not promised with such clocks, after such a double fault, or with such a crowd, and so no violation: ${counts(summary.excused)}`] : []),
    ...(leftOut.length > 0 ? [`left out: ${leftOut.map(([kind, why]) => `${kind} (${why})`).join("; ")}`] : []),
  ];
}

function spreadText({ minMs, medianMs, maxMs }: Spread): string {
  return `${minMs} / ${medianMs} / ${maxMs}`;
}
