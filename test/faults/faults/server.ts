import { restartAll } from "./processes.ts";
import { lasting, outage, wait, waitAndUndo } from "./scene.ts";
import type { Family, Inject } from "./scene.ts";

const serverKill: Inject = async (scene, planned) => {
  const { place, leaseMs } = scene;
  if (place.crash === undefined) return;
  const crash = place.crash.bind(place);
  await outage(scene, async () => {
    const undo = await crash();
    await waitAndUndo(scene, lasting(leaseMs, planned.share, { from: 0, to: 2 }), undo);
  });
};

const serverRestart: Inject = async (scene, planned) => {
  const { place, leaseMs } = scene;
  if (place.shutDown === undefined) return;
  const shutDown = place.shutDown.bind(place);
  await outage(scene, async () => {
    const undo = await shutDown();
    await waitAndUndo(scene, lasting(leaseMs, planned.share, { from: 0, to: 2 }), undo);
  });
};

const promote: Inject = async (scene, planned) => {
  const { place, leaseMs, note, boundMs } = scene;
  let lostSinceMs = 0;
  await place.failOver?.(lasting(leaseMs, planned.share, { from: 0.2, to: 2 }), {
    lagging: () => (lostSinceMs = scene.nowMs()),
    down: () => note({ kind: "outage-began" }),
    up: () => {
      note({ kind: "failed-over", lostSinceMs });
      note({ kind: "outage-ended" });
    },
  });
  await wait(scene, boundMs / 2);
};

const tableLock: Inject = async (scene, planned) => {
  const { place, leaseMs, remark } = scene;
  if (place.lockTable === undefined) return;
  const lockTable = place.lockTable.bind(place);
  await outage(scene, async () => {
    const { table, undo } = await lockTable(planned.pick);
    remark(`table-lock: ${table}`);
    await waitAndUndo(scene, lasting(leaseMs, planned.share, { from: 0.3, to: 2 }), undo);
  });
};

const diskFull: Inject = async (scene, planned) => {
  const { place, leaseMs } = scene;
  if (place.fillDisk === undefined) return;
  const fillDisk = place.fillDisk.bind(place);
  await outage(scene, async () => {
    const undo = await fillDisk();
    await waitAndUndo(scene, lasting(leaseMs, planned.share, { from: 0.5, to: 2 }), undo);
  });
};

const fileLock: Inject = async (scene, planned) => {
  const { place, leaseMs } = scene;
  if (place.lockFile === undefined) return;
  const undo = await place.lockFile();
  await outage(scene, async () => {
    await waitAndUndo(scene, lasting(leaseMs, planned.share, { from: 0.3, to: 2 }), undo);
  });
};

const pooler: Inject = async (scene, planned) => {
  const { place, doOther, settles } = scene;
  if (place.usePooler === undefined) return;
  scene.met(scene.fleet.runs);
  const { leave, undo } = await place.usePooler();
  try {
    await restartAll(scene);
    await settles("moving behind a pooler");
    for (const other of planned.during) await doOther(other);
    await leave();
    await restartAll(scene);
  } finally {
    await undo();
  }
};

/** What is done to the server, or to the file. */
export const SERVER: Family = {
  "server-kill": serverKill,
  "server-restart": serverRestart,
  promote,
  "table-lock": tableLock,
  "disk-full": diskFull,
  "file-lock": fileLock,
  pooler,
};
