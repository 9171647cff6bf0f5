import { nearest, TribuneError } from "../kernel/index.ts";
import type { ErrorCode } from "../kernel/index.ts";
import type { GroupReading } from "../store/index.ts";

/** The group has no election of that name; with the nearest one that it has. `code`: of the command, whose object is not there. */
export function unknownElection(code: ErrorCode, election: string, reading: GroupReading): TribuneError {
  const near = nearest(election, reading.elections.map((row) => row.election));
  return new TribuneError(code, `there is no election ${election} in this group`, { about: election, next: near === undefined ? "see 'tribune elections'" : `did you mean ${near}?` });
}

/** No live member has that name; with the nearest one that there is. */
export function unknownNode(node: string, reading: GroupReading): TribuneError {
  const alive = reading.presence.filter((row) => row.state === "alive").map((row) => row.node);
  const near = nearest(node, alive);
  const dead = reading.presence.some((row) => row.node === node && row.state === "dead");
  return new TribuneError("NODE_UNKNOWN", dead ? `${node} is dead, or has left` : `there is no member ${node}`, { about: node, next: near === undefined ? "see 'tribune members' for who is there" : `did you mean ${near}?` });
}
