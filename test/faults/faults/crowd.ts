import { Crowd, CROWD_PATIENCE } from "../crowd.ts";
import { officesFilled, wait } from "./scene.ts";
import type { Family, Inject } from "./scene.ts";

/** So many nodes in each of so many processes: a process for each would need more memory and time than it would show. */
const PROCESSES = 6;
const NODES_EACH = 50;

/** How long all of them may take to be members, on a machine with nothing else to do; it is measured, and not judged more strictly than this. */
const JOIN_LIMIT_MS = 120_000;

const crowd: Inject = async (scene, planned) => {
  const { place, world, folder, fleet, leaseMs, beatMs, crashDetection, note, complain, remark, signal } = scene;
  if (place.makeRoom === undefined) return;
  const room = await place.makeRoom();
  const total = PROCESSES * NODES_EACH;
  const size = () => Math.max(0, ...fleet.runs.map((run) => run.view?.incarnations.length ?? 0));
  const members = new Crowd({ processes: PROCESSES, nodesEach: NODES_EACH, folder, store: room.storeOf(), leaseMs: leaseMs * CROWD_PATIENCE, beatMs: beatMs * CROWD_PATIENCE, crashDetection, through: world.through("crowd"), note });
  try {
    members.start();
    const tookMs = await members.untilJoined(JOIN_LIMIT_MS, signal);
    if (tookMs === undefined) complain(`of ${total} nodes that joined at once, ${members.joined} were members after ${JOIN_LIMIT_MS} ms`);
    else remark(`crowd: ${total} nodes joined in ${Math.ceil(tookMs / 5_000) * 5} s or less`);
    const seenMs = await fleet.until(() => size() >= total + fleet.nodes.length, JOIN_LIMIT_MS, signal);
    if (seenMs === undefined) complain(`after ${JOIN_LIMIT_MS} ms no view had all ${total + fleet.nodes.length} members; the largest had ${size()}`);
    await wait(scene, leaseMs);
    // One process dies, the others leave in good order.
    await members.kill(Math.floor(planned.pick * PROCESSES));
    await members.stop(JOIN_LIMIT_MS, complain);
    await fleet.until(() => size() <= fleet.nodes.length, JOIN_LIMIT_MS, signal);
    await officesFilled(scene);
  } finally {
    await members.close();
    await room.undo();
  }
};

/** What a great number of nodes does. */
export const CROWDS: Family = { crowd };
