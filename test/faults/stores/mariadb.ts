import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createConnection } from "mysql2/promise";
import type { Connection } from "mysql2/promise";
import type { FencedRow } from "../../../src/testing/history/index.ts";
import { LEDGER } from "../../fleet/ledger.ts";
import type { WorkerStore } from "../../fleet/ledger.ts";
import { findMariadb, MariadbServer, startMariadb } from "../../support/mariadb-server.ts";
import type { MariadbOwner } from "../../support/mariadb-server.ts";
import type { FaultKind } from "../catalogue.ts";
import { mountsMissing, SmallDisk } from "../disk.ts";
import { forgetFaketime, libfaketime, steppedBy } from "../faketime.ts";
import { CROWD, SERVERS } from "../world.ts";
import type { World } from "../world.ts";
import { NoServer } from "./no-server.ts";
import type { FailoverSteps, StorePlace, Undo } from "./place.ts";

const DATABASE = "app";
const PASSWORD = "app";
/** As many connections each node may have, so that taking them all does not take long. */
const CONNECTIONS = 20;
const DISK_MB = 600;
/** What is answered is on disk, and in the log that the replica reads. */
const SETTINGS = {
  max_connections: 700,
  log_bin: "binlog",
  log_slave_updates: 1,
  sync_binlog: 1,
  innodb_flush_log_at_trx_commit: 1,
  binlog_format: "ROW",
  innodb_buffer_pool_size: "64M",
};
/** A server that waits for room looks for it once a minute; whoever runs it does not wait that long. */
const ROOM_NOTICED_MS = 2_000;

/** What has to be there only if it is going to be used. */
export interface MariadbPlaceNeeds {
  readonly clock: boolean;
  readonly replica: boolean;
}

/** A MariaDB server of the run's own, with a replica. Each node has a user of its own, by which its sessions are told from others. */
export async function openMariadbPlace(world: World, nodes: readonly string[], folder: string, needs: MariadbPlaceNeeds): Promise<StorePlace> {
  const programs = await findMariadb();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const place = new MariadbPlace(world, nodes, folder, needs);
  try {
    await place.open(programs);
    return place;
  } catch (error) {
    await place.close();
    throw error;
  }
}

class MariadbPlace implements StorePlace {
  readonly kind = "mariadb";
  readonly lacks = new Map<FaultKind, string>();
  readonly #world: World;
  readonly #nodes: readonly string[];
  readonly #folder: string;
  readonly #needs: MariadbPlaceNeeds;
  readonly #noDisk = mountsMissing();
  readonly #faketime = libfaketime();
  readonly #clockFile: string;
  readonly #pids = new Set<number>();
  readonly #disks: SmallDisk[] = [];
  #mounted = 0;
  #servers = 0;
  readonly #lostTables: FencedRow[][] = [];
  #server: MariadbServer | undefined;
  #replica: MariadbServer | undefined;
  #urls = new Map<string, string>();

  constructor(world: World, nodes: readonly string[], folder: string, needs: MariadbPlaceNeeds) {
    this.#world = world;
    this.#nodes = nodes;
    this.#folder = folder;
    this.#needs = needs;
    this.#clockFile = join(folder, "server-clock");
    if (this.#noDisk !== undefined) this.lacks.set("disk-full", this.#noDisk);
    if (this.#faketime === undefined) this.lacks.set("server-clock", "libfaketime is not installed");
  }

  async open(programs: Exclude<Awaited<ReturnType<typeof findMariadb>>, { missing: string }>): Promise<void> {
    await this.setClock(0);
    const server = await this.#startServer(programs);
    this.#server = server;
    await server.query(`create database ${DATABASE}`);
    await server.query(LEDGER.mysql.create, [], { database: DATABASE });
    for (const node of [...this.#nodes, CROWD]) {
      await server.query(`create user '${node}'@'%' identified by '${PASSWORD}'${node === CROWD ? "" : ` with max_user_connections ${CONNECTIONS}`}`);
      await server.query(`grant all on ${DATABASE}.* to '${node}'@'%'`);
    }
    this.#urls = new Map(await Promise.all(this.#nodes.map(async (node) => [node, urlOf(await this.#world.addressOf(node, server.port), node)] as const)));
    if (this.#needs.replica) this.#replica = await this.#newReplica();
  }

  get label(): string {
    return `MariaDB ${this.#primary.version}${this.#replica === undefined ? "" : " with an asynchronous replica"}`;
  }

  storeOf(node: string): WorkerStore {
    const url = this.#urls.get(node);
    if (url === undefined) throw new Error(`there is no node ${node}`);
    return { kind: "mysql", url };
  }

  async tables(): Promise<readonly (readonly FencedRow[])[]> {
    return [...this.#lostTables, await rowsOf(this.#primary)];
  }

  async close(): Promise<void> {
    await this.#replica?.stop();
    await this.#server?.stop();
    for (const disk of this.#disks.splice(0)) await disk.unmount();
    forgetFaketime(this.#pids);
  }

  // ---- the server

  crash(): Promise<Undo> {
    return this.#end("SIGKILL");
  }

  shutDown(): Promise<Undo> {
    return this.#end("SIGTERM");
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
    const replica = this.#replica;
    if (replica === undefined) throw new Error("there is no replica");
    await untilCaughtUp(old, replica);
    steps.lagging();
    await replica.query("stop slave");
    await pause(lagMs);
    steps.down();
    await old.kill("SIGKILL");
    await replica.query("reset slave all");
    await replica.kill("SIGTERM");
    // At the address of the old one, as after a change of DNS or of a virtual address.
    const server = new MariadbServer({ ...replica.place, port: old.port, settings: { ...replica.place.settings, read_only: 0 } });
    this.#server = server;
    this.#replica = undefined;
    await server.start();
    this.#remember(server);
    steps.up();
    // What the old one had, read where no node can reach it.
    await old.start({ skip_networking: 1 });
    this.#remember(old);
    this.#lostTables.push(await rowsOf(old));
    await old.stop();
    const disk = this.#diskOf(old);
    if (disk !== undefined) {
      this.#disks.splice(this.#disks.indexOf(disk), 1);
      await disk.unmount();
    }
    this.#replica = await this.#newReplica();
  }

  async setClock(offsetMs: number): Promise<void> {
    await writeFile(this.#clockFile, `${offsetMs < 0 ? "-" : "+"}${Math.abs(offsetMs) / 1_000}s\n`, { mode: 0o644 });
  }

  // ---- sessions

  async terminateSessions(node: string): Promise<number> {
    const rows = await this.#primary.query("select id from information_schema.processlist where user = ?", [node]);
    for (const { id } of rows) await this.#primary.query(`kill connection ${Number(id)}`).catch(() => undefined); // it may have ended by itself
    return rows.length;
  }

  async lockTable(pick: number): Promise<{ readonly table: string; readonly undo: Undo }> {
    const tables = (await this.#primary.query("select table_name as name from information_schema.tables where table_schema = ? and table_name like 'tribune\\_%' order by table_name", [DATABASE])).map((row) => String(row["name"]));
    const table = `${DATABASE}.${tables[Math.floor(pick * tables.length)]}`;
    const { socketPath, administrator } = this.#primary;
    const connection = await createConnection({ socketPath, ...administrator });
    connection.on("error", () => undefined);
    await connection.query(`lock tables ${table} write`);
    return { table, undo: async () => await connection.end() };
  }

  async fillConnections(node: string): Promise<{ readonly taken: number; readonly undo: Undo }> {
    const { socketPath } = this.#primary;
    const taken: Connection[] = [];
    const take = async () => {
      try {
        const connection = await createConnection({ socketPath, user: node, password: PASSWORD, database: DATABASE });
        connection.on("error", () => undefined);
        taken.push(connection);
        return true;
      } catch {
        return false;
      }
    };
    while (await take());
    const over = new AbortController();
    // What the node has lost is taken before it is back, and so is whatever it gives up.
    const keeping = (async () => {
      while (!over.signal.aborted) if (!(await take())) await pause(5);
    })();
    const ours = new Set(taken.map((connection) => connection.threadId));
    const theirs = await this.#primary.query("select id from information_schema.processlist where user = ?", [node]);
    for (const { id } of theirs) if (!ours.has(Number(id))) await this.#primary.query(`kill connection ${Number(id)}`).catch(() => undefined);
    return {
      taken: taken.length,
      undo: async () => {
        over.abort();
        await keeping;
        for (const connection of taken) connection.destroy();
      },
    };
  }

  async fillDisk(): Promise<Undo> {
    const server = this.#primary;
    const disk = this.#diskOf(server);
    if (disk === undefined) throw new Error("the server has no disk of its own");
    await disk.fill();
    return async () => {
      await disk.free();
      const writes = server.query(`create or replace table ${DATABASE}.room (a int)`).then(
        () => true,
        () => false,
      );
      if (await Promise.race([writes, pause(ROOM_NOTICED_MS, false)])) return;
      await server.kill("SIGKILL");
      await server.start();
      this.#remember(server);
    };
  }

  async makeRoom(): Promise<{ readonly storeOf: () => WorkerStore; readonly undo: Undo }> {
    const url = urlOf(await this.#world.addressOf(CROWD, this.#primary.port), CROWD);
    return { storeOf: () => ({ kind: "mysql", url }), undo: () => Promise.resolve() };
  }

  // ---- where it runs

  get #primary(): MariadbServer {
    if (this.#server === undefined) throw new Error("the server has not been started");
    return this.#server;
  }

  async #startServer(programs: MariadbServer["place"]["programs"], more: Readonly<Record<string, string | number>> = {}): Promise<MariadbServer> {
    const server = await startMariadb({
      programs,
      settings: { ...SETTINGS, server_id: ++this.#servers, ...more },
      surroundings: { host: this.#world.serverHost, through: (owner) => this.#through(owner), parent: () => this.#newDisk() },
    });
    this.#remember(server);
    return server;
  }

  /** An empty server that is told everything from the beginning. */
  async #newReplica(): Promise<MariadbServer> {
    const primary = this.#primary;
    const replica = await this.#startServer(primary.place.programs, { read_only: 1 });
    const { user, password } = primary.administrator;
    await replica.query(`change master to master_host = '${primary.host}', master_port = ${primary.port}, master_user = '${user}', master_password = '${password}', master_use_gtid = slave_pos, master_connect_retry = 1`);
    await replica.query("start slave");
    return replica;
  }

  #through(owner: MariadbOwner | undefined): readonly string[] {
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

  #diskOf(server: MariadbServer): SmallDisk | undefined {
    return this.#disks.find(({ path }) => server.place.folder.startsWith(`${path}/`));
  }

  #remember(server: MariadbServer): void {
    if (server.pid !== undefined) this.#pids.add(server.pid);
  }
}

function urlOf({ host, port }: { readonly host: string; readonly port: number }, user: string): string {
  return `mysql://${user}:${PASSWORD}@${host}:${port}/${DATABASE}`;
}

async function rowsOf(server: MariadbServer): Promise<FencedRow[]> {
  const rows = await server.query(LEDGER.mysql.rows, [], { database: DATABASE });
  return rows.map(({ sequence, token, ...rest }) => ({ ...(rest as Omit<FencedRow, "sequence" | "token">), sequence: Number(sequence), token: Number(token) }));
}

async function untilCaughtUp(primary: MariadbServer, replica: MariadbServer): Promise<void> {
  const position = String((await primary.query("select @@gtid_binlog_pos as position"))[0]?.["position"]);
  const answer = (await replica.query("select master_gtid_wait(?, 30) as answer", [position]))[0]?.["answer"];
  if (Number(answer) !== 0) throw new Error("the replica does not follow the server");
}
