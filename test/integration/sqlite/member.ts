import { randomUUID } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { systemClock } from "../../../src/kernel/index.ts";
import type { BeatInput, BeatReply, Cursor, FenceHandle, OpenContext, StoreProvider, StoreSession } from "../../../src/store/index.ts";
import { sqlite } from "../../../src/store/sqlite/index.ts";
import { contextOf } from "./place.ts";

export const CALL = { deadlineMs: 10_000 };
export const NOTHING_SEEN: Cursor = { epoch: "", electionsVersion: 0, viewVersion: 0 };

/** Somebody who has joined, with a session of its own. */
export interface Joined {
  readonly provider: StoreProvider<DatabaseSync>;
  readonly session: StoreSession;
  readonly incarnation: string;
  readonly node: string;
  readonly epoch: string;
  beat(beat: number, over?: Partial<BeatInput>, deadlineMs?: number): Promise<BeatReply>;
  /** Makes the election, claims it and passes the fence. */
  lead(election: string): Promise<number>;
  handle(election: string, token: number, over?: Partial<FenceHandle>): FenceHandle;
}

export async function joined(path: string, over: Partial<OpenContext> = {}, provider = sqlite({ path })): Promise<Joined> {
  const session = await provider.open(contextOf(over));
  const incarnation = randomUUID();
  const node = `node-${incarnation}`;
  await session.join({ incarnation, node, leaseMs: 60_000, metadata: "{}", settings: "" }, CALL);
  const { epoch } = await session.look({ cursor: NOTHING_SEEN, watch: [] }, CALL);
  return {
    provider,
    session,
    incarnation,
    node,
    epoch,
    beat: async (beat, input = {}, deadlineMs = CALL.deadlineMs) =>
      await session.beat({ incarnation, beat, generation: 0, viewSeen: 0, cursor: NOTHING_SEEN, watch: [], ...input }, { deadlineMs }),
    async lead(election) {
      await session.createElection({ election }, CALL);
      const row = (await session.look({ cursor: NOTHING_SEEN, watch: [] }, CALL)).elections.find((each) => each.election === election);
      const claimed = await session.claim({ election, incarnation, node, expectedToken: row?.token ?? 0, epoch, tokenSeen: 0 }, CALL);
      const token = claimed?.token ?? 0;
      await session.passFence({ election, incarnation, token, epoch }, CALL);
      return token;
    },
    handle: (election, token, given = {}) => ({
      group: over.group ?? "g",
      election,
      token,
      leaseMs: 60_000,
      clock: over.clock ?? systemClock,
      mayAct: () => true,
      over: new AbortController().signal,
      ...given,
    }),
  };
}

/** Resolves when a turn of the event loop has passed, timers included. */
export function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
