import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findEtcd, startEtcd } from "../test/support/etcd-server.ts";
import { findMariadb, startMariadb } from "../test/support/mariadb-server.ts";
import { findPostgres, startPostgres } from "../test/support/postgres-server.ts";
import { findZookeeper, startZookeeper } from "../test/support/zookeeper-server.ts";

/** A kind of store to measure on. Another one is another entry in {@link STORES}. */
export interface BenchStore {
  readonly name: string;
  /** For tables. */
  readonly title: string;
  /** What the numbers are to be held against, in milliseconds. `killHeard`: of a crash that the channel hears of as well. */
  readonly targets: { readonly killP50Ms: number; readonly killP99Ms: number | undefined; readonly killHeardP50Ms: number; readonly handoverP50Ms: number };
  /** Whether it has evidence of death; without, what goes by that is left out, and a hand-over is measured all the same. */
  readonly evidence: boolean;
  /** The server ends a transaction whose process is frozen; see `StoreCapabilities`. */
  readonly boundsFrozenTransactions: boolean;
  /** How many members and elections beat, and how many members share a process. */
  readonly beats: { readonly members: readonly number[]; readonly perProcess: number; readonly elections: readonly number[] };
  /** Starts a server of the benchmark's own; or says why there is none. `sessions`: how many have to fit. */
  open(options?: { readonly sessions?: number }): Promise<StorePlace | { readonly missing: string }>;
}

/** A store that runs. */
export interface StorePlace {
  /** The server's version, and what is not default about it. */
  readonly label: string;
  /** The URL of a fresh, empty database, as `createCluster` takes it. */
  fresh(): Promise<string>;
  /** The process of the server, whose descendants do the work; `undefined` if there is none. */
  serverPid(): Promise<number | undefined>;
  /** What the server counted in the database of `url` so far; `undefined` if it counts nothing. */
  counters(url: string): Promise<StoreCounters | undefined>;
  close(): Promise<void>;
}

/** Counts since the server began. */
export interface StoreCounters {
  readonly rowsWritten?: number;
  readonly logBytes?: number;
  /** What clients asked for, each on its own. */
  readonly requests?: number;
}

/** What an observer of these waits between two looks at the evidence. */
const GRACE_MS = 100;

/** A server is shared by many; what happens at twice the number that is asked for is worth knowing. */
const SERVER_BEATS = { members: [1, 10, 100, 1_000, 2_000], perProcess: 250, elections: [1, 10, 100, 1_000] };

export const STORES: readonly BenchStore[] = [
  { name: "postgres", title: "PostgreSQL", targets: { killP50Ms: GRACE_MS + 20, killP99Ms: GRACE_MS + 250, killHeardP50Ms: 40, handoverP50Ms: 10 }, evidence: true, boundsFrozenTransactions: true, beats: SERVER_BEATS, open: openPostgres },
  { name: "sqlite", title: "SQLite", targets: { killP50Ms: 50, killP99Ms: undefined, killHeardP50Ms: 40, handoverP50Ms: 10 }, evidence: true, boundsFrozenTransactions: false, beats: { members: [1, 2, 4, 8], perProcess: 1, elections: [1, 10, 100] }, open: openSqlite },
  { name: "mariadb", title: "MariaDB", targets: { killP50Ms: GRACE_MS + 20, killP99Ms: GRACE_MS + 250, killHeardP50Ms: 40, handoverP50Ms: 25 }, evidence: true, boundsFrozenTransactions: true, beats: SERVER_BEATS, open: openMariadb },
  // A transaction that is frozen before its commit is nobody's concern: the commit compares the fence.
  { name: "etcd", title: "etcd", targets: { killP50Ms: Number.NaN, killP99Ms: undefined, killHeardP50Ms: Number.NaN, handoverP50Ms: 20 }, evidence: false, boundsFrozenTransactions: false, beats: { ...SERVER_BEATS, members: [1, 10, 100, 1_000] }, open: openEtcd },
  { name: "zookeeper", title: "ZooKeeper", targets: { killP50Ms: Number.NaN, killP99Ms: undefined, killHeardP50Ms: Number.NaN, handoverP50Ms: 20 }, evidence: false, boundsFrozenTransactions: true, beats: { ...SERVER_BEATS, members: [1, 10, 100, 1_000] }, open: openZookeeper },
];

/** More than this many sessions take more than the server's default. */
const DEFAULT_SESSIONS = 100;

async function openPostgres({ sessions = 0 }: { readonly sessions?: number } = {}): Promise<StorePlace | { readonly missing: string }> {
  const programs = await findPostgres();
  if ("missing" in programs) return programs;
  const settings = sessions < DEFAULT_SESSIONS ? {} : { max_connections: sessions };
  const server = await startPostgres({ programs, settings });
  const [row] = await server.query("show server_version");
  return {
    label: `PostgreSQL ${String(row?.["server_version"])}, default settings${sessions < DEFAULT_SESSIONS ? "" : `, max_connections = ${sessions}`}`,
    fresh: async () => (await server.createDatabase()).url,
    serverPid: async () => Number((await readFile(join(server.dataDir, "postmaster.pid"), "utf8")).split("\n")[0]),
    async counters(url) {
      const [counted] = await server.query(
        `select tup_inserted + tup_updated + tup_deleted as rows, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as bytes from pg_stat_database where datname = $1`,
        [new URL(url).pathname.slice(1)],
      );
      return { rowsWritten: Number(counted?.["rows"]), logBytes: Number(counted?.["bytes"]) };
    },
    close: () => server.stop(),
  };
}

async function openMariadb({ sessions = 0 }: { readonly sessions?: number } = {}): Promise<StorePlace | { readonly missing: string }> {
  const programs = await findMariadb();
  if ("missing" in programs) return programs;
  const settings = sessions < DEFAULT_SESSIONS ? {} : { max_connections: sessions };
  const server = await startMariadb({ programs, settings });
  return {
    label: `MariaDB ${programs.version}, innodb_buffer_pool_size = 64M${sessions < DEFAULT_SESSIONS ? "" : `, max_connections = ${sessions}`}`,
    fresh: async () => (await server.createDatabase()).url,
    serverPid: async () => Number(await readFile(join(server.place.folder, "pid"), "utf8")),
    async counters() {
      // Every row of every table of the server; InnoDB's own counters of rows are gone since MariaDB 10.6.
      const status = new Map((await server.query("show global status")).map((row) => [String(row["Variable_name"]), Number(row["Value"])]));
      const at = (name: string) => status.get(name) ?? Number.NaN;
      return { rowsWritten: at("Handler_write") + at("Handler_update") + at("Handler_delete"), logBytes: at("Innodb_os_log_written") };
    },
    close: () => server.stop(),
  };
}

async function openEtcd(): Promise<StorePlace | { readonly missing: string }> {
  const programs = await findEtcd();
  if ("missing" in programs) return programs;
  const cluster = await startEtcd({ programs });
  let prefixes = 0;
  return {
    label: `etcd ${programs.version}, one member, default settings`,
    fresh: () => Promise.resolve(cluster.urlOf({ prefix: `bench-${++prefixes}` })),
    serverPid: () => Promise.resolve(cluster.member.pid),
    async counters() {
      const metrics = await (await fetch(`http://${cluster.host}:${cluster.member.port}/metrics`)).text();
      const counted = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(metrics)?.[1]);
      const requests = [...metrics.matchAll(/^grpc_server_handled_total\{.*grpc_type="unary"\} (\S+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
      return { rowsWritten: counted("etcd_debugging_mvcc_put_total") + counted("etcd_debugging_mvcc_delete_total"), logBytes: counted("etcd_disk_wal_write_bytes_total"), requests };
    },
    close: () => cluster.stop(),
  };
}

async function openZookeeper(): Promise<StorePlace | { readonly missing: string }> {
  const programs = await findZookeeper();
  if ("missing" in programs) return programs;
  const server = await startZookeeper({ programs });
  let roots = 0;
  return {
    label: `ZooKeeper ${server.version}, one server, maxClientCnxns = 0, Java heap of 128 MB`,
    fresh: () => Promise.resolve(`${server.url}?root=${encodeURIComponent(`/bench-${++roots}`)}`),
    serverPid: () => Promise.resolve(server.pid),
    // A request is a packet of ZooKeeper's own counting; sessions that are silent for long say something, too.
    counters: async () => ({ requests: Number(/^Received: (\d+)$/m.exec(await server.ask("srvr"))?.[1]) }),
    close: () => server.stop(),
  };
}

async function openSqlite(): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), "tribune-bench-"));
  let files = 0;
  return {
    label: `SQLite ${process.versions.sqlite ?? ""}, a file in ${tmpdir()}`,
    fresh: () => Promise.resolve(`sqlite:${join(folder, `store-${++files}.db`)}`),
    serverPid: () => Promise.resolve(undefined),
    counters: () => Promise.resolve(undefined),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
