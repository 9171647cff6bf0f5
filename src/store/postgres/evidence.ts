import type { OpenContext, SessionEvidence } from "../index.ts";
import type { Connection, Row, SocketEnd } from "./connection.ts";
import { wasAnswered } from "./errors.ts";
import { EVIDENCE_CLASS } from "./statements.ts";

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
  /** A session of this provider turned out to be served by changing server processes. */
  readonly moved: boolean;
}

/** Why no evidence is held; and what to do, if anything can be done. */
interface Objection {
  readonly why: string;
  readonly mend?: string;
}

/** One that is taken is chance; more than a few are not. */
const KEYS_TRIED = 5;

const SETTINGS = `select host(inet_client_addr()) as address, inet_client_port() as port,
  current_setting('tcp_keepalives_idle') as keepalives_idle, current_setting('tcp_keepalives_interval') as keepalives_interval,
  current_setting('tcp_keepalives_count') as keepalives_count, current_setting('tcp_user_timeout') as user_timeout,
  coalesce(current_setting('idle_session_timeout', true), '0') as idle_session_timeout,
  has_function_privilege('pg_catalog.pg_try_advisory_lock(integer, integer)', 'execute') as may_lock`;

const LOCK = "select pg_try_advisory_lock($1::integer, $2::integer) as taken";

/** Whether the lock is where it was taken: only there can it be had once more, and given back once. Not by a look at `pg_locks`, which stops everybody's locking for as long as it reads all of them. */
const LOCK_IS_HERE = `select case when pg_try_advisory_lock($1::integer, $2::integer) then pg_advisory_unlock($1::integer, $2::integer) else false end as here, pg_backend_pid() as pid`;

/**
 * Takes the lock that tells others whether this session is there, if everything about the session shows that nothing else frees it within a lease. Part of
 * opening; never fails it but where the connection breaks.
 */
export async function takeEvidence(connection: Connection, context: OpenContext, circumstances: Omit<Circumstances, "leaseMs">): Promise<EvidenceFound> {
  if (context.evidence === undefined) return nothing({ why: "this session was not asked to hold any" });
  const all = { ...circumstances, leaseMs: context.evidence.leaseMs };
  try {
    return await take(connection, context, all);
  } catch (error) {
    if (!wasAnswered(error)) throw error;
    return nothing({ why: `the server refused what it takes (${(error as Error).message})`, mend: "look at the privileges of this role" });
  }
}

async function take(connection: Connection, { random }: OpenContext, circumstances: Circumstances): Promise<EvidenceFound> {
  const early = objectionToWay(connection.facts.direct, circumstances);
  if (early !== undefined) return nothing(early);
  const [settings = {}] = await connection.query(SETTINGS);
  const objection = objectionTo(settings, connection.socketEnd, circumstances);
  if (objection !== undefined) return nothing(objection);
  await outwait(connection, settings, circumstances.leaseMs);
  for (let tried = 0; tried < KEYS_TRIED; tried++) {
    const key = String(Number.parseInt(random.id().slice(0, 8), 16) | 0);
    const [lock] = await connection.query(LOCK, [EVIDENCE_CLASS, key]);
    if (lock?.["taken"] !== "t") continue; // somebody has that number, or asks for it at this very moment
    const [found] = await connection.query(LOCK_IS_HERE, [EVIDENCE_CLASS, key]);
    if (found?.["here"] !== "t" || Number(found["pid"]) !== connection.facts.pid) return nothing({ why: "the lock that was taken is not held by the server process that answers, so a pooler stands between", mend: POOLER });
    return { evidence: { held: true, why: "the presence lock is held on a direct session" }, key, warning: undefined };
  }
  return nothing({ why: `the lock could not be had under any of ${KEYS_TRIED} numbers`, mend: "look who holds so many advisory locks in this database" });
}

/**
 * While bytes are on their way to a process that is cut off, it is not keep-alives that count but how often TCP repeats itself, which is a setting of the server's machine
 * that nobody can see from here (Linux: tcp_retries2). A user timeout takes its place (tcp(7)).
 */
async function outwait(connection: Connection, settings: Row, leaseMs: number): Promise<void> {
  if (settings["address"] === null || !connection.facts.linux || settingMs(settings["user_timeout"], 1) !== 0) return;
  await connection.query("select set_config('tcp_user_timeout', $1, false)", [String(Math.ceil(2 * leaseMs))]);
}

const POOLER = "connect to the server directly";

function objectionToWay(direct: boolean, { moved }: Circumstances): Objection | undefined {
  if (!direct) return { why: "a pooler stands between, which lends out its server connections", mend: POOLER };
  if (moved) return { why: "an earlier session was served by changing server processes, so a pooler stands between", mend: POOLER };
  return undefined;
}

/** What speaks against holding evidence on a connection of which the server says `settings`, seen from here as `end`. A decision only. */
export function objectionTo(settings: Row, end: SocketEnd | undefined, { leaseMs, assertedDirect }: Circumstances): Objection | undefined {
  if (!assertedDirect) {
    if (end === undefined) return { why: "the driver does not show its socket, so what stands between is not known", mend: "use the driver's JavaScript client, or set direct: true if nothing stands between" };
    if (end.address !== (settings["address"]?.replace(/%.*$/, "") ?? undefined) || end.port !== (settings["port"] ?? undefined)) {
      return { why: "the server sees another address than ours, so a proxy or NAT stands between", mend: "connect to the server directly, or set direct: true if what stands between never ends a connection that is in use" };
    }
  }
  if (settings["may_lock"] !== "t") return { why: "this role may not execute pg_try_advisory_lock", mend: "grant execute on the functions pg_try_advisory_lock and pg_try_advisory_xact_lock_shared to it" };
  const idleSessionMs = settingMs(settings["idle_session_timeout"], 1);
  if (idleSessionMs !== 0) return { why: `the server ends a session that is idle (idle_session_timeout is ${settings["idle_session_timeout"]})`, mend: "set it to 0 for this role" };
  if (settings["address"] === null) return undefined; // a Unix-domain socket knows neither of the following
  const keepAliveMs = settingMs(settings["keepalives_idle"], 1_000) + settingMs(settings["keepalives_interval"], 1_000) * Number(settings["keepalives_count"] ?? 0);
  if (keepAliveMs !== 0 && keepAliveMs < leaseMs) {
    return { why: `the server gives up a silent connection after ${keepAliveMs} ms, sooner than a lease of ${leaseMs} ms is over`, mend: "raise tcp_keepalives_idle, tcp_keepalives_interval or tcp_keepalives_count for this role" };
  }
  const userTimeoutMs = settingMs(settings["user_timeout"], 1);
  if (userTimeoutMs !== 0 && userTimeoutMs < leaseMs) {
    return { why: `the server gives up an unanswered connection after ${userTimeoutMs} ms (tcp_user_timeout), sooner than a lease of ${leaseMs} ms is over`, mend: "raise tcp_user_timeout for this role, or set it to 0" };
  }
  return undefined;
}

/** As the server shows a setting: bare in its unit, or with one: `2h`, `75s`, `200ms`. */
export function settingMs(text: string | null | undefined, unitMs: number): number {
  const [, number = "0", unit = ""] = /^(\d+)\s*(ms|s|min|h|d)?$/.exec(text ?? "0") ?? [];
  return Number(number) * (UNIT_MS[unit] ?? unitMs);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

function nothing({ why, mend }: Objection): EvidenceFound {
  const warning = mend === undefined ? undefined : `This session holds no evidence of life: ${why}. If this process dies, that is noticed only when its lease is over; ${mend}.`;
  return { evidence: { held: false, why }, key: undefined, warning };
}
