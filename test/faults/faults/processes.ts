import { setTimeout as pause } from "node:timers/promises";
import type { Run } from "../../fleet/fleet.ts";
import { lasting, officesFilled, outage, restartNode, victimOf, wait, waitAndUndo } from "./scene.ts";
import type { Family, Inject, Scene } from "./scene.ts";

const ATTEMPTS = 60;

const kill: Inject = async (scene, planned) => {
  const { fleet } = scene;
  const run = victimOf(scene, planned);
  if (run === undefined) return;
  await fleet.kill(run);
  // Started at once, its last incarnation still counts as alive.
  if (!planned.coin) await officesFilled(scene);
  fleet.start(run.node);
};

function stop(range: { readonly from: number; readonly to: number }): Inject {
  return async (scene, planned) => {
    const run = victimOf(scene, planned);
    if (run === undefined || !(await freezeHonestly(scene, run))) return;
    try {
      await wait(scene, lasting(scene.leaseMs, planned.share, range));
    } finally {
      scene.fleet.thaw(run);
    }
    await wait(scene, scene.beatMs);
  };
}

/**
 * Stops a process, but not while it holds the lock that all writers need: on SQLite that stops everybody, which is known and documented, and a fault of its own. Then it is continued and stopped again.
 */
async function freezeHonestly({ fleet, place, remark }: Scene, run: Run): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (run.ending !== undefined || run.child.exitCode !== null) return false;
    fleet.freeze(run);
    await pause(3); // the signal has arrived by now
    if (place.isStuck === undefined || !(await place.isStuck())) return true;
    remark("stopped inside a write transaction, and stopped again");
    fleet.thaw(run);
    await pause(5 + attempt);
  }
  return false;
}

const stopWriter: Inject = async (scene, planned) => {
  const { fleet, place, leaseMs, remark } = scene;
  const run = victimOf(scene, { ...planned, victim: "leader" });
  if (run === undefined || place.isStuck === undefined) return;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (run.ending !== undefined || run.child.exitCode !== null) return;
    fleet.freeze(run);
    await pause(3);
    if (await place.isStuck()) {
      await outage(scene, async () => {
        await waitAndUndo(scene, lasting(leaseMs, planned.share, { from: 0.5, to: 2 }), () => fleet.thaw(run));
      });
      return;
    }
    fleet.thaw(run);
    await pause(7 + (attempt % 13));
  }
  remark("no process was stopped inside a write transaction, in spite of many attempts");
};

const block: Inject = async (scene, planned) => {
  const { fleet, leaseMs, signal } = scene;
  const run = victimOf(scene, planned);
  if (run === undefined) return;
  const ms = lasting(leaseMs, planned.share, { from: 0.3, to: 2 });
  fleet.order(run, { order: "block", ms });
  await fleet.until(() => run.paused, leaseMs, signal);
  await fleet.until(() => !run.paused, 2 * ms + leaseMs, signal);
};

const rollingRestart: Inject = async (scene) => {
  scene.met(scene.fleet.runs);
  await restartAll(scene);
};

/** One node after the other, each when the one before is a member again. */
export async function restartAll(scene: Scene): Promise<void> {
  for (const node of scene.fleet.nodes) await restartNode(scene, node);
}

/** What is done to processes. */
export const PROCESSES: Family = {
  kill,
  "stop-brief": stop({ from: 0.2, to: 0.6 }),
  "stop-lease": stop({ from: 0.85, to: 1.25 }),
  "stop-long": stop({ from: 2, to: 3.5 }),
  "stop-writer": stopWriter,
  block,
  "rolling-restart": rollingRestart,
};
