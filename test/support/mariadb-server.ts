import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { access, chown, constants, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { createConnection } from "mysql2/promise";
import type { RowDataPacket } from "mysql2/promise";
import { installOnDebian } from "./postgres-server.ts";

const run = promisify(execFile);

/** Long enough for a slow machine that also runs other tests. */
const START_TIMEOUT_MS = 60_000;
const LOG_LINES_KEPT = 200;
const ADMINISTRATOR = "tribune";

/** Where the programs of a MariaDB server are, or why there are none. */
export type MariadbPrograms = { readonly server: string; readonly installer: string; readonly version: string } | { readonly missing: string };

type FoundPrograms = Exclude<MariadbPrograms, { missing: string }>;

export interface MariadbServerOptions {
  /** Settings of the server, with underscores. Commits are on disk before they are answered unless said otherwise: that is part of the epoch. */
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly programs?: FoundPrograms;
  readonly surroundings?: MariadbSurroundings;
}

/** What a server has around it, where that is not simply this host. */
export interface MariadbSurroundings {
  /** The address that it listens on. The test itself then speaks to it through its socket. */
  readonly host: string;
  /** A program and its arguments, run as root, that turn themselves into the server as this owner; empty: nothing is needed. */
  readonly through: (owner: MariadbOwner | undefined) => readonly string[];
  /** Where the folder of the server is made. Default: the system's temporary folder. */
  readonly parent?: () => Promise<string>;
}

/** Who runs the server: MariaDB refuses to be run by root. */
export interface MariadbOwner {
  readonly uid: number;
  readonly gid: number;
}

// ---- finding

/** Looks for server programs: in the folder that `TRIBUNE_TEST_MARIADB_BIN` names, on the path, and where packages put them. As root on Debian they are installed if need be. */
export async function findMariadb(): Promise<MariadbPrograms> {
  const found = await findInstalled();
  if (found !== undefined) return found;
  const trouble = await installOnDebian("mariadb-server");
  if (trouble !== undefined) return { missing: `no MariaDB server programs were found, and ${trouble}` };
  return (await findInstalled()) ?? { missing: "no MariaDB server programs were found, also after installing them" };
}

async function findInstalled(): Promise<FoundPrograms | undefined> {
  const named = process.env["TRIBUNE_TEST_MARIADB_BIN"];
  const folders = named !== undefined ? [named] : [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];
  const server = await firstExecutable(folders, "mariadbd");
  const installer = await firstExecutable(folders, "mariadb-install-db");
  if (server === undefined || installer === undefined) return undefined;
  const { stdout } = await run(server, ["--version"]);
  return { server, installer, version: /(\d+\.\d+\.\d+)-MariaDB/.exec(stdout)?.[1] ?? "0" };
}

async function firstExecutable(folders: readonly string[], name: string): Promise<string | undefined> {
  for (const folder of folders.filter((each) => each !== "")) {
    const file = join(folder, name);
    const there = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (there) return file;
  }
  return undefined;
}

// ---- a server of the test's own

/** Makes a data folder of its own, starts a server on it, and resolves when it answers. */
export async function startMariadb(options: MariadbServerOptions = {}): Promise<MariadbServer> {
  const programs = options.programs ?? (await findMariadb());
  if ("missing" in programs) throw new Error(programs.missing);
  const { surroundings } = options;
  const owner = await findOwner();
  const folder = await mkdtemp(join((await surroundings?.parent?.()) ?? tmpdir(), "tribune-mariadb-"));
  const password = randomBytes(18).toString("hex");
  try {
    const initFile = join(folder, "init.sql");
    await writeFile(initFile, `create user if not exists '${ADMINISTRATOR}'@'%' identified by '${password}';\ngrant all on *.* to '${ADMINISTRATOR}'@'%' with grant option;\n`);
    for (const path of [folder, initFile]) if (owner !== undefined) await chown(path, owner.uid, owner.gid);
    const args = ["--no-defaults", `--datadir=${join(folder, "data")}`, "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M"];
    await run(programs.installer, args, { ...owner, cwd: folder, env: environmentIn(folder) });
    const server = new MariadbServer({ programs, owner, folder, password, port: await freePort(), settings: options.settings ?? {}, surroundings });
    await server.start();
    return server;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

interface Place {
  readonly programs: FoundPrograms;
  readonly owner: MariadbOwner | undefined;
  readonly folder: string;
  readonly password: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly surroundings?: MariadbSurroundings | undefined;
}

/** One server. Whoever starts it stops it; when the test process exits first, the server is killed. */
export class MariadbServer {
  readonly place: Place;
  readonly #log: string[] = [];
  #child: ChildProcess | undefined;
  #serverId = 1;

  constructor(place: Place) {
    this.place = place;
  }

  get port(): number {
    return this.place.port;
  }

  get host(): string {
    return this.place.surroundings?.host ?? "127.0.0.1";
  }

  /** The process of the server. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Who may do everything. */
  get administrator(): { readonly user: string; readonly password: string } {
    return { user: ADMINISTRATOR, password: this.password };
  }

  get password(): string {
    return this.place.password;
  }

  get socketPath(): string {
    return join(this.place.folder, "socket");
  }

  get version(): string {
    return this.place.programs.version;
  }

  /** For the administrator, without a database. */
  get url(): string {
    return this.urlOf({});
  }

  urlOf({ user = ADMINISTRATOR, password = this.password, database = "", port = this.port }: { user?: string; password?: string; database?: string; port?: number }): string {
    return `mysql://${user}:${password}@${this.host}:${port}/${database}`;
  }

  /** The last lines that the server wrote. */
  get log(): readonly string[] {
    return this.#log;
  }

  async start(more: Readonly<Record<string, string | number>> = {}): Promise<void> {
    const { programs, owner, folder, port, settings, surroundings } = this.place;
    const all = {
      datadir: join(folder, "data"),
      port,
      bind_address: this.host,
      socket: this.socketPath,
      pid_file: join(folder, "pid"),
      init_file: join(folder, "init.sql"),
      server_id: this.#serverId,
      innodb_buffer_pool_size: "64M",
      innodb_log_file_size: "16M",
      max_connections: 300,
      ...settings,
      ...more,
    };
    const args = ["--no-defaults", ...Object.entries(all).map(([name, value]) => `--${name.replaceAll("_", "-")}=${value}`)];
    const before = surroundings?.through(owner) ?? [];
    const [first, ...rest] = [...before, programs.server];
    const child = spawn(first, [...rest, ...args], { ...(before.length > 0 ? {} : owner), cwd: folder, env: environmentIn(folder), stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    const killed = () => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    };
    process.once("exit", killed);
    child.once("exit", () => process.removeListener("exit", killed));
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.#log.push(line);
      if (this.#log.length > LOG_LINES_KEPT) this.#log.shift();
      child.emit("line", line);
    });
    await this.#untilReady(child);
  }

  /** The server is up when it lets us in; it says in its log when that is worth another try. */
  async #untilReady(child: ChildProcess): Promise<void> {
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    const ended = once(child, "exit", { signal }).then(() => {
      throw new Error("the server ended while it started");
    });
    ended.catch(() => undefined);
    try {
      for (;;) {
        const said = once(child, "line", { signal });
        said.catch(() => undefined);
        const trouble = await this.query("select 1").then(
          () => undefined,
          (error: unknown) => error as Error,
        );
        if (trouble === undefined) return;
        await Promise.race([said, ended]);
      }
    } catch (error) {
      await this.kill("SIGKILL");
      throw new Error(`MariaDB did not start; its log ends with:\n${this.#log.join("\n")}`, { cause: error });
    }
  }

  /** Ends the server as `kill` does from a shell, and waits until it is gone. `SIGKILL` is a crash. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** Shutdown and start on the same data and port. */
  async restart(more: Readonly<Record<string, string | number>> = {}): Promise<void> {
    await this.kill("SIGTERM");
    await this.start(more);
  }

  /** Restarts as another server that has the same data, as after a failover that lost nothing. */
  async restartAsAnother(): Promise<void> {
    this.#serverId += 1;
    await this.restart();
  }

  /** Ends the server; the data is removed. */
  async stop(): Promise<void> {
    this.resume();
    await this.kill("SIGKILL");
    await rm(this.place.folder, { recursive: true, force: true });
  }

  /** Freezes the server: connections stay open and nothing is answered. Resolves when the last of its threads has stopped, which is a moment after the signal. */
  async pause(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    this.#child?.kill("SIGSTOP");
    while (this.#child?.exitCode === null && !(await hasStopped(pid))) await pause(1);
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  /** Ends every connection but the one that asks. */
  async cut(): Promise<void> {
    const rows = await this.query("select id from information_schema.processlist where id <> connection_id() and user = ?", [ADMINISTRATOR]);
    for (const { id } of rows) await this.query(`kill connection ${Number(id)}`).catch(() => undefined); // it may have ended by itself
  }

  /** Runs one statement as the administrator on a connection of its own. */
  async query(text: string, values: readonly unknown[] = [], { database = "" }: { database?: string } = {}): Promise<Record<string, unknown>[]> {
    return await queryOnce(this.urlOf({ database }), text, values, this.place.surroundings === undefined ? undefined : this.socketPath);
  }

  /** A fresh, empty database. */
  async createDatabase(): Promise<{ readonly name: string; readonly url: string }> {
    const name = await makeDatabase(this.url);
    return { name, url: this.urlOf({ database: name }) };
  }
}

/** Runs one statement on a connection of its own. */
export async function queryOnce(url: string, text: string, values: readonly unknown[] = [], socketPath?: string): Promise<Record<string, unknown>[]> {
  const connection = await createConnection({ uri: url, connectTimeout: START_TIMEOUT_MS, ...(socketPath === undefined ? {} : { socketPath }) });
  try {
    const [rows] = await connection.query<RowDataPacket[]>(text, [...values]);
    return rows;
  } finally {
    connection.destroy();
  }
}

/** Makes a fresh, empty database on the server of `url`, and answers its name. */
export async function makeDatabase(url: string): Promise<string> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  await queryOnce(url, `create database ${name}`);
  return name;
}

// ---- the machine

/** A server that starts removes whatever temporary tables lie where it puts its own, also those of another that runs: so each has a place for them. */
function environmentIn(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", TZ: "UTC", TMPDIR: folder };
}

async function findOwner(): Promise<MariadbOwner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  const account = accounts.find(([name]) => name === "mysql") ?? accounts.find(([name]) => name === "nobody");
  if (account === undefined) throw new Error("MariaDB does not run as root, and there is neither a user mysql nor nobody");
  return { uid: Number(account[2]), gid: Number(account[3]) };
}

/** On Linux each thread tells for itself. */
async function hasStopped(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => undefined);
  if (threads === undefined) return (await run("ps", ["-o", "stat=", "-p", String(pid)])).stdout.trim().startsWith("T");
  const states = await Promise.all(threads.map(async (thread) => await readFile(`/proc/${pid}/task/${thread}/stat`, "utf8").catch(() => ") T")));
  return states.every((stat) => stat.slice(stat.lastIndexOf(")") + 2).startsWith("T"));
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
