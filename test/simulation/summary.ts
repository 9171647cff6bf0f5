import { createHash } from "node:crypto";
import { FENCING_CHECKS, PROFILE_NAMES, SIMULATION_CHECKS } from "../../src/testing/index.ts";
import type { FaultKind, RunCounts } from "../../src/testing/index.ts";
import type { Report } from "./pool.ts";

/** What a campaign came to. */
export class Summary {
  readonly failed: Report[] = [];
  readonly #faults = new Map<FaultKind, number>();
  readonly #profiles = new Map<string, { seeds: number; simulatedMs: number; violations: number }>();
  readonly #counts = new Map<keyof RunCounts, number>();
  readonly #digests = new Map<number, string>();
  #seeds = 0;
  #simulatedMs = 0;
  #cpuMs = 0;
  #checks = 0;
  #violations = 0;

  add(report: Report): void {
    this.#seeds += 1;
    this.#simulatedMs += report.simulatedMs;
    this.#cpuMs += report.cpuMs;
    this.#violations += report.violations.length;
    this.#checks += (report.profile === "beyond" ? FENCING_CHECKS : SIMULATION_CHECKS).length;
    for (const [kind, times] of Object.entries(report.faults)) this.#faults.set(kind as FaultKind, (this.#faults.get(kind as FaultKind) ?? 0) + times);
    for (const [name, value] of Object.entries(report.counts ?? {})) this.#counts.set(name as keyof RunCounts, (this.#counts.get(name as keyof RunCounts) ?? 0) + (value as number));
    const profile = this.#profiles.get(report.profile) ?? { seeds: 0, simulatedMs: 0, violations: 0 };
    this.#profiles.set(report.profile, { seeds: profile.seeds + 1, simulatedMs: profile.simulatedMs + report.simulatedMs, violations: profile.violations + report.violations.length });
    if (report.digest !== undefined) this.#digests.set(report.seed, report.digest);
    if (report.violations.length > 0) this.failed.push(report);
  }

  get seeds(): number {
    return this.#seeds;
  }

  get violations(): number {
    return this.#violations;
  }

  get simulatedHours(): number {
    return this.#simulatedMs / 3_600_000;
  }

  /** Of all seeds, in their order; `undefined` if none were asked for. */
  get digest(): string | undefined {
    if (this.#digests.size === 0) return undefined;
    const hash = createHash("sha256");
    for (const seed of [...this.#digests.keys()].sort((a, b) => a - b)) hash.update(`${seed} ${this.#digests.get(seed)}\n`);
    return hash.digest("hex");
  }

  toJSON() {
    return {
      seeds: this.#seeds,
      simulatedHours: round(this.simulatedHours, 2),
      cpuMinutes: round(this.#cpuMs / 60_000, 2),
      simulatedHoursPerCpuMinute: round(this.simulatedHours / (this.#cpuMs / 60_000 || 1), 1),
      profiles: this.#profilesInOrder(),
      faults: Object.fromEntries([...this.#faults].sort(([a], [b]) => (a < b ? -1 : 1))),
      counts: Object.fromEntries(this.#counts),
      checks: this.#checks,
      violations: this.#violations,
      failed: this.failed.map(({ seed, profile, violations }) => ({ seed, profile, violations })),
      ...(this.digest === undefined ? {} : { digest: this.digest, digests: Object.fromEntries([...this.#digests].sort(([a], [b]) => a - b)) }),
    };
  }

  #profilesInOrder() {
    return Object.fromEntries(
      PROFILE_NAMES.flatMap((name) => {
        const profile = this.#profiles.get(name);
        return profile === undefined ? [] : [[name, { seeds: profile.seeds, simulatedHours: round(profile.simulatedMs / 3_600_000, 2), violations: profile.violations }] as const];
      }),
    );
  }

  toText(): string {
    const { cpuMinutes, simulatedHoursPerCpuMinute, profiles, faults, counts, checks } = this.toJSON();
    const list = (values: Readonly<Record<string, number>>) => Object.entries(values).map(([name, times]) => `${name} ${times}`).join(", ");
    return [
      `${this.#seeds} seeds, ${round(this.simulatedHours, 1)} simulated hours, ${cpuMinutes} CPU minutes: ${simulatedHoursPerCpuMinute} simulated hours per CPU minute`,
      `profiles: ${Object.entries(profiles).map(([name, { seeds, simulatedHours }]) => `${name} ${seeds} (${round(simulatedHours, 1)} h)`).join(", ")}`,
      `faults: ${list(faults)}`,
      `on the way: ${counts.messages ?? 0} messages, ${counts.lostMessages ?? 0} lost; ${counts.lateStatements ?? 0} statements took effect after their sender had given up, ${counts.droppedStatements ?? 0} never did`,
      `seen: ${counts.terms ?? 0} terms, ${counts.views ?? 0} views, ${counts.deaths ?? 0} declared dead, ${counts.writes ?? 0} fenced rows`,
      `checks: ${checks} of histories, and ${counts.asked ?? 0} times a holder was asked whether it believes`,
      ...(this.digest === undefined ? [] : [`digest of all histories: ${this.digest}`]),
      `${this.#violations === 0 ? "passed: " : ""}${this.#violations} violations`,
    ].join("\n");
  }
}

function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
