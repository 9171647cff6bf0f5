import { execFile } from "node:child_process";
import { measureLoopDelay, sleep } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";
import type { Timing } from "../presence/index.ts";
import type { Finding } from "../store/index.ts";
import { eventLoopFinding, nodeFinding, timeSyncFinding, timingsFinding } from "./diagnosis.ts";

/** For so long the event loop is measured. */
const MEASURE_MS = 1_000;

/** A tool that takes longer is not waited for. */
const TOOL_MS = 1_000;

/** Looks at the machine and the process that this runs in. Takes a second. */
export async function diagnoseMachine(clock: Clock, timing: Timing, signal: AbortSignal | undefined): Promise<readonly Finding[]> {
  const synchronized = await clockIsSynchronized();
  const delay = measureLoopDelay();
  const beganMs = clock.monotonicMs();
  await sleep(clock, MEASURE_MS, signal);
  const measuredMs = clock.monotonicMs() - beganMs;
  const p999Ms = delay.p999Ms();
  delay.stop();
  const sync = timeSyncFinding(synchronized);
  return [eventLoopFinding(p999Ms, measuredMs, timing), timingsFinding(timing, p999Ms), nodeFinding(process.versions.node), ...(sync === undefined ? [] : [sync])];
}

/** What systemd says of it (timedatectl(1)), where there is one. */
function clockIsSynchronized(): Promise<boolean | undefined> {
  if (process.platform !== "linux") return Promise.resolve(undefined);
  return new Promise((resolve) => {
    execFile("timedatectl", ["show", "--property=NTPSynchronized", "--value"], { timeout: TOOL_MS, killSignal: "SIGKILL" }, (error, stdout) => {
      const said = stdout.trim();
      resolve(error !== null || (said !== "yes" && said !== "no") ? undefined : said === "yes");
    });
  });
}
