import type { FaultKind } from "../catalogue.ts";
import type { PlannedFault } from "../plan.ts";
import { CLOCKS } from "./clocks.ts";
import { CROWDS } from "./crowd.ts";
import { MEMBERS } from "./members.ts";
import { NETWORK } from "./network.ts";
import { PROCESSES } from "./processes.ts";
import type { Scene } from "./scene.ts";
import { SERVER } from "./server.ts";
import { SESSIONS } from "./sessions.ts";

const FAMILIES = { ...PROCESSES, ...NETWORK, ...SESSIONS, ...SERVER, ...MEMBERS, ...CLOCKS, ...CROWDS };

/** What is done for a kind of fault; `undefined` if nobody has said. */
export function injectorOf(kind: FaultKind): ((scene: Scene, planned: PlannedFault) => Promise<void>) | undefined {
  return FAMILIES[kind];
}
