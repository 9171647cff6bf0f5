import { weather } from "./network.ts";
import { lasting, outage, victimOf, wait, waitAndUndo } from "./scene.ts";
import type { Family, Inject } from "./scene.ts";

const terminate: Inject = async (scene, planned) => {
  const run = victimOf(scene, planned);
  if (run === undefined || scene.place.terminateSessions === undefined) return;
  const sessions = await scene.place.terminateSessions(run.node);
  if (sessions === 0) scene.remark("terminate found no session of its node");
  await wait(scene, scene.beatMs);
};

/**
 * The one double fault that is excepted from honest belief where evidence counts: others take over at once, and whoever was robbed of its session believes for the rest of its lease. What it writes is refused.
 */
const terminateUnheard: Inject = async (scene, planned) => {
  const { fleet, place, crashDetection, leaseMs, onlyFencing } = scene;
  const run = victimOf(scene, { ...planned, victim: "leader" });
  if (run === undefined || place.terminateSessions === undefined) return;
  const over = crashDetection === "evidence" ? onlyFencing("the session of a node was ended while it could not hear of that") : () => undefined;
  const terminate = place.terminateSessions.bind(place);
  const lastMs = lasting(leaseMs, planned.share, { from: 0.5, to: 1.5 });
  try {
    if (planned.coin) {
      fleet.freeze(run);
      await terminate(run.node);
      await waitAndUndo(scene, lastMs, () => fleet.thaw(run));
    } else {
      await weather(scene, [run], { how: "cut both", what: { cut: "both" } }, async () => {
        await terminate(run.node);
        await wait(scene, lastMs);
      });
    }
  } finally {
    over();
  }
};

const freezeBackend: Inject = async (scene, planned) => {
  const run = victimOf(scene, planned);
  if (run === undefined || scene.place.freezeSessions === undefined) return;
  const { fleet, leaseMs } = scene;
  fleet.noteCut(run, "frozen backends");
  const { sessions, blocksOthers, undo } = await scene.place.freezeSessions(run.node);
  if (sessions === 0) scene.remark("freeze-backend found no session of its node");
  const hold = async () => {
    try {
      await wait(scene, lasting(leaseMs, planned.share, { from: 0.5, to: 2.5 }));
    } finally {
      await undo();
    }
  };
  // One that holds the fence, or something inside the server, holds others up: by design, and no server can help it.
  if (blocksOthers) {
    scene.remark("freeze-backend stopped one that held what others wait for");
    await outage(scene, hold);
  } else await hold();
  fleet.noteCut(run, undefined);
};

const connections: Inject = async (scene, planned) => {
  const run = victimOf(scene, planned);
  if (run === undefined || scene.place.fillConnections === undefined) return;
  const { fleet, leaseMs } = scene;
  fleet.noteCut(run, "no connection left");
  const { taken, undo } = await scene.place.fillConnections(run.node);
  scene.remark(`connections: ${taken > 20 ? "more than 20" : taken} were left to take`);
  await waitAndUndo(scene, lasting(leaseMs, planned.share, { from: 1, to: 2 }), undo);
  fleet.noteCut(run, undefined);
};

/** What is done to connections, from the server's side. */
export const SESSIONS: Family = { terminate, "terminate-unheard": terminateUnheard, "freeze-backend": freezeBackend, connections };
