import { exec } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { createConnection } from "mysql2/promise";
import type { RowDataPacket } from "mysql2/promise";
import pg from "pg";
import { etcd } from "../../src/store/etcd/index.ts";
import type { FencedRow } from "../../src/testing/history/index.ts";
import { startTcpFaultProxy } from "../../src/testing/tcp-fault-proxy.ts";
import type { TcpFault, TcpFaultProxy } from "../../src/testing/tcp-fault-proxy.ts";
import { findEtcd, startEtcd } from "../support/etcd-server.ts";
import type { EtcdCluster } from "../support/etcd-server.ts";
import { findMariadb, startMariadb } from "../support/mariadb-server.ts";
import type { MariadbServer } from "../support/mariadb-server.ts";
import { findPostgres, startPostgres } from "../support/postgres-server.ts";
import type { PostgresServer } from "../support/postgres-server.ts";
import { findZookeeper, startZookeeper } from "../support/zookeeper-server.ts";
import type { ZookeeperServer } from "../support/zookeeper-server.ts";
import { forgetEtcdRows, readEtcdRows } from "../fleet/etcd-rows.ts";
import { LEDGER } from "../fleet/ledger.ts";
import type { WorkerStore } from "../fleet/ledger.ts";
import { dropZnodeLedger, makeZnodeLedger, rowsInZnodes } from "../fleet/znodes.ts";
import type { TortureOptions } from "./options.ts";
import type { FaultKind } from "./plan.ts";

export type OutageKind = Extract<FaultKind, `store-${string}`>;

/** The supervisor's side of the store: the fenced table, the outages, and what is known about it from outside. */
export interface Place {
  /** Safe to print. */
  readonly label: string;
  /** How a node reaches the store. */
  readonly storeOf: (node: string) => Promise<WorkerStore>;
  /** Whether each node has a link of its own to the store, which can be disturbed. */
  readonly links: boolean;
  /** Does to a node's link what a bad network does, until the next call; `reset` ends what is open on it. */
  disturb(node: string, fault: TcpFault | { readonly kind: "reset" }): Promise<void>;
  /** What of {@link OutageKind} can be done here. */
  readonly outages: readonly OutageKind[];
  /** Makes the store unusable, and usable again after about `ms`; calls `down` before and `up` after. */
  outage(kind: OutageKind, ms: number, down: () => void, up: () => void): Promise<void>;
  /** Whether nobody can write because a process that does not run holds the store's only write lock. */
  isStuck(): Promise<boolean>;
  rows(): Promise<FencedRow[]>;
  close(): Promise<void>;
}

/** Thrown where there is no server to be had; a test skips. */
export class NoServer extends Error {}

export async function openPlace(options: TortureOptions, folder: string): Promise<Place> {
  const { store, restartCommand } = options;
  if (store === "sqlite") return sqlitePlace(join(folder, "store.db"), true);
  if (store.startsWith("sqlite:")) return sqlitePlace(store.slice("sqlite:".length), false);
  if (store === "mariadb") return await ownMariadbPlace();
  if (store === "etcd" || store === "etcd-ensemble") return await ownEtcdPlace(store === "etcd" ? 1 : 3);
  if (store.startsWith("etcd:")) return await etcdPlace(store, undefined, restartCommand);
  if (/^(mysql|mariadb):/.test(store)) return await mysqlPlace(store, undefined, restartCommand);
  if (store === "zookeeper") return await ownZookeeperPlace();
  if (store.startsWith("zookeeper:")) return await zookeeperPlace(store, undefined, restartCommand);
  if (store !== "postgres") return await postgresPlace(store, undefined, restartCommand);
  const programs = await findPostgres();
  if ("missing" in programs) throw new NoServer(programs.missing);
  // The server's own stamps of commits are a second witness to the order of the rows.
  const server = await startPostgres({ programs, settings: { track_commit_timestamp: "on" } });
  try {
    return await postgresPlace(server.url, server, undefined);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

// ---- SQLite

/** Longer than any transaction of a process that runs. */
const STUCK_AFTER_MS = 50;

function sqlitePlace(path: string, ours: boolean): Place {
  const database = new DatabaseSync(path, { timeout: 5_000 });
  database.exec("pragma journal_mode = wal");
  database.exec(LEDGER.sqlite.create);
  database.exec("delete from fenced_rows");
  database.exec("pragma busy_timeout = 0");
  return {
    label: `sqlite:${path}`,
    storeOf: () => Promise.resolve({ kind: "sqlite", path }),
    links: false,
    disturb: () => Promise.reject(new Error("there is no network to a file")),
    outages: ["store-freeze"],
    /** A writer that holds the only lock stops everybody else. */
    async outage(_kind, ms, down, up) {
      while (!lockForWriting(database)) await pause(1);
      down();
      await pause(ms);
      database.exec("rollback");
      up();
    },
    async isStuck() {
      for (const endMs = performance.now() + STUCK_AFTER_MS; performance.now() < endMs; await pause(2)) {
        if (!lockForWriting(database)) continue;
        database.exec("rollback");
        return false;
      }
      return true;
    },
    rows() {
      const rows = database.prepare(LEDGER.sqlite.rows).all();
      return Promise.resolve(rows as unknown as FencedRow[]);
    },
    async close() {
      if (!ours) database.exec("drop table fenced_rows");
      database.close();
      if (ours) for (const file of ["", "-wal", "-shm", "-tribune_hint"]) await rm(path + file, { force: true });
    },
  };
}

function lockForWriting(database: DatabaseSync): boolean {
  try {
    database.exec("begin immediate");
    return true;
  } catch (error) {
    if ((error as { readonly errcode?: number }).errcode === 5) return false; // SQLITE_BUSY
    throw error;
  }
}

// ---- PostgreSQL

async function postgresPlace(url: string, server: PostgresServer | undefined, restartCommand: string | undefined): Promise<Place> {
  await query(url, LEDGER.postgres.create);
  await query(url, "truncate fenced_rows");
  const stamped = (await query(url, "show track_commit_timestamp"))[0]?.["track_commit_timestamp"] === "on";
  const outages: OutageKind[] = server === undefined ? (restartCommand === undefined ? [] : ["store-restart"]) : ["store-crash", "store-restart", "store-freeze"];
  const links = server === undefined ? undefined : new Links(server, (port) => server.urlOf({ port }));
  return {
    label: server === undefined ? safeLabel(url) : `postgres ${server.major}, a server of its own`,
    storeOf: async (node) => ({ kind: "postgres", url: links === undefined ? url : await links.urlOf(node) }),
    links: links !== undefined,
    async disturb(node, fault) {
      const proxy = await links?.of(node);
      if (fault.kind === "reset") proxy?.resetAll();
      else await proxy?.mode(fault);
    },
    outages,
    async outage(kind, ms, down, up) {
      down();
      if (server === undefined) {
        await promisify(exec)(restartCommand as string);
        await untilAnswering(url, async () => await query(url, "select 1"));
      } else if (kind === "store-freeze") {
        server.pause();
        await pause(ms);
        server.resume();
      } else {
        await server.kill(kind === "store-crash" ? "SIGQUIT" : "SIGINT"); // immediate and fast shutdown (PostgreSQL manual, 18.5)
        await pause(ms);
        await server.start();
      }
      up();
    },
    isStuck: () => Promise.resolve(false), // a frozen client holds its own rows only
    async rows() {
      const committedAt = stamped ? ", (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000000)::bigint as committed_at" : "";
      const rows = await query(url, `select sequence, election, token, node, incarnation, write, t ${committedAt} from fenced_rows order by sequence`);
      return rows.map(({ committed_at: stamp, sequence, token, ...rest }) => ({
        ...(rest as Omit<FencedRow, "sequence" | "token" | "committedAt">),
        sequence: Number(sequence),
        token: Number(token),
        ...(stamp == null ? {} : { committedAt: Number(stamp) }),
      }));
    },
    async close() {
      await links?.close();
      if (server !== undefined) return await server.stop();
      await query(url, "drop table fenced_rows").catch(() => undefined);
    },
  };
}

// ---- MySQL and MariaDB

async function ownMariadbPlace(): Promise<Place> {
  const programs = await findMariadb();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const server = await startMariadb({ programs });
  try {
    return await mysqlPlace((await server.createDatabase()).url, server, undefined);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function mysqlPlace(url: string, server: MariadbServer | undefined, restartCommand: string | undefined): Promise<Place> {
  const database = new URL(url).pathname.slice(1);
  await mysqlQuery(url, LEDGER.mysql.create);
  await mysqlQuery(url, "truncate table fenced_rows");
  const links = server === undefined ? undefined : new Links(server, (port) => server.urlOf({ database, port }));
  const restarts: readonly OutageKind[] = restartCommand === undefined ? [] : ["store-restart"];
  return {
    label: server === undefined ? safeLabel(url) : `MariaDB ${server.version}, a server of its own`,
    storeOf: async (node) => ({ kind: "mysql", url: links === undefined ? url : await links.urlOf(node) }),
    links: links !== undefined,
    async disturb(node, fault) {
      const proxy = await links?.of(node);
      if (fault.kind === "reset") proxy?.resetAll();
      else await proxy?.mode(fault);
    },
    outages: server === undefined ? restarts : ["store-crash", "store-restart", "store-freeze"],
    async outage(kind, ms, down, up) {
      down();
      if (server === undefined) {
        await promisify(exec)(restartCommand as string);
        await untilAnswering(url, async () => await mysqlQuery(url, "select 1"));
      } else if (kind === "store-freeze") {
        await server.pause();
        await pause(ms);
        server.resume();
      } else {
        await server.kill(kind === "store-crash" ? "SIGKILL" : "SIGTERM");
        await pause(ms);
        await server.start();
      }
      up();
    },
    isStuck: () => Promise.resolve(false), // a frozen client holds its own rows only
    async rows() {
      const rows = await mysqlQuery(url, LEDGER.mysql.rows);
      return rows as unknown as FencedRow[];
    },
    async close() {
      await links?.close();
      if (server !== undefined) return await server.stop();
      await mysqlQuery(url, "drop table fenced_rows").catch(() => undefined);
    },
  };
}

// ---- ZooKeeper

async function ownZookeeperPlace(): Promise<Place> {
  const programs = await findZookeeper();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const server = await startZookeeper({ programs });
  try {
    return await zookeeperPlace(server.url, server, undefined);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function zookeeperPlace(url: string, server: ZookeeperServer | undefined, restartCommand: string | undefined): Promise<Place> {
  await makeZnodeLedger(url);
  const links = server === undefined ? undefined : new Links(server, (port) => `zookeeper://127.0.0.1:${port}`);
  const restarts: readonly OutageKind[] = restartCommand === undefined ? [] : ["store-restart"];
  return {
    label: server === undefined ? url.replace(/\/\/[^@/]*@/, "//").replace(/\?.*$/, "") : `ZooKeeper ${server.version}, a server of its own`,
    storeOf: async (node) => ({ kind: "zookeeper", url: links === undefined ? url : await links.urlOf(node) }),
    links: links !== undefined,
    async disturb(node, fault) {
      const proxy = await links?.of(node);
      if (fault.kind === "reset") proxy?.resetAll();
      else await proxy?.mode(fault);
    },
    outages: server === undefined ? restarts : ["store-crash", "store-restart", "store-freeze"],
    async outage(kind, ms, down, up) {
      down();
      if (server === undefined) {
        await promisify(exec)(restartCommand as string);
        await untilAnswering(url, async () => await rowsInZnodes(url));
      } else if (kind === "store-freeze") {
        await server.pause();
        await pause(ms);
        server.resume();
      } else {
        await server.kill(kind === "store-crash" ? "SIGKILL" : "SIGTERM");
        await pause(ms);
        await server.start();
      }
      up();
    },
    isStuck: () => Promise.resolve(false), // a frozen client holds up its own fence only
    rows: async () => await rowsInZnodes(url),
    async close() {
      await links?.close();
      if (server !== undefined) return await server.stop();
      await dropZnodeLedger(url).catch(() => undefined);
    },
  };
}

async function mysqlQuery(url: string, text: string): Promise<RowDataPacket[]> {
  const connection = await createConnection({ uri: url, connectTimeout: 5_000 });
  connection.on("error", () => undefined); // the query reports it
  try {
    return (await connection.query<RowDataPacket[]>(text))[0];
  } finally {
    connection.destroy();
  }
}

// ---- etcd

async function ownEtcdPlace(members: number): Promise<Place> {
  const programs = await findEtcd();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const cluster = await startEtcd({ programs, members });
  try {
    return await etcdPlace(cluster.url, cluster, undefined);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function etcdPlace(url: string, cluster: EtcdCluster | undefined, restartCommand: string | undefined): Promise<Place> {
  await forgetEtcdRows(url);
  // A proxy for each node before each member.
  const links = cluster?.members.map((member) => new Links({ host: "127.0.0.1", port: member.port }, String));
  const restarts: readonly OutageKind[] = restartCommand === undefined ? [] : ["store-restart"];
  const { label } = etcd({ url });
  return {
    label: cluster === undefined ? label : `etcd ${cluster.version}, ${cluster.members.length === 1 ? "a server" : `${cluster.members.length} members`} of its own`,
    async storeOf(node) {
      if (cluster === undefined || links === undefined) return { kind: "etcd", url };
      const ports = await Promise.all(links.map(async (each) => Number(await each.urlOf(node))));
      return { kind: "etcd", url: cluster.urlOf({ ports }) };
    },
    links: links !== undefined,
    async disturb(node, fault) {
      for (const each of links ?? []) {
        const proxy = await each.of(node);
        if (fault.kind === "reset") proxy.resetAll();
        else await proxy.mode(fault);
      }
    },
    outages: cluster === undefined ? restarts : ["store-crash", "store-restart", "store-freeze"],
    /** Of several members, the one that leads is crashed or frozen; a restart is of all. */
    async outage(kind, ms, down, up) {
      if (cluster === undefined) {
        down();
        await promisify(exec)(restartCommand as string);
        await untilAnswering(url, async () => await readEtcdRows(url));
      } else {
        const victims = kind === "store-restart" ? cluster.members : [await cluster.leader()];
        down();
        if (kind === "store-freeze") {
          for (const victim of victims) await victim.pause();
          await pause(ms);
          for (const victim of victims) victim.resume();
        } else {
          await Promise.all(victims.map((victim) => victim.kill(kind === "store-crash" ? "SIGKILL" : "SIGTERM")));
          await pause(ms);
          await Promise.all(victims.map((victim) => victim.start()));
        }
      }
      up();
    },
    isStuck: () => Promise.resolve(false), // nobody holds anything
    rows: async () => await readEtcdRows(url),
    async close() {
      for (const each of links ?? []) await each.close();
      if (cluster !== undefined) return await cluster.stop();
      await forgetEtcdRows(url).catch(() => undefined);
    },
  };
}

/** A proxy for each node, in this process. */
class Links {
  readonly #server: { readonly host: string; readonly port: number };
  readonly #urlOf: (port: number) => string;
  readonly #proxies = new Map<string, Promise<TcpFaultProxy>>();

  constructor(server: { readonly host: string; readonly port: number }, urlOf: (port: number) => string) {
    this.#server = server;
    this.#urlOf = urlOf;
  }

  of(node: string): Promise<TcpFaultProxy> {
    let proxy = this.#proxies.get(node);
    if (proxy === undefined) this.#proxies.set(node, (proxy = startTcpFaultProxy({ targetHost: this.#server.host, targetPort: this.#server.port })));
    return proxy;
  }

  async urlOf(node: string): Promise<string> {
    return this.#urlOf((await this.of(node)).port);
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies.values()) await (await proxy).close();
  }
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined); // the query reports it
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function untilAnswering(url: string, ask: () => Promise<unknown>): Promise<void> {
  const endMs = performance.now() + 60_000;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (performance.now() > endMs) throw new Error(`${safeLabel(url)} did not come back within a minute`, { cause: error });
      await pause(20);
    }
  }
}

function safeLabel(url: string): string {
  if (url.startsWith("etcd:")) return etcd({ url }).label;
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
