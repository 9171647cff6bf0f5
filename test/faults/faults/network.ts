import type { Run } from "../../fleet/fleet.ts";
import type { Weather } from "../world.ts";
import { lasting, officesFilled, victimOf, wait } from "./scene.ts";
import type { Family, Inject, Scene } from "./scene.ts";

/** Makes the weather of one node, or of all, for as long as `work` takes. Whoever has it may miss beats without being to blame. */
export async function weather(scene: Scene, runs: readonly Run[], { how, what }: { readonly how: string; readonly what: Weather }, work: () => Promise<void>): Promise<void> {
  const { fleet, world } = scene;
  for (const run of runs) fleet.noteCut(run, how);
  try {
    for (const run of runs) await world.disturb(run.node, what);
    await work();
  } finally {
    for (const run of runs) {
      await world.disturb(run.node, {});
      fleet.noteCut(run, undefined);
    }
  }
}

/** Until somebody else has taken over, and a while longer. */
function cut(direction: NonNullable<Weather["cut"]>): Inject {
  return async (scene, planned) => {
    const { fleet, leaseMs, boundMs, signal } = scene;
    const run = victimOf(scene, planned);
    if (run === undefined) return;
    await weather(scene, [run], { how: `cut ${direction}`, what: { cut: direction } }, async () => {
      await fleet.until(() => !run.joined, boundMs, signal);
      await officesFilled(scene);
      await wait(scene, lasting(leaseMs, planned.share, { from: 0, to: 1 }));
    });
  };
}

const flap: Inject = async (scene, planned) => {
  const { world, leaseMs, random } = scene;
  const run = victimOf(scene, planned);
  if (run === undefined) return;
  await weather(scene, [run], { how: "flap", what: {} }, async () => {
    let leftMs = lasting(leaseMs, planned.share, { from: 1, to: 3 });
    for (let isCut = true; leftMs > 0; isCut = !isCut) {
      await world.disturb(run.node, isCut ? { cut: "both" } : {});
      const ms = 50 + random.next() * 450;
      leftMs -= ms;
      await wait(scene, ms);
    }
  });
};

const delay: Inject = async (scene, planned) => {
  const { fleet, leaseMs, met } = scene;
  met(fleet.runs);
  const delayMs = lasting(leaseMs, planned.share, { from: 0.01, to: 0.1 });
  await weather(scene, fleet.runs, { how: "delay", what: { delayMs } }, () => wait(scene, 2 * leaseMs));
};

const reorder: Inject = async (scene, planned) => {
  const { fleet, leaseMs, met } = scene;
  met(fleet.runs);
  const ms = lasting(leaseMs, planned.share, { from: 0.005, to: 0.03 });
  await weather(scene, fleet.runs, { how: "reorder", what: { delayMs: ms, jitterMs: ms } }, () => wait(scene, 2 * leaseMs));
};

const loss: Inject = async (scene, planned) => {
  const { leaseMs } = scene;
  const run = victimOf(scene, planned);
  if (run === undefined) return;
  await weather(scene, [run], { how: "loss", what: { lossPercent: Math.round(10 + 30 * planned.share) } }, () => wait(scene, 3 * leaseMs));
};

/** What is done to links. */
export const NETWORK: Family = {
  cut: cut("both"),
  "cut-requests": cut("requests"),
  "cut-replies": cut("replies"),
  flap,
  delay,
  loss,
  reorder,
};
