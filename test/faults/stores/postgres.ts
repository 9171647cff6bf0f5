import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import type { FencedRow } from "../../../src/testing/history/index.ts";
import { LEDGER } from "../../fleet/ledger.ts";
import type { WorkerStore } from "../../fleet/ledger.ts";
import { startPgBouncer } from "../../integration/postgres/pgbouncer.ts";
import { findPostgres, PostgresServer, startPostgres, startStandby } from "../../support/postgres-server.ts";
import type { Owner } from "../../support/postgres-server.ts";
import type { FaultKind } from "../catalogue.ts";
import { mountsMissing, SmallDisk } from "../disk.ts";
import { forgetFaketime, libfaketime, steppedBy } from "../faketime.ts";
import { CROWD, SERVERS } from "../world.ts";
import type { World } from "../world.ts";
import type { FailoverSteps, StorePlace, Undo } from "./place.ts";
import { NoServer } from "./no-server.ts";

/** The database of the nodes, and who they are: not the superuser, for whom the server keeps connections back. */
const DATABASE = "app";
const USER = { name: "app", password: "app" };
/** As many connections the nodes may have, so that taking them all does not take long. */
const CONNECTIONS = 120;
const DISK_MB = 400;
const SETTINGS = { max_connections: 700, superuser_reserved_connections: 10, shared_buffers: "32MB", min_wal_size: "2MB", max_wal_size: "64MB", wal_keep_size: "32MB" };
/** How long the server may take to answer a question about itself before something is thought to be stuck. */
const STUCK_AFTER_MS = 500;

/** What has to be there only if it is going to be used. */
export interface PostgresPlaceNeeds {
  readonly clock: boolean;
  readonly replica: boolean;
}

/** A PostgreSQL server of the run's own, with a replica. */
export async function openPostgresPlace(world: World, nodes: readonly string[], folder: string, needs: PostgresPlaceNeeds): Promise<StorePlace> {
  const programs = await findPostgres();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const place = new PostgresPlace(world, nodes, folder, needs);
  try {
    await place.open(programs);
    return place;
  } catch (error) {
    await place.close();
    throw error;
  }
}

class PostgresPlace implements StorePlace {
  readonly kind = "postgres";
  readonly lacks = new Map<FaultKind, string>();
  readonly #world: World;
  readonly #nodes: readonly string[];
  readonly #folder: string;
  readonly #needs: PostgresPlaceNeeds;
  readonly #noDisk = mountsMissing();
  readonly #faketime = libfaketime();
  readonly #clockFile: string;
  readonly #pids = new Set<number>();
  /** The disk of each server, by its folder. */
  readonly #disks: SmallDisk[] = [];
  #mounted = 0;
  readonly #lostTables: FencedRow[][] = [];
  #server: PostgresServer | undefined;
  #standby: PostgresServer | undefined;
  #urls = new Map<string, string>();

  constructor(world: World, nodes: readonly string[], folder: string, needs: PostgresPlaceNeeds) {
    this.#world = world;
    this.#nodes = nodes;
    this.#folder = folder;
    this.#needs = needs;
    this.#clockFile = join(folder, "server-clock");
    if (this.#noDisk !== undefined) this.lacks.set("disk-full", this.#noDisk);
    if (process.platform !== "linux") this.lacks.set("freeze-backend", "the server's processes are found by their ids only on Linux");
    if (this.#faketime === undefined) this.lacks.set("server-clock", "libfaketime is not installed");
  }

  async open(programs: Extract<Awaited<ReturnType<typeof findPostgres>>, { bin: string }>): Promise<void> {
    await this.setClock(0);
    const server = await startPostgres({
      programs,
      settings: SETTINGS,
      surroundings: {
        host: this.#world.serverHost,
        clients: this.#world.nodesFrom,
        through: (owner) => this.#through(owner),
        parent: () => this.#newDisk(),
        initdb: ["--wal-segsize=1"],
      },
    });
    this.#server = server;
    this.#remember(server);
    await server.query(`create role ${USER.name} login password '${USER.password}' connection limit ${CONNECTIONS}`);
    await server.query(`create database ${DATABASE} owner ${USER.name} template template0`);
    await server.query(`set role ${USER.name}; ${LEDGER.postgres.create}`, [], { database: DATABASE });
    await this.#route(server.port);
    if (this.#needs.replica) this.#standby = await this.#newStandby();
  }

  get label(): string {
    return `PostgreSQL ${this.#primary.major}${this.#standby === undefined ? "" : " with an asynchronous replica"}`;
  }

  storeOf(node: string): WorkerStore {
    const url = this.#urls.get(node);
    if (url === undefined) throw new Error(`there is no node ${node}`);
    return { kind: "postgres", url };
  }

  async tables(): Promise<readonly (readonly FencedRow[])[]> {
    return [...this.#lostTables, await rowsOf(this.#primary)];
  }

  async close(): Promise<void> {
    await this.#standby?.stop();
    await this.#server?.stop();
    for (const disk of this.#disks.splice(0)) await disk.unmount();
    forgetFaketime(this.#pids);
  }

  // ---- the server

  crash(): Promise<Undo> {
    return this.#end("SIGKILL");
  }

  shutDown(): Promise<Undo> {
    return this.#end("SIGINT"); // fast shutdown (PostgreSQL manual, 19.5)
  }

  async #end(signal: NodeJS.Signals): Promise<Undo> {
    const server = this.#primary;
    await server.kill(signal);
    return async () => {
      await server.start();
      this.#remember(server);
    };
  }

  async failOver(lagMs: number, steps: FailoverSteps): Promise<void> {
    const old = this.#primary;
    const standby = this.#standby;
    if (standby === undefined) throw new Error("there is no replica");
    await untilStreaming(old);
    // The replica goes on answering, and hears of nothing new (PostgreSQL manual, "primary_conninfo"; it is taken over by a reload).
    await standby.query("alter system set primary_conninfo = ''");
    steps.lagging();
    await standby.query("select pg_reload_conf()");
    await pause(lagMs);
    steps.down();
    await old.kill("SIGKILL");
    await standby.promote();
    await standby.kill("SIGINT");
    // At the address of the old one, as after a change of DNS or of a virtual address.
    const server = new PostgresServer({ ...standby.place, port: old.port });
    this.#server = server;
    this.#standby = undefined;
    await server.start();
    this.#remember(server);
    steps.up();
    // What the old one had, read where no node can reach it.
    await old.start({ listen_addresses: "" });
    this.#remember(old);
    this.#lostTables.push(await rowsOf(old));
    await old.stop();
    const disk = this.#diskOf(old);
    if (disk !== undefined) {
      this.#disks.splice(this.#disks.indexOf(disk), 1);
      await disk.unmount();
    }
    this.#standby = await this.#newStandby();
  }

  async setClock(offsetMs: number): Promise<void> {
    await writeFile(this.#clockFile, `${offsetMs < 0 ? "-" : "+"}${Math.abs(offsetMs) / 1_000}s\n`, { mode: 0o644 });
  }

  // ---- sessions

  async terminateSessions(node: string): Promise<number> {
    const rows = await this.#primary.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1", [`%:${node}`]);
    return rows.length;
  }

  async freezeSessions(node: string): Promise<{ readonly sessions: number; readonly blocksOthers: boolean; readonly undo: Undo }> {
    const server = this.#primary;
    const rows = await server.query("select pid from pg_stat_activity where application_name like $1 and state = 'idle'", [`%:${node}`]);
    const pids = rows.map((row) => Number(row["pid"])).filter((pid) => signalled(pid, "SIGSTOP"));
    const undo = () => Promise.resolve(pids.forEach((pid) => signalled(pid, "SIGCONT")));
    // One may have begun something since it was seen idle; and what one of them holds inside the server may stop the question itself.
    const holds = server.query("select from pg_locks where pid = any($1) and locktype = 'transactionid' and granted", [pids]).then(
      (locks) => locks.length > 0,
      () => true,
    );
    return { sessions: pids.length, blocksOthers: await Promise.race([holds, pause(STUCK_AFTER_MS, true)]), undo };
  }

  async lockTable(pick: number): Promise<{ readonly table: string; readonly undo: Undo }> {
    const tables = (await this.#primary.query("select tablename from pg_tables where schemaname = 'tribune' order by tablename", [], { database: DATABASE })).map((row) => String(row["tablename"]));
    const table = `tribune.${tables[Math.floor(pick * tables.length)]}`;
    const client = new pg.Client({ connectionString: this.#primary.socketUrlOf({ database: DATABASE }) });
    client.on("error", () => undefined);
    await client.connect();
    await client.query("begin");
    await client.query(`lock table ${table} in access exclusive mode`);
    return { table, undo: async () => await client.end() };
  }

  async fillConnections(node: string): Promise<{ readonly taken: number; readonly undo: Undo }> {
    const url = this.#primary.socketUrlOf({ user: USER.name, password: USER.password, database: DATABASE });
    const taken: pg.Client[] = [];
    const take = async () => {
      const client = new pg.Client({ connectionString: url });
      client.on("error", () => undefined);
      try {
        await client.connect();
        taken.push(client);
        return true;
      } catch {
        await client.end().catch(() => undefined);
        return false;
      }
    };
    while (await take());
    const over = new AbortController();
    // What the node has lost is taken before it is back, and so is whatever anybody gives up.
    const keeping = (async () => {
      while (!over.signal.aborted) if (!(await take())) await pause(5);
    })();
    await this.terminateSessions(node);
    return {
      taken: taken.length,
      undo: async () => {
        over.abort();
        await keeping;
        await Promise.all(taken.map((client) => client.end().catch(() => undefined)));
      },
    };
  }

  async fillDisk(): Promise<Undo> {
    const server = this.#primary;
    const disk = this.#diskOf(server);
    if (disk === undefined) throw new Error("the server has no disk of its own");
    await disk.fill();
    // The next segment of the log has no room (PostgreSQL manual, 28.5).
    const turning = (async () => {
      for (let segment = 0; segment < 6; segment++) await server.query("select pg_logical_emit_message(true, 'faults', repeat('x', 1000)), pg_switch_wal()");
    })().catch(() => undefined); // it has ended all sessions
    return async () => {
      await disk.free();
      await turning;
      await this.#untilAnswering(server);
    };
  }

  /** A server that ran out of room ends all sessions and recovers, or ends altogether. */
  async #untilAnswering(server: PostgresServer): Promise<void> {
    for (const endMs = performance.now() + 60_000; performance.now() < endMs; await pause(50)) {
      if (!server.isRunning) {
        await server.start();
        this.#remember(server);
      }
      const answers = await server.query("select pg_logical_emit_message(true, 'faults', 'there')").then(
        () => true,
        () => false,
      );
      if (answers) return;
    }
    throw new Error(`the server did not come back after its disk had been full; its log ends with:\n${server.log.slice(-20).join("\n")}`);
  }

  async usePooler(): Promise<{ readonly leave: () => Promise<void>; readonly undo: Undo }> {
    const server = this.#primary;
    const pooler = await startPgBouncer(server, "transaction", { user: USER });
    if ("missing" in pooler) throw new Error(pooler.missing);
    this.#remember(pooler);
    await this.#route(pooler.port);
    return { leave: () => this.#route(server.port), undo: () => pooler.stop() };
  }

  async makeRoom(): Promise<{ readonly storeOf: () => WorkerStore; readonly undo: Undo }> {
    await this.#primary.query(`alter role ${USER.name} connection limit -1`);
    const { host, port } = await this.#world.addressOf(CROWD, this.#primary.port);
    return {
      storeOf: () => ({ kind: "postgres", url: urlOf(host, port, CROWD) }),
      undo: async () => void (await this.#primary.query(`alter role ${USER.name} connection limit ${CONNECTIONS}`)),
    };
  }

  // ---- where it runs

  get #primary(): PostgresServer {
    if (this.#server === undefined) throw new Error("the server has not been started");
    return this.#server;
  }

  #through(owner: Owner | undefined): readonly string[] {
    const clock = this.#needs.clock && this.#faketime !== undefined ? Object.entries(steppedBy(this.#faketime, this.#clockFile)).map(([name, value]) => `${name}=${value}`) : [];
    return [
      ...this.#world.through(SERVERS),
      ...(owner === undefined ? [] : ["setpriv", `--reuid=${owner.uid}`, `--regid=${owner.gid}`, "--clear-groups"]),
      // After the change of user: what libfaketime makes belongs to whoever runs at that time.
      ...(clock.length === 0 ? [] : ["env", ...clock]),
    ];
  }

  async #newDisk(): Promise<string> {
    if (this.#noDisk !== undefined) return this.#folder;
    const disk = await SmallDisk.mount(join(this.#folder, `disk${++this.#mounted}`), DISK_MB);
    this.#disks.push(disk);
    return disk.path;
  }

  async #newStandby(): Promise<PostgresServer> {
    const standby = await startStandby(this.#primary);
    this.#remember(standby);
    return standby;
  }

  #diskOf(server: PostgresServer): SmallDisk | undefined {
    return this.#disks.find(({ path }) => server.dataDir.startsWith(`${path}/`));
  }

  #remember({ pid }: { readonly pid: number | undefined }): void {
    if (pid !== undefined) this.#pids.add(pid);
  }

  async #route(port: number): Promise<void> {
    this.#urls = new Map(
      await Promise.all(
        this.#nodes.map(async (node) => {
          const address = await this.#world.addressOf(node, port);
          return [node, urlOf(address.host, address.port, node)] as const;
        }),
      ),
    );
  }
}

function urlOf(host: string, port: number, node: string): string {
  return `postgres://${USER.name}:${USER.password}@${host}:${port}/${DATABASE}?application_name=${encodeURIComponent(`rows:${node}`)}`;
}

async function rowsOf(server: PostgresServer): Promise<FencedRow[]> {
  const rows = await server.query(LEDGER.postgres.rows, [], { database: DATABASE });
  return rows.map(({ sequence, token, ...rest }) => ({ ...(rest as Omit<FencedRow, "sequence" | "token">), sequence: Number(sequence), token: Number(token) }));
}

async function untilStreaming(server: PostgresServer): Promise<void> {
  for (const endMs = performance.now() + 30_000; performance.now() < endMs; await pause(20)) {
    const rows = await server.query("select from pg_stat_replication where state = 'streaming'");
    if (rows.length > 0) return;
  }
  throw new Error("the replica does not follow the server");
}

function signalled(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // it has ended meanwhile
  }
}
