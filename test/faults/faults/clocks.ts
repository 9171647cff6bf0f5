import type { PlannedFault } from "../plan.ts";
import { weather } from "./network.ts";
import { lasting, officesFilled, victimOf, wait, waitAndUndo } from "./scene.ts";
import type { Family, Inject, Scene } from "./scene.ts";

/** A step and the step back: by seconds up to an hour either way. */
const serverClock: Inject = async (scene, planned) => {
  const { place, leaseMs } = scene;
  if (place.setClock === undefined) return;
  const setClock = place.setClock.bind(place);
  const sizeMs = Math.round(1_000 * 3_600 ** planned.share);
  await setClock(planned.coin ? sizeMs : -sizeMs);
  await waitAndUndo(scene, 2 * leaseMs, () => setClock(0));
  await wait(scene, leaseMs);
};

/** Within the 1 % by which rates may differ. */
const clockRate: Inject = async (scene, planned) => {
  const by = 0.003 + 0.006 * planned.share;
  await atRate(scene, planned, planned.coin ? 1 + by : 1 - by);
};

/** Far beyond it: beliefs may overlap, what is written may not. */
const clockRateBeyond: Inject = async (scene, planned) => {
  const { onlyFencing, leaseMs } = scene;
  const by = 0.05 + 0.35 * planned.share;
  const over = onlyFencing(`clocks of a node at ${(planned.coin ? 1 + by : 1 - by).toFixed(3)} of true time`);
  try {
    await atRate(scene, planned, planned.coin ? 1 + by : 1 - by);
    await wait(scene, leaseMs);
  } finally {
    over();
  }
};

const RESIGNATIONS = 12;

/**
 * A node runs with clocks of that rate, leads if that can be brought about, and then has to rely on them: it is cut off, or stopped where there is no network, until somebody else leads.
 */
async function atRate(scene: Scene, planned: PlannedFault, rate: number): Promise<void> {
  const { fleet, place, rates, leaseMs, boundMs, signal, remark } = scene;
  const victim = victimOf(scene, planned);
  if (victim === undefined) return;
  const { node } = victim;
  await fleet.kill(victim);
  rates.set(node, rate);
  const run = fleet.start(node);
  await fleet.until(() => run.joined, 2 * boundMs, signal);
  const election = fleet.elections[Math.floor(planned.pick * fleet.elections.length)] ?? "";
  for (let attempt = 0; attempt < RESIGNATIONS && !run.terms.has(election); attempt++) {
    const holder = fleet.holder(election);
    if (holder === undefined) await fleet.until(() => fleet.holder(election) !== undefined, boundMs, signal);
    else {
      const token = holder.terms.get(election);
      fleet.order(holder, { order: "resign", election });
      await fleet.until(() => holder.terms.get(election) !== token && fleet.holder(election) !== undefined, boundMs, signal);
    }
  }
  remark(`a node with other clocks ${run.terms.has(election) ? "led" : "did not get to lead"}`);
  await wait(scene, leaseMs);
  if (run.ending === undefined && run.child.exitCode === null) {
    if (place.kind !== "sqlite") {
      await weather(scene, [run], { how: "cut both", what: { cut: "both" } }, async () => {
        await fleet.until(() => !run.joined, 2 * boundMs, signal);
        await officesFilled(scene);
      });
    } else await wait(scene, lasting(leaseMs, planned.share, { from: 0.5, to: 1.5 }));
  }
  rates.delete(node);
  if (run.ending === undefined && run.child.exitCode === null) await fleet.kill(run);
  if (!fleet.runs.some((each) => each.node === node)) fleet.start(node);
}

/** What is done to clocks. */
export const CLOCKS: Family = { "server-clock": serverClock, "clock-rate": clockRate, "clock-rate-beyond": clockRateBeyond };
