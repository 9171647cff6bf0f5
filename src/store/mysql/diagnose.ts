import { clockFinding, connectionsLeft, lengthOf, roundTripFinding, roundTrips, SCHEMA_VERSION } from "../index.ts";
import type { DiagnoseContext, Finding, InstalledSchema } from "../index.ts";
import { OLDEST_MARIADB, OLDEST_MYSQL } from "./connection.ts";
import type { Connection, ServerFacts } from "./connection.ts";
import { DUPLICATE_COLUMN, errorNumber, mapMysqlError, NO_SUCH_TABLE, TABLE_EXISTS } from "./errors.ts";
import { isSameEnd } from "./evidence.ts";
import { tablesIn } from "./statements.ts";
import type { TablePlace } from "./statements.ts";

const NOW = "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1000 as now_ms";

/** What every account is told. The process list shows an account that has no privilege for more only its own connections, which is what is counted. */
const ACCOUNT = `select current_user() as account, @@session.max_user_connections as account_limit,
  (select count(*) from information_schema.processlist p where p.user = substring_index(user(), '@', 1)) as account_used`;

const VARIABLES = ["max_connections", "wait_timeout", "innodb_flush_log_at_trx_commit", "innodb_doublewrite", "log_bin", "sync_binlog", "group_replication_group_name"] as const;

/** Those about replicas are MariaDB's, or there only with a plugin. */
const STATUS = [
  "Threads_connected", "Slaves_connected", "Slave_running", "Rpl_semi_sync_master_status", "Rpl_semi_sync_source_status", "Rpl_semi_sync_master_clients", "Rpl_semi_sync_source_clients", "wsrep_cluster_size",
] as const;

/** What a server answered, by the names in `VARIABLES` and `STATUS` and the columns of `ACCOUNT`. What it does not know is not there. */
export type Look = ReadonlyMap<string, string>;

/** What a diagnosis is about besides the connection. */
export interface Subject extends TablePlace {
  /** The user's word that what stands between does no harm. */
  readonly assertedDirect: boolean;
  /** `undefined`: this account may not even ask. */
  readonly installed: InstalledSchema | undefined;
}

/** What an account may do. */
export interface Rights {
  readonly account: string;
  /** The tables that it cannot read and write, although there is a schema; without the prefix. */
  readonly denied: readonly string[];
  /** Whether it may create tables; `undefined`: that was not tried. */
  readonly creates: boolean | undefined;
}

/** Looks at server, way and account on a connection of the diagnosis's own. Changes nothing. */
export async function diagnose(connection: Connection, context: DiagnoseContext, subject: Subject): Promise<readonly Finding[]> {
  const { clock, leaseMs, nodes } = context;
  const { facts } = connection;
  const { tookMs, reading } = await roundTrips(clock, async () => Number((await connection.rows(NOW))[0]?.["now_ms"]));
  const look = await lookAt(connection);
  const rights = await rightsOn(connection, subject, look.get("account") ?? "");
  return [
    serverFinding(facts),
    roundTripFinding(tookMs, leaseMs),
    clockFinding(reading),
    wayFinding(facts, { sameEnd: await isSameEnd(facts), assertedDirect: subject.assertedDirect }),
    topologyFinding(facts, look),
    writeFinding(rights, subject),
    migrateFinding(rights, subject),
    keepAliveFinding(facts, look, leaseMs),
    durabilityFinding(facts, look),
    connectionsFinding(look, nodes),
  ];
}

async function lookAt(connection: Connection): Promise<Look> {
  const [account = {}] = await connection.rows(ACCOUNT);
  const [variables = [], status = []] = await connection.run("show global variables where variable_name in (:variables); show global status where variable_name in (:status)", { variables: VARIABLES, status: STATUS });
  return new Map([...Object.entries(account), ...[...variables, ...status].map((row) => [row["Variable_name"] ?? "", row["Value"]] as const)].map(([name, value]) => [name, value ?? ""]));
}

// ---- rights

/**
 * What the account may do is found by trying, without effect: grants come by accounts, roles, patterns and, in MySQL, partial revokes, and the server alone adds them up. Of a statement that is only
 * explained it asks for the privileges of running it (manuals of both, "EXPLAIN"). One that creates a table is never run to its end: it names a column twice, which the
 * server finds after it has looked at privileges.
 */
async function rightsOn(connection: Connection, place: Subject, account: string): Promise<Rights> {
  if (place.installed === undefined) return { account, denied: [], creates: false };
  const all = tablesIn(place);
  const names = Object.keys(all) as (keyof typeof all)[];
  const explained = (name: keyof typeof all) => {
    const [table, column] = [all[name], name === "meta" ? "one" : "grp"];
    return `explain insert into ${table} select * from ${table}; explain update ${table} set ${column} = ${column}; explain delete from ${table}; do 0`;
  };
  const there = place.installed.version > 0;
  const denied: string[] = [];
  const mayAll = !there || (await isAllowed(connection, names.map(explained).join("; ")));
  if (!mayAll) for (const name of names) if (!(await isAllowed(connection, explained(name)))) denied.push(name);
  // A cluster would carry out the attempt on each of its nodes.
  if (connection.facts.galera) return { account, denied, creates: undefined };
  // Of a name that nobody uses: a statement of this kind keeps others off the table for a moment.
  const wanted = there ? [`\`${place.database}\`.\`${place.prefix}doctor\``] : Object.values(all);
  let creates = true;
  for (const table of wanted) creates &&= await isAllowed(connection, `create table ${table} (one int primary key, one int); do 0`);
  return { account, denied, creates };
}

/** Whether the server did not refuse the text for lack of a privilege, or of the table itself. */
async function isAllowed(connection: Connection, text: string): Promise<boolean> {
  try {
    await connection.run(text);
    return true;
  } catch (error) {
    const number = errorNumber(error);
    if (number === DUPLICATE_COLUMN || number === TABLE_EXISTS) return true;
    if (number === NO_SUCH_TABLE || mapMysqlError(error, "looking at privileges", "").code === "STORE_PERMISSION_DENIED") return false;
    throw error;
  }
}

// ---- findings

/** Which server it is, and whether this code was ever run on one. */
export function serverFinding({ version, mariadb }: Pick<ServerFacts, "version" | "mariadb">): Finding {
  const check = "server";
  if (mariadb) return { check, level: "ok", found: `MariaDB ${version}; ${OLDEST_MARIADB.join(".")} is the oldest that is supported` };
  return {
    check,
    level: "warn",
    found: `MySQL ${version}; ${OLDEST_MYSQL.join(".")} is the oldest that is supported, and this version of Tribune was tested on MariaDB only`,
    next: "run the conformance suite of tribune/testing on such a server before you rely on it",
  };
}

/** Who stands between, and what that costs. */
export function wayFinding({ greeted, comesFrom, seenFrom }: Pick<ServerFacts, "greeted" | "comesFrom" | "seenFrom">, { sameEnd, assertedDirect }: { readonly sameEnd: boolean; readonly assertedDirect: boolean }): Finding {
  const check = "way";
  if (!greeted) {
    return {
      check,
      level: "warn",
      found: "a proxy stands between, which lends out its connections to the server: no evidence of death (a crash is noticed when the lease is over), and a session ends whenever another connection is lent to it",
      next: "connect to the server directly; your own pool may stay behind the proxy",
    };
  }
  if (sameEnd) return { check, level: "ok", found: comesFrom === undefined ? "direct, through a socket file" : `direct, from ${comesFrom.address}` };
  const found = `the server sees this connection come from ${seenFrom}, not from here: a proxy or an address translation stands between`;
  if (assertedDirect) return { check, level: "ok", found: `${found}; direct: true says that it does no harm` };
  return { check, level: "warn", found: `${found}; no evidence of death through it`, next: "connect directly, or set direct: true if what stands between never ends a connection that is in use" };
}

/** Whether the server is one of several that take writes. */
export function topologyFinding({ galera, multiPrimary }: Pick<ServerFacts, "galera" | "multiPrimary">, look: Look): Finding {
  const check = "topology";
  if (galera) {
    return {
      check,
      level: "warn",
      found: `a node of a Galera cluster of ${look.get("wsrep_cluster_size") ?? "several"}: no evidence of death, and each change to another of its nodes counts as a failover`,
      next: "point every member at the same node of it, and set crashDetection: \"lease\"",
    };
  }
  if (multiPrimary) {
    return {
      check,
      level: "warn",
      found: "a member of a replication group in which several servers take writes: no evidence of death, and each change to another of them counts as a failover",
      next: "use a group with a single primary, or point every member at the same server of it",
    };
  }
  if (look.get("Slave_running") === "ON") {
    return { check, level: "warn", found: "the server is a replica of another one, and takes writes", next: "point nodes at the primary, and set replicas to read_only" };
  }
  return { check, level: "ok", found: (look.get("group_replication_group_name") ?? "") === "" ? "no cluster whose servers all take writes" : "the primary of a replication group, which is the only one that takes writes" };
}

/** Whether the account may do what a node does. */
export function writeFinding({ account, denied }: Rights, { database, prefix, installed }: Subject): Finding {
  const check = "write";
  const grant = (table: string) => `grant select, insert, update, delete on \`${database}\`.\`${prefix}${table}\` to ${quoted(account)}`;
  if (installed === undefined) {
    return { check, level: "fail", found: `${account} may not read the tables ${prefix}… in ${database}`, next: `run '${grant("meta")}', and the same for each of the others` };
  }
  if (installed.version === 0) return { check, level: "ok", found: `there are no tables ${prefix}… in ${database} yet that ${account} could see` };
  const [first] = denied;
  if (first === undefined) return { check, level: "ok", found: `${account} may read and write all ${Object.keys(tablesIn({ database, prefix })).length} tables ${prefix}… in ${database}` };
  return {
    check,
    level: "fail",
    found: `${account} cannot read and write ${denied.map((table) => prefix + table).join(", ")} in ${database}`,
    next: `run '${grant(first)}'${denied.length === 1 ? "" : ", and the same for each of the others"}`,
  };
}

/** Whether the account could make the schema, where that is needed. */
export function migrateFinding({ account, creates }: Rights, { database, installed }: Subject): Finding {
  const check = "migrate";
  const none = installed?.version === 0;
  const needed = installed !== undefined && installed.version < SCHEMA_VERSION;
  if (creates === undefined) return { check, level: "ok", found: `whether ${account} may make the schema cannot be tried on a Galera cluster without its other nodes taking part` };
  if (creates) return { check, level: "ok", found: `${account} may create tables in ${database}, and so make the schema` };
  if (!needed) return { check, level: "ok", found: `${account} may not make the schema, and need not now; start nodes with createSchema: false` };
  return {
    check,
    level: none ? "fail" : "warn",
    found: `${account} may not create tables in ${database}, and version ${SCHEMA_VERSION} of the schema is needed; if it is there, ${account} may not see it`,
    next: "run 'tribune migrate' with an account that may, or have somebody run what 'tribune migrate --print' shows; then grant select, insert, update and delete on the tables",
  };
}

/** What ends a silent connection before its lease is over. */
export function keepAliveFinding({ comesFrom, keepAliveMs }: Pick<ServerFacts, "comesFrom" | "keepAliveMs">, look: Look, leaseMs: number): Finding {
  const check = "keep-alive";
  const idle = `wait_timeout is ${lengthOf(Number(look.get("wait_timeout") ?? 0) * 1_000)} (a node's own connection sets its own)`;
  if (comesFrom === undefined) return { check, level: "ok", found: `a socket file needs none; ${idle}` };
  if (keepAliveMs === 0) return { check, level: "ok", found: `the server leaves it to its operating system when a silent connection is given up, which is hours mostly; ${idle}` };
  const found = `the server gives up a silent connection after ${lengthOf(keepAliveMs)}; ${idle}`;
  if (keepAliveMs >= leaseMs) return { check, level: "ok", found };
  return { check, level: "warn", found: `${found}; that may end a session before its lease of ${lengthOf(leaseMs)} is over`, next: "raise tcp_keepalive_time, tcp_keepalive_interval or tcp_keepalive_probes" };
}

/** What a crash, or a failover, may lose. */
export function durabilityFinding({ lasting }: Pick<ServerFacts, "lasting">, look: Look): Finding {
  const check = "durability";
  const logs = look.get("log_bin") === "ON";
  const found = `innodb_flush_log_at_trx_commit ${look.get("innodb_flush_log_at_trx_commit")}, ${logs ? `sync_binlog ${look.get("sync_binlog")}` : "no binary log"}, innodb_doublewrite ${look.get("innodb_doublewrite")}; ${replicasIn(look)}`;
  if (!lasting) {
    return {
      check,
      level: "warn",
      found: `${found}; a crash of the server may lose commits that it has answered, so each of its restarts counts as a failover, which costs a lease`,
      next: `set innodb_flush_log_at_trx_commit${logs ? " and sync_binlog" : ""} to 1`,
    };
  }
  if (look.get("innodb_doublewrite") !== "OFF") return { check, level: "ok", found };
  return { check, level: "warn", found: `${found}; a crash of the machine may damage the database`, next: "switch innodb_doublewrite on, unless the file system writes whole pages or nothing" };
}

function replicasIn(look: Look): string {
  const synchronous = ["Rpl_semi_sync_master_status", "Rpl_semi_sync_source_status"].some((name) => look.get(name) === "ON");
  const connected = look.get("Slaves_connected") ?? (synchronous ? (look.get("Rpl_semi_sync_source_clients") ?? look.get("Rpl_semi_sync_master_clients")) : undefined);
  if (connected === "0") return "no replica is connected";
  const how = synchronous ? "replication is semi-synchronous: a failover to a replica that confirmed loses nothing" : "replication is asynchronous: a failover may lose the last commits (tokens grow all the same)";
  if (connected === undefined) return `the server does not tell how many replicas it has; where there are any, ${how}`;
  return `${connected} replica${connected === "1" ? "" : "s"} connected, ${how}`;
}

/** How many connections are left, by the tightest of the limits, against what the nodes may still open. */
export function connectionsFinding(look: Look, nodes: number): Finding {
  const n = (name: string) => Number(look.get(name) ?? 0);
  return connectionsLeft(
    [
      { what: "the server", limit: n("max_connections"), used: n("Threads_connected") },
      ...(n("account_limit") > 0 ? [{ what: `the account ${look.get("account")}`, limit: n("account_limit"), used: n("account_used") }] : []),
    ],
    { nodes, next: "raise the limit (max_connections, or max_user_connections of the account)" },
  );
}

/** As it stands in a statement. */
function quoted(account: string): string {
  const at = account.lastIndexOf("@");
  return `'${account.slice(0, at)}'@'${account.slice(at + 1)}'`;
}
