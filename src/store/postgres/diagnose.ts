import { clockFinding, connectionsLeft, lengthOf, roundTripFinding, roundTrips, SCHEMA_VERSION } from "../index.ts";
import type { DiagnoseContext, Finding, InstalledSchema } from "../index.ts";
import type { Connection, Row, ServerFacts, SocketEnd } from "./connection.ts";
import { settingMs } from "./evidence.ts";
import { tablesIn } from "./statements.ts";

const NOW = "select (extract(epoch from clock_timestamp()) * 1000)::double precision::text as now_ms";

/** Settings and rights, as this role sees them. What others do is counted by database: who they are is not shown to everybody. */
const LOOK = `select current_user as role, current_database() as database,
  host(inet_client_addr()) as address, inet_client_port() as port,
  current_setting('tcp_keepalives_idle') as keepalives_idle, current_setting('tcp_keepalives_interval') as keepalives_interval,
  current_setting('tcp_keepalives_count') as keepalives_count, current_setting('tcp_user_timeout') as user_timeout,
  coalesce(current_setting('idle_session_timeout', true), '0') as idle_session_timeout,
  current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
  (select s.reset_val from pg_settings s where s.name = 'synchronous_commit') as synchronous_commit, current_setting('synchronous_standby_names') as standby_names,
  (select count(*) from pg_stat_replication) as standbys,
  current_setting('max_connections') as max_connections, current_setting('superuser_reserved_connections') as kept,
  coalesce(current_setting('reserved_connections', true), '0') as kept_more,
  (select sum(d.numbackends) from pg_stat_database d) as used,
  (select r.rolconnlimit from pg_roles r where r.rolname = current_user) as role_limit,
  (select count(*) from pg_stat_activity a where a.usename = current_user) as role_used,
  (select d.datconnlimit from pg_database d where d.datname = current_database()) as database_limit,
  (select d.numbackends from pg_stat_database d where d.datname = current_database()) as database_used,
  has_database_privilege(current_database(), 'create') as may_make_schema,
  has_function_privilege('pg_catalog.pg_try_advisory_lock(integer, integer)', 'execute') as may_lock,
  has_function_privilege('pg_catalog.pg_try_advisory_xact_lock_shared(integer, integer)', 'execute') as may_probe`;

/** What this role may do to the tables that are there. Tables are altered by whoever owns them. */
const TABLES = `select c.relname as name, pg_has_role(c.relowner, 'usage') as owns,
  has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert') and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete') as writes
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind in ('r', 'p') and c.relname = any ($2::text[]) order by c.relname`;

const SCHEMA_RIGHTS = "select has_schema_privilege(n.oid, 'usage') as usage, has_schema_privilege(n.oid, 'create') as makes from pg_namespace n where n.nspname = $1";

/** What a diagnosis is about besides the connection. */
export interface Subject {
  readonly schema: string;
  /** The user's word that what stands between does no harm. */
  readonly assertedDirect: boolean;
  /** `undefined`: this role may not even ask. */
  readonly installed: InstalledSchema | undefined;
}

/** Looks at server, way and role on a connection of the diagnosis's own. Changes nothing. */
export async function diagnose(connection: Connection, context: DiagnoseContext, { schema, assertedDirect, installed }: Subject): Promise<readonly Finding[]> {
  const { clock, leaseMs, nodes } = context;
  const { tookMs, reading } = await roundTrips(clock, async () => Number((await connection.query(NOW))[0]?.["now_ms"]));
  const [row = {}] = await connection.query(LOOK);
  const [rights] = await connection.query(SCHEMA_RIGHTS, [schema]);
  const tables = rights?.["usage"] === "t" ? await connection.query(TABLES, [schema, `{${tableNames(schema).join(",")}}`]) : [];
  return [
    { check: "server", level: "ok", found: `PostgreSQL ${connection.facts.version}; 12 is the oldest that is supported` },
    roundTripFinding(tookMs, leaseMs),
    clockFinding(reading),
    wayFinding(connection.facts, row, connection.socketEnd, assertedDirect),
    writeFinding(row, rights, tables, schema, installed),
    migrateFinding(row, rights, tables, schema, installed),
    evidenceRightsFinding(row),
    keepAliveFinding(row, leaseMs),
    durabilityFinding(row),
    connectionsFinding(row, nodes),
  ];
}

/** Who stands between, and what that costs. */
export function wayFinding({ direct }: Pick<ServerFacts, "direct">, row: Row, end: SocketEnd | undefined, assertedDirect: boolean): Finding {
  const check = "way";
  if (!direct) {
    return {
      check,
      level: "warn",
      found: "a pooler stands between, which lends out its server connections: no hints (changes are seen with the next beat), no evidence of death (a crash is noticed when the lease is over), nothing prepared (a beat costs the server several times as much)",
      next: "connect to the server directly, or to a port of the pooler that keeps sessions and tells the server's process number; your own pool may stay behind the pooler",
    };
  }
  if (end === undefined) return { check, level: assertedDirect ? "ok" : "warn", found: "the driver does not show its socket, so what stands between is not known", ...(assertedDirect ? {} : { next: "use the driver's JavaScript client, or set direct: true if nothing stands between" }) };
  if (row["address"] === null || row["address"] === undefined) return { check, level: "ok", found: "direct, through a Unix-domain socket" };
  const same = end.address === row["address"].replace(/%.*$/, "") && end.port === row["port"];
  if (same) return { check, level: "ok", found: `direct, from ${row["address"]}` };
  const found = `the server sees this connection come from ${row["address"]}, not from here: a proxy or an address translation stands between`;
  if (assertedDirect) return { check, level: "ok", found: `${found}; direct: true says that it does no harm` };
  return { check, level: "warn", found: `${found}; no evidence of death through it`, next: "connect directly, or set direct: true if what stands between never ends a connection that is in use" };
}

function writeFinding(row: Row, rights: Row | undefined, tables: readonly Row[], schema: string, installed: InstalledSchema | undefined): Finding {
  const check = "write";
  const role = String(row["role"]);
  if (rights === undefined || installed?.version === 0) return { check, level: "ok", found: `there are no tables in schema ${schema} yet that ${role} could write to` };
  const grants = `grant usage on schema ${schema} to ${role}; grant select, insert, update, delete on all tables in schema ${schema} to ${role}`;
  if (rights["usage"] !== "t") return { check, level: "fail", found: `${role} may not use the schema ${schema}`, next: grants };
  const missing = tables.filter((table) => table["writes"] !== "t").map((table) => String(table["name"]));
  if (missing.length > 0) return { check, level: "fail", found: `${role} may not read and write ${missing.join(", ")} in schema ${schema}`, next: grants };
  return { check, level: "ok", found: `${role} may read and write all ${tables.length} tables in schema ${schema}` };
}

function migrateFinding(row: Row, rights: Row | undefined, tables: readonly Row[], schema: string, installed: InstalledSchema | undefined): Finding {
  const check = "migrate";
  const role = String(row["role"]);
  const none = installed?.version === 0;
  const may = none ? (rights === undefined ? row["may_make_schema"] === "t" : rights["makes"] === "t") : rights?.["makes"] === "t" && tables.every((table) => table["owns"] === "t");
  const needed = installed !== undefined && installed.version < SCHEMA_VERSION;
  if (may) return { check, level: "ok", found: `${role} may make the schema and bring it up to date` };
  if (!needed) return { check, level: "ok", found: `${role} may not change the schema, and need not now; start nodes with createSchema: false` };
  return {
    check,
    level: none ? "fail" : "warn",
    found: `${role} may not ${none ? "make" : "change"} the schema, and version ${SCHEMA_VERSION} is needed`,
    next: `run 'tribune migrate' with a role that may, or have somebody run what 'tribune migrate --print' shows`,
  };
}

function evidenceRightsFinding(row: Row): Finding {
  const check = "evidence-rights";
  if (row["may_lock"] === "t" && row["may_probe"] === "t") return { check, level: "ok", found: "this role may take advisory locks, which evidence of death is made of" };
  return {
    check,
    level: "warn",
    found: "this role may not execute the functions of advisory locks, which evidence of death is made of",
    next: "grant execute on the functions pg_try_advisory_lock(integer, integer) and pg_try_advisory_xact_lock_shared(integer, integer) to it",
  };
}

function keepAliveFinding(row: Row, leaseMs: number): Finding {
  const check = "keep-alive";
  const idleMs = settingMs(row["idle_session_timeout"], 1);
  if (row["address"] === null || row["address"] === undefined) return { check, level: "ok", found: "a Unix-domain socket needs none" };
  const [idle, interval, count, userTimeout] = [settingMs(row["keepalives_idle"], 1_000), settingMs(row["keepalives_interval"], 1_000), Number(row["keepalives_count"] ?? 0), settingMs(row["user_timeout"], 1)];
  const totalMs = idle + interval * count;
  const found = `the server gives up a silent connection after ${lengthOf(totalMs)} (${lengthOf(idle)} + ${count} × ${lengthOf(interval)})${userTimeout === 0 ? "" : `, an unanswered one after ${lengthOf(userTimeout)}`}; idle_session_timeout is ${idleMs === 0 ? "off" : lengthOf(idleMs)}`;
  if (idleMs !== 0 || (totalMs !== 0 && totalMs < leaseMs) || (userTimeout !== 0 && userTimeout < leaseMs)) {
    return { check, level: "warn", found: `${found}; that may end a session before its lease of ${lengthOf(leaseMs)} is over`, next: "raise tcp_keepalives_idle or tcp_user_timeout for this role, and set its idle_session_timeout to 0" };
  }
  return { check, level: "ok", found };
}

function durabilityFinding(row: Row): Finding {
  const check = "durability";
  const standbys = Number(row["standbys"] ?? 0);
  const synchronous = (row["standby_names"] ?? "") !== "";
  const replicas =
    standbys === 0 ? "no standby is connected" : `${standbys} standby${standbys === 1 ? "" : "s"} connected, ${synchronous ? "replication is synchronous: a failover to a synchronous one loses nothing" : "replication is asynchronous: a failover may lose the last commits (tokens grow all the same)"}`;
  const found = `fsync ${row["fsync"]}, full_page_writes ${row["full_page_writes"]}, synchronous_commit ${row["synchronous_commit"]} (Tribune's own statements switch it on); ${replicas}`;
  if (row["fsync"] !== "off" && row["full_page_writes"] !== "off") return { check, level: "ok", found };
  return { check, level: "warn", found: `${found}; a crash of the server may lose commits or damage the database, and each of its restarts counts as a failover`, next: "switch fsync and full_page_writes on" };
}

/** How many connections are left, by the tightest of the limits, against what the nodes may still open. */
export function connectionsFinding(row: Row, nodes: number): Finding {
  const n = (name: string) => Number(row[name] ?? 0);
  const kept = n("kept") + n("kept_more");
  return connectionsLeft(
    [
      { what: "the server", limit: n("max_connections") - kept, used: n("used"), of: `${n("max_connections")}, ${kept} of them kept for superusers` },
      ...(n("role_limit") >= 0 ? [{ what: `the role ${row["role"]}`, limit: n("role_limit"), used: n("role_used") }] : []),
      ...(n("database_limit") >= 0 ? [{ what: `the database ${row["database"]}`, limit: n("database_limit"), used: n("database_used") }] : []),
    ],
    { nodes, next: "raise the limit (max_connections, or that of the role or database)" },
  );
}

function tableNames(schema: string): readonly string[] {
  return Object.keys(tablesIn(schema));
}
