import { setTimeout as pause } from "node:timers/promises";
import type { FencedRow } from "../../../src/testing/history/index.ts";
import type { WorkerStore } from "../../fleet/ledger.ts";
import type { FaultKind, StoreKind } from "../catalogue.ts";

/** Makes something undone. */
export type Undo = () => Promise<void>;

/** Told by a failover, as it goes. */
export interface FailoverSteps {
  /** From here on, what is committed may be lost. */
  lagging(): void;
  down(): void;
  up(): void;
}

/** One server of an ensemble. */
export interface StoreMember {
  /** Where it is in the world. */
  readonly place: string;
  /** SIGKILL. The answer starts it again, and resolves when it runs. */
  kill(): Promise<Undo>;
  /** SIGSTOP. The answer lets it go on. */
  stop(): Promise<Undo>;
}

/** Servers that keep one copy each, and elect one of them. */
export interface Ensemble {
  readonly members: readonly StoreMember[];
  /** Who leads. */
  leader(): Promise<StoreMember>;
  /** Resolves when one of these leads; answers which reign that is. */
  ledBy(members: readonly StoreMember[]): Promise<string>;
  /** Resolves when all members follow one leader; answers which reign that is. */
  whole(): Promise<string>;
}

/** What a member says of itself. */
export interface Standing {
  readonly leads: boolean;
  /** Another one for each election that was won; members that follow one leader name the same. */
  readonly reign: string;
}

/**
 * A store as those see it who run it: everything that can be done to one from outside. What a kind of store has not, or what cannot be done on this machine, is left out, and `lacks` says why.
 */
export interface StorePlace {
  readonly kind: StoreKind;
  /** Safe to print. */
  readonly label: string;
  readonly lacks: ReadonlyMap<FaultKind, string>;
  /** How a node reaches it at present. */
  storeOf(node: string): WorkerStore;
  /**
   * The fenced table, as it was each time a server was lost, and as it is at the end. Within each the order of `sequence` is that of the commits.
   */
  tables(): Promise<readonly (readonly FencedRow[])[]>;
  close(): Promise<void>;

  // ---- what can be done to it

  readonly ensemble?: Ensemble | undefined;

  /** As a power cut, of all servers. The answer starts it again. */
  crash?(): Promise<Undo>;
  /** In good order. The answer starts it again. */
  shutDown?(): Promise<Undo>;
  /** A replica falls behind for so long; then the server dies, and the replica takes its place. */
  failOver?(lagMs: number, steps: FailoverSteps): Promise<void>;
  /** Ends the sessions of one node. Answers how many. */
  terminateSessions?(node: string): Promise<number>;
  /** Stops the processes that serve one node. `blocksOthers`: one of them holds what others wait for. */
  freezeSessions?(node: string): Promise<{ readonly sessions: number; readonly blocksOthers: boolean; readonly undo: Undo }>;
  /** Locks one of Tribune's tables against everybody. */
  lockTable?(pick: number): Promise<{ readonly table: string; readonly undo: Undo }>;
  /** Takes all connections that the nodes' user may have, and those of one node as well. */
  fillConnections?(node: string): Promise<{ readonly taken: number; readonly undo: Undo }>;
  fillDisk?(): Promise<Undo>;
  /** Sets its clock to so much from the true time. */
  setClock?(offsetMs: number): Promise<void>;
  /** From now on, `storeOf` answers with a way through a pooler, until `leave`; once no node goes that way any more, `undo` ends the pooler. */
  usePooler?(): Promise<{ readonly leave: () => Promise<void>; readonly undo: Undo }>;
  /** Room for so many more connections; the answer takes it back. */
  makeRoom?(): Promise<{ readonly storeOf: () => WorkerStore; readonly undo: Undo }>;
  /** Locks the file against writers. */
  lockFile?(): Promise<Undo>;
  /** Whether nobody can write because a process that does not run holds the only write lock. */
  isStuck?(): Promise<boolean>;
}

/** A member has a leader within seconds, or never. */
const LEADER_TIMEOUT_MS = 60_000;

/** Nothing tells when somebody leads, so each is asked where it stands; who follows nobody, or says nothing, stands nowhere. */
export function ensembleWhere<Member extends StoreMember>(members: readonly Member[], standingOf: (member: Member) => Promise<Standing | undefined>): Ensemble {
  const leaderOf = async (among: readonly Member[]) =>
    await asked("no member of the ensemble leads", async () => {
      const standings = await Promise.all(among.map(async (member) => ({ member, standing: await standingOf(member) })));
      return standings.find(({ standing }) => standing?.leads === true);
    });
  return {
    members,
    leader: async () => (await leaderOf(members)).member,
    ledBy: async (some) => (await leaderOf(members.filter((member) => some.includes(member)))).standing?.reign ?? "",
    whole: async () =>
      await asked("the members of the ensemble do not follow one leader", async () => {
        const standings = await Promise.all(members.map(standingOf));
        const reigns = new Set(standings.map((standing) => standing?.reign));
        return reigns.size === 1 && standings.some((standing) => standing?.leads === true) ? standings[0]?.reign : undefined;
      }),
  };
}

async function asked<Answer>(otherwise: string, ask: () => Promise<Answer | undefined>): Promise<Answer> {
  for (const endMs = performance.now() + LEADER_TIMEOUT_MS; performance.now() < endMs; await pause(20)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
  throw new Error(otherwise);
}
