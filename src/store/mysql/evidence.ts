import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { OpenContext, SessionEvidence } from "../index.ts";
import type { Connection, ServerFacts } from "./connection.ts";
import { wasAnswered } from "./errors.ts";

/** What a session got. `key`: what its beats are armed with; `undefined` if it holds nothing. `warning`: what a person could mend. */
export interface EvidenceFound {
  readonly evidence: SessionEvidence;
  readonly key: string | undefined;
  readonly warning: string | undefined;
}

/** What is known, or was asserted, about the way to the server. */
export interface Circumstances {
  readonly leaseMs: number;
  /** The user's word that nothing on the way ends a connection that is in use. */
  readonly assertedDirect: boolean;
  /** Whether the server sees this connection come from where we are. */
  readonly sameEnd: boolean;
}

/** Why no evidence is held; and what to do, if anything can be done. */
interface Objection {
  readonly why: string;
  readonly mend?: string;
}

/** A lock that nobody ever takes: what a session that holds none is armed with, since a name that is null is an error in MySQL. */
export const NO_LOCK = "tribune_none";

/** Ends the name of a bell. */
export const BELL = "_bell";

/**
 * The bell of a session that holds the lock `key`: a second lock, which those who attend wait for instead. It goes with the session as the first one does; and the session can let go of it for a moment, to
 * wake them when it has freed something in good order. Nothing is concluded from it but that a look may be worth while.
 */
export function bellOf(key: string): string {
  return `${key}${BELL}`;
}

/**
 * Takes the lock that tells others whether this session is there, if everything about the session shows that nothing else frees it within a lease. Part of
 * opening; never fails it but where the connection breaks.
 */
export async function takeEvidence(connection: Connection, context: OpenContext, { assertedDirect }: { readonly assertedDirect: boolean }): Promise<EvidenceFound> {
  if (context.evidence === undefined) return nothing({ why: "this session was not asked to hold any" });
  const { facts } = connection;
  const objection = objectionTo(facts, { leaseMs: context.evidence.leaseMs, assertedDirect, sameEnd: await isSameEnd(facts) });
  if (objection !== undefined) return nothing(objection);
  const key = `tribune_${context.random.id()}`;
  try {
    const [row] = await connection.rows("select get_lock(:key, 0) as got, is_used_lock(:key) as holder, connection_id() as id", { key });
    const [again] = await connection.rows("select is_used_lock(:key) as holder, connection_id() as id, get_lock(:bell, 0)", { key, bell: bellOf(key) });
    const here = [row, again].every((each) => Number(each?.["holder"]) === facts.connectionId && Number(each?.["id"]) === facts.connectionId);
    if (row?.["got"] !== "1" || !here) return nothing({ why: "the lock that was taken is not held by the connection that answers, so a proxy stands between", mend: PROXY });
  } catch (error) {
    if (!wasAnswered(error)) throw error;
    return nothing({ why: `the server refused the lock (${(error as Error).message})`, mend: "look at the server's log" });
  }
  return { evidence: { held: true, why: "the presence lock is held on a direct session" }, key, warning: undefined };
}

const PROXY = "connect to the server directly";

/** What speaks against holding evidence on a connection of which the server says `facts`. A decision only. */
export function objectionTo(facts: ServerFacts, { leaseMs, assertedDirect, sameEnd }: Circumstances): Objection | undefined {
  if (facts.galera) return { why: "the server is a node of a Galera cluster, which knows locks of this kind only on the node itself", mend: "use leases alone there (crashDetection 'lease')" };
  if (facts.multiPrimary) return { why: "several servers of the replication group take writes, and each knows only its own locks", mend: "use a group with a single primary" };
  if (!facts.greeted) return { why: "a proxy stands between, which lends out its connections to the server", mend: PROXY };
  if (!sameEnd && !assertedDirect) {
    return { why: "the server sees another address than ours, so a proxy or NAT stands between", mend: "connect to the server directly, or set direct: true if what stands between never ends a connection that is in use" };
  }
  if (facts.comesFrom !== undefined && facts.keepAliveMs !== 0 && facts.keepAliveMs < leaseMs) {
    return { why: `the server gives up a silent connection after ${facts.keepAliveMs} ms, sooner than a lease of ${leaseMs} ms is over`, mend: "raise tcp_keepalive_time, tcp_keepalive_interval or tcp_keepalive_probes" };
  }
  return undefined;
}

/** Whether the server sees this connection come from where we are. It may name our machine instead of giving its address, if it resolves names. */
export async function isSameEnd({ seenFrom, comesFrom }: ServerFacts): Promise<boolean> {
  if (comesFrom === undefined) return seenFrom === "localhost"; // a socket file
  const colon = seenFrom.lastIndexOf(":");
  const [host, port] = [seenFrom.slice(0, colon), Number(seenFrom.slice(colon + 1))];
  if (colon === -1 || port !== comesFrom.port) return false;
  if (isIP(host) !== 0) return host.replace(/^::ffff:/, "") === comesFrom.address;
  const addresses = await lookup(host, { all: true }).catch(() => []);
  return addresses.some(({ address }) => address === comesFrom.address);
}

function nothing({ why, mend }: Objection): EvidenceFound {
  const warning = mend === undefined ? undefined : `This session holds no evidence of life: ${why}. If this process dies, that is noticed only when its lease is over; ${mend}.`;
  return { evidence: { held: false, why }, key: undefined, warning };
}
