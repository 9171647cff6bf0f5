/** Runs one seed after the other, as it is told to, and tells what each came to. */
import { drawPlan, historyDigest, runPlan } from "../../src/testing/simulation/index.ts";
import type { Job, Report } from "./pool.ts";

process.on("message", (job: Job) => void work(job));

async function work(job: Job): Promise<void> {
  const { seed, profile } = job;
  const before = process.cpuUsage();
  let report: Report;
  try {
    const { history, violations, simulatedMs, faults, counts } = await runPlan(drawPlan(seed, profile, job));
    report = {
      seed,
      profile,
      simulatedMs,
      faults,
      counts,
      violations: violations.map(({ check, message, atMs }) => ({ check, message, atMs })),
      cpuMs: cpuMsSince(before),
      ...(job.digest ? { digest: historyDigest(history) } : {}),
    };
  } catch (error) {
    report = { seed, profile, simulatedMs: 0, faults: {}, counts: undefined, violations: [{ check: "crash", message: error instanceof Error ? error.message : String(error), atMs: 0 }], cpuMs: cpuMsSince(before) };
  }
  process.send?.(report);
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
