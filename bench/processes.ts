import { execFileSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/**
 * Processor time that a process and all that descend from it have used so far, in milliseconds, with what ended descendants had used. Only Linux tells; elsewhere `NaN`.
 * From `/proc/PID/stat`, whose fields are counted from the closing bracket of the name, which may hold spaces (proc(5)).
 */
export function cpuTimeMs(pid: number): number {
  if (process.platform !== "linux") return Number.NaN;
  const processes = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? (stat(Number(name)) ?? []) : []));
  const children = new Map<number, Stat[]>();
  for (const each of processes) children.set(each.parent, [...(children.get(each.parent) ?? []), each]);
  const root = processes.find((each) => each.pid === pid);
  if (root === undefined) return Number.NaN;
  const sum = (each: Stat): number => each.own + each.ended + (children.get(each.pid) ?? []).reduce((total, child) => total + sum(child), 0);
  return sum(root) * (1_000 / ticksPerSecond());
}

interface Stat {
  readonly pid: number;
  readonly parent: number;
  /** In user and system mode, in ticks: its own, and that of children that it has waited for. */
  readonly own: number;
  readonly ended: number;
}

function stat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number); // begins with field 3, the state
    const at = (field: number) => fields[field - 3] ?? 0;
    return { pid, parent: at(4), own: at(14) + at(15), ended: at(16) + at(17) };
  } catch {
    return undefined; // ended meanwhile
  }
}

let ticks: number | undefined;

function ticksPerSecond(): number {
  return (ticks ??= Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" })));
}

/** What a child says next. Rejects where it ends instead, says that it failed, or says something else. */
export function reportOf<Report extends { readonly kind: string }, Kind extends Report["kind"]>(child: ChildProcess, kind: Kind): Promise<Extract<Report, { readonly kind: Kind }>> {
  return new Promise((resolve, reject) => {
    const exited = (code: number | null, signal: string | null) => reject(new Error(`a process of the round ended: ${code ?? signal}`));
    child.once("exit", exited);
    child.once("message", (message) => {
      child.off("exit", exited);
      const report = message as Report | { readonly kind: "failed"; readonly message: string };
      if (report.kind === kind) resolve(report as Extract<Report, { readonly kind: Kind }>);
      else reject(new Error("message" in report ? report.message : `${report.kind} was said where ${kind} was expected`));
    });
  });
}
