import { counts, table, violationLines } from "../fleet/text.ts";
import type { TortureOptions } from "./options.ts";
import type { PlannedFault } from "./plan.ts";
import type { Spread, Summary } from "./summary.ts";
import type { TortureResult } from "./torture.ts";

export function planText(plan: readonly PlannedFault[], label: string, options: TortureOptions): string {
  const { nodes, leaseMs, beatMs, durationMs, seed } = options;
  const first = plan.slice(0, 60).map((fault) => fault.kind);
  return [
    `torture of ${nodes} processes on ${label}: lease ${leaseMs} ms, beat ${beatMs} ms, ${(durationMs / 60_000).toFixed(1)} min, seed ${seed}`,
    `plan: ${first.join(", ")}${plan.length > first.length ? `, … (${plan.length} drawn, as many are done as there is time for)` : ""}`,
  ].join("\n");
}

export function resultText(result: TortureResult): string {
  const { summary, violations, failures, folder, seed, passed } = result;
  const lines = [...summaryLines(summary), "", ...violationLines(violations)];
  for (const { process, stderr } of failures) lines.push("", `${process} ended by itself; it said:`, stderr.trimEnd());
  if (folder !== undefined) lines.push("", `history: ${folder} (judge it again with: node test/torture/check.ts ${folder})`);
  lines.push(`${passed ? "passed" : "FAILED"}: ${violations.length} violations, seed ${seed}`);
  return lines.join("\n");
}

function summaryLines(summary: Summary): string[] {
  const rows = summary.faults.map((fault) => [fault.kind, String(fault.count), spreadText(fault.leaderlessMs), spreadText(fault.coordinatorlessMs)]);
  return [
    ...table([["fault", "count", "no leader, ms", "no coordinator, ms"], ["", "", "median / max", "median / max"], ...rows]),
    "",
    `${(summary.tookMs / 1_000).toFixed(1)} s; ${summary.rows} rows; ${summary.terms} terms, ${summary.coordinatorTerms} of the coordinator; ${summary.views} views; ` +
      `${summary.incarnations} incarnations, ${summary.declaredDead} declared dead; ${summary.beliefSamples} samples of belief`,
    ...(summary.starved > 0 ? [`the machine was busy: ${summary.starved} times a process did not run although nobody stopped it, for ${summary.longestStarvedMs} ms at most`] : []),
    `writes: ${counts(summary.writes)}`,
    `told: ${counts(summary.told)}`,
    ...(Object.keys(summary.remarks).length > 0 ? [`remarks: ${counts(summary.remarks)}`] : []),
  ];
}

function spreadText({ medianMs, maxMs }: Spread): string {
  return `${medianMs} / ${maxMs}`;
}
