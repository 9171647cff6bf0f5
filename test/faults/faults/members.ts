import { lasting, officesFilled, outage, victimOf, wait, waitAndUndo } from "./scene.ts";
import type { Family, Inject, Scene } from "./scene.ts";
import type { Ensemble, StoreMember, Undo } from "../stores/place.ts";

/** Until another member leads, and until who was connected to one that says nothing any more has found out, which a node does within its trust: then it begins to watch the others anew. */
async function memberIsSilent(scene: Scene, work: () => Promise<void>): Promise<void> {
  await outage(scene, async () => {
    await work();
    await wait(scene, scene.leaseMs);
  });
}

/**
 * The member is let back, until all follow one leader again. One that was alone may come back with a later reign than the others', which ends theirs: then, too, the store cannot be used
 * until one of them leads, and only then is the fault over.
 */
async function letBack({ note, nowMs }: Scene, ensemble: Ensemble, undo: Undo): Promise<void> {
  const reign = await ensemble.ledBy(ensemble.members).catch(() => undefined); // it is let back in any case
  const fromMs = nowMs();
  await undo();
  if ((await ensemble.whole()) === reign) return;
  note({ t: fromMs, kind: "outage-began" });
  note({ kind: "outage-ended" });
}

/** What becomes of the member that leads: until another one does the store cannot be used, and that time is the ensemble's own. */
function leaderGoes(how: "kill" | "stop"): Inject {
  return async (scene, planned) => {
    const { place, leaseMs } = scene;
    const { ensemble } = place;
    if (ensemble === undefined) return;
    const leader = await ensemble.leader();
    let undo: Undo = () => Promise.resolve();
    try {
      await (how === "stop" ? memberIsSilent : outage)(scene, async () => {
        undo = await leader[how]();
        await ensemble.ledBy(others(scene, [leader]));
      });
      await wait(scene, lasting(leaseMs, planned.share, { from: 0, to: 2 }));
    } finally {
      await letBack(scene, ensemble, undo);
    }
  };
}

/** A member and a node that hear nobody but each other: that node stops within its trust, and everybody else goes on. */
const minority: Inject = async (scene, planned) => {
  const { fleet, world, place, leaseMs, boundMs, signal } = scene;
  const { ensemble } = place;
  const run = victimOf(scene, planned);
  if (run === undefined || ensemble === undefined) return;
  const leader = await ensemble.leader();
  const [other] = others(scene, [leader]);
  const member = planned.share < 0.5 ? leader : (other ?? leader);
  const group = [member.place, run.node];
  fleet.noteCut(run, "minority");
  try {
    await world.isolate?.(group, true);
    await memberIsSilent(scene, async () => void (await ensemble.ledBy(others(scene, [member]))));
    await fleet.until(() => !run.joined, boundMs, signal);
    await officesFilled(scene);
    await wait(scene, lasting(leaseMs, planned.share, { from: 0, to: 1 }));
  } finally {
    await letBack(scene, ensemble, async () => {
      await world.isolate?.(group, false);
      fleet.noteCut(run, undefined);
    });
  }
};

/** Nobody can write, so everybody stops and nobody is elected. */
const majority: Inject = async (scene, planned) => {
  const { place, leaseMs } = scene;
  const { ensemble } = place;
  if (ensemble === undefined) return;
  await outage(scene, async () => {
    const undos = await Promise.all(ensemble.members.slice(1).map(async (member) => await member.kill()));
    await waitAndUndo(scene, lasting(leaseMs, planned.share, { from: 0.5, to: 2 }), async () => void (await Promise.all(undos.map(async (undo) => await undo()))));
    await ensemble.whole();
  });
};

function others({ place }: Scene, than: readonly StoreMember[]): readonly StoreMember[] {
  return (place.ensemble?.members ?? []).filter((member) => !than.includes(member));
}

/** What is done to members of an ensemble. */
export const MEMBERS: Family = {
  "member-kill": leaderGoes("kill"),
  "member-stop": leaderGoes("stop"),
  minority,
  majority,
};
