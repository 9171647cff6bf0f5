import type { Experiment, Finding } from "./experiment.ts";

/** For people: a table, and below it what needs a word. */
export function experimentText({ control, findings, passed, tookMs }: Experiment): string {
  const rows = findings.map((finding) => [finding.mutant.name, caughtBy(finding), finding.first === undefined ? "-" : String(finding.first.seed), share(finding), `${finding.caught} of ${finding.seeds}`]);
  const survivors = findings.filter((finding) => finding.caught === 0);
  return [
    ...table([["mutant", "first seed", "share", "seeds", "caught by (seeds)"], ...rows.map(([name = "", by = "", ...rest]) => [name, ...rest, by])]),
    "",
    `the correct code: ${control.seeds - control.failed.length} of ${control.seeds} seeds clean, ${(control.simulatedMs / 3_600_000).toFixed(1)} simulated hours`,
    ...control.failed.map(({ seed, profile, by }) => `THE CORRECT CODE FAILED on seed ${seed} (${profile}): ${by.join(", ")}`),
    ...findings.flatMap(({ mutant, cutShort, seeds }) => (cutShort === undefined ? [] : [`${mutant.name} was ended after ${seeds} seeds: ${cutShort}`])),
    ...survivors.map(({ mutant, seeds }) => `${mutant.name} survived ${seeds} seeds: ${mutant.survives?.why ?? "NO REASON IS GIVEN"}`),
    ...findings.flatMap(({ mutant, caught }) => (caught > 0 && mutant.survives !== undefined ? [`${mutant.name} was caught, though its source says why it would not be`] : [])),
    `${passed ? "passed" : "FAILED"}: ${findings.length - survivors.length} of ${findings.length} mutants caught, ${(tookMs / 60_000).toFixed(1)} min`,
  ].join("\n");
}

/** For programs: the same, as plain data. */
export function experimentJson({ control, findings, passed, tookMs }: Experiment): string {
  const mutants = findings.map(({ mutant, ...rest }) => ({ name: mutant.name, wrong: mutant.wrong, survives: mutant.survives ?? null, ...rest, first: rest.first ?? null, cutShort: rest.cutShort ?? null, tookMs: Math.round(rest.tookMs) }));
  return JSON.stringify({ passed, tookMs: Math.round(tookMs), correct: control, mutants }, undefined, 2);
}

function caughtBy({ by }: Finding): string {
  const entries = Object.entries(by);
  return entries.length === 0 ? "-" : entries.map(([check, seeds]) => `${check} ${seeds}`).join(", ");
}

function share({ caught, seeds }: Finding): string {
  return seeds === 0 ? "-" : `${((caught / seeds) * 100).toFixed(caught / seeds < 0.1 ? 1 : 0)} %`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => (column === 0 || column === row.length - 1 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ").trimEnd());
}
