import { cpus, loadavg, release, totalmem, type as systemName } from "node:os";

/** On what was measured. Without it a number says nothing. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  readonly startedAt: string;
  /** Over the last 1, 5 and 15 minutes, when the run began. */
  readonly loadAtStart: readonly number[];
  /** Anything above a few tenths at the start was somebody else. */
  loadAtEnd: readonly number[];
}

export function describeMachine(): Machine {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${systemName()} ${release()}`,
    node: process.versions.node,
    startedAt: new Date().toISOString(),
    loadAtStart: load(),
    loadAtEnd: [],
  };
}

export function load(): readonly number[] {
  return loadavg().map((value) => Math.round(value * 100) / 100);
}

/** One paragraph for a report. */
export function machineText(machine: Machine): string {
  const { cpu, cores, memoryGb, system, node, startedAt, loadAtStart, loadAtEnd } = machine;
  return `${startedAt}; ${cpu}, ${cores} cores, ${memoryGb} GB; ${system}; Node.js ${node}; load average at the start ${loadAtStart.join(", ")}, at the end ${loadAtEnd.join(", ")}.`;
}
