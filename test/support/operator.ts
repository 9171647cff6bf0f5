import { seededRandom, silentLogger } from "../../src/kernel/index.ts";
import type { Clock } from "../../src/kernel/index.ts";
import type { StoreProvider, StoreSession } from "../../src/store/index.ts";

/** A session of somebody who is not a member. */
export function operatorSession(store: StoreProvider, clock: Clock, group = "world"): Promise<StoreSession> {
  return store.open({ group, node: "operator", clock, random: seededRandom(1), logger: silentLogger, deadlineMs: 1_000, statementLimitMs: 1_000, createSchema: false });
}
