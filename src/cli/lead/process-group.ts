import { readdirSync, readFileSync } from "node:fs";

/**
 * Whether any process of the group still runs. `kill(2)` also counts zombies: processes that have ended and that nobody has asked about, for example because
 * process 1 of a container does not. On Linux they are told apart by /proc (proc(5), stat); elsewhere they count as running.
 */
export function groupRuns(groupId: number): boolean {
  if (!groupExists(groupId)) return false;
  if (process.platform !== "linux") return true;
  try {
    return readdirSync("/proc").some((entry) => /^\d+$/.test(entry) && runsIn(groupId, entry));
  } catch {
    return true; // no /proc to look at
  }
}

/** Sends a signal to all processes of the group; whether there was one, running or not. */
export function signalGroup(groupId: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-groupId, signal);
    return true;
  } catch (error) {
    return isForeign(error);
  }
}

function groupExists(groupId: number): boolean {
  try {
    process.kill(-groupId, 0);
    return true;
  } catch (error) {
    return isForeign(error);
  }
}

/** It runs as another user by now: it is there, and not ours to signal. */
function isForeign(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EPERM";
}

function runsIn(groupId: number, pid: string): boolean {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return false; // ended in between
  }
  const group = processState(stat);
  return group !== undefined && group.groupId === groupId && group.state !== "Z" && group.state !== "X";
}

/** State and process group in a line of /proc/PID/stat. The name in parentheses may have blanks and parentheses itself. */
export function processState(stat: string): { readonly state: string; readonly groupId: number } | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, , group] = fields;
  return state === undefined || group === undefined ? undefined : { state, groupId: Number(group) };
}
