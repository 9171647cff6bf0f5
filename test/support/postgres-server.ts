import { execFile, execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { access, appendFile, chmod, chown, constants, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { Client } from "pg";

const run = promisify(execFile);

/** Long enough for a slow machine that also runs other tests. */
const START_TIMEOUT_MS = 60_000;
const LOG_LINES_KEPT = 200;
const SUPERUSER = "tribune";

/** Where the programs of a PostgreSQL server are, or why there are none. */
export type PostgresPrograms = { readonly bin: string; readonly major: number } | { readonly missing: string };

export interface PostgresServerOptions {
  /** Settings of the server. `fsync` is on unless said otherwise: switching it off changes the epoch at each restart. */
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly programs?: Extract<PostgresPrograms, { bin: string }>;
  readonly surroundings?: ServerSurroundings;
}

/** What a server has around it, where that is not simply this host. */
export interface ServerSurroundings {
  /** The address that it listens on. The test itself then speaks to it through its socket. */
  readonly host: string;
  /** Where clients come from, as CIDR. */
  readonly clients: string;
  /** A program and its arguments, run as root, that turn themselves into the server as this owner; empty: nothing is needed. */
  readonly through: (owner: Owner | undefined) => readonly string[];
  /** Where the folder of each server is made. Default: the system's temporary folder. */
  readonly parent?: () => Promise<string>;
  /** More arguments of `initdb`. */
  readonly initdb?: readonly string[];
}

/** Who runs the server: PostgreSQL refuses to be run by root. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

// ---- finding

/**
 * Looks for server programs: in the folder that `TRIBUNE_TEST_POSTGRES_BIN` names, on the path, and where packages put
 * them, the newest first. As root on Debian they are installed if need be.
 */
export async function findPostgres(): Promise<PostgresPrograms> {
  const found = await findInstalled();
  if (found !== undefined) return found;
  const trouble = await installOnDebian("postgresql");
  if (trouble !== undefined) return { missing: `no PostgreSQL server programs were found, and ${trouble}` };
  return (await findInstalled()) ?? { missing: "no PostgreSQL server programs were found, also after installing them" };
}

async function findInstalled(): Promise<Extract<PostgresPrograms, { bin: string }> | undefined> {
  const named = process.env["TRIBUNE_TEST_POSTGRES_BIN"];
  const packaged = (await Promise.all(["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"].map(versionsIn))).flat();
  const folders = named !== undefined ? [named] : [...(process.env["PATH"] ?? "").split(delimiter), ...packaged, "/usr/local/pgsql/bin"];
  for (const bin of folders.filter((folder) => folder !== "")) {
    const programs = await Promise.all(["postgres", "initdb", "pg_basebackup"].map((name) => isExecutable(join(bin, name))));
    if (programs.includes(false)) continue;
    const { stdout } = await run(join(bin, "postgres"), ["--version"]);
    return { bin, major: Number(/(\d+)/.exec(stdout)?.[1] ?? 0) };
  }
  return undefined;
}

async function versionsIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => /^(postgresql@?)?\d+$/.test(name))
    .sort((a, b) => Number(b.replace(/\D/g, "")) - Number(a.replace(/\D/g, "")))
    .map((name) => join(folder, name, "bin"));
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Installs a package where that is possible without asking anybody; answers why not. No daemon is started by it. */
export async function installOnDebian(name: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "this is not root, who could install them";
  if (!(await isExecutable("/usr/bin/apt-get"))) return "there is no apt-get to install them with";
  const policy = "/usr/sbin/policy-rc.d"; // asked by Debian's packages before they start a daemon; 101 forbids it
  const ours = await writeFile(policy, "#!/bin/sh\nexit 101\n", { flag: "wx", mode: 0o755 }).then(
    () => true,
    () => false,
  );
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    // Another test file may be at it as well: dpkg's lock is waited for, and that the lists are locked does not matter.
    await run("apt-get", ["update", "-q"], { env }).catch(() => undefined);
    await run("apt-get", ["install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", name], { env });
    return undefined;
  } catch (error) {
    return `installing them with apt-get failed: ${(error as Error).message.split("\n").slice(-3).join(" ")}`;
  } finally {
    if (ours) await rm(policy, { force: true });
  }
}

// ---- a server of the test's own

/** Makes a database cluster in a folder of its own, starts a server on it, and resolves when it answers. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const programs = await programsOf(options);
  const owner = await findOwner();
  const { surroundings } = options;
  const folder = await makeFolder(surroundings);
  const password = randomBytes(18).toString("hex");
  try {
    const passwordFile = join(folder, "password");
    await writeFile(passwordFile, password);
    for (const path of [folder, passwordFile]) if (owner !== undefined) await chown(path, owner.uid, owner.gid);
    await runAs(owner, folder, join(programs.bin, "initdb"), [
      `--pgdata=${join(folder, "data")}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--no-sync",
      ...(surroundings?.initdb ?? []),
    ]);
    if (surroundings !== undefined) {
      const lets = ["all", "replication"].map((what) => `host ${what} all ${surroundings.clients} scram-sha-256\n`);
      await appendFile(join(folder, "data", "pg_hba.conf"), lets.join(""));
    }
    const server = new PostgresServer({ programs, owner, folder, password, port: await freePort(), settings: options.settings ?? {}, surroundings });
    await server.start();
    return server;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Copies a running server and starts the copy as its hot standby. `port`: where the primary is reached instead, such as a proxy. */
export async function startStandby(primary: PostgresServer, { port = primary.port }: { readonly port?: number } = {}): Promise<PostgresServer> {
  const { programs, owner, password, surroundings } = primary.place;
  const folder = await makeFolder(surroundings);
  try {
    if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
    const dataDir = join(folder, "data");
    await runAs(owner, folder, join(programs.bin, "pg_basebackup"), ["-R", "-X", "stream", "--checkpoint=fast", "--no-sync", "-D", dataDir, "-d", surroundings === undefined ? primary.urlOf({ port }) : primary.socketUrl]);
    await chmod(dataDir, 0o700);
    const server = new PostgresServer({ programs, owner, folder, password, port: await freePort(), settings: primary.place.settings, surroundings });
    await server.start();
    return server;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function makeFolder(surroundings: ServerSurroundings | undefined): Promise<string> {
  return await mkdtemp(join((await surroundings?.parent?.()) ?? tmpdir(), "tribune-postgres-"));
}

interface Place {
  readonly programs: Extract<PostgresPrograms, { bin: string }>;
  readonly owner: Owner | undefined;
  readonly folder: string;
  readonly password: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly surroundings?: ServerSurroundings | undefined;
}

/** One server. Whoever starts it stops it; when the test process exits first, the server is killed. */
export class PostgresServer {
  readonly place: Place;
  readonly #log: string[] = [];
  #child: ChildProcess | undefined;

  constructor(place: Place) {
    this.place = place;
  }

  get port(): number {
    return this.place.port;
  }

  get host(): string {
    return this.place.surroundings?.host ?? "127.0.0.1";
  }

  get password(): string {
    return this.place.password;
  }

  get dataDir(): string {
    return join(this.place.folder, "data");
  }

  get socketDir(): string {
    return this.place.folder;
  }

  get major(): number {
    return this.place.programs.major;
  }

  /** The process that all others of the server are children of. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** For the superuser, on the database `postgres`, through the socket. */
  get socketUrl(): string {
    return this.socketUrlOf({});
  }

  socketUrlOf({ user = SUPERUSER, password = this.password, database = "postgres" }: { user?: string; password?: string; database?: string }): string {
    return `postgres://${user}:${password}@/${database}?host=${encodeURIComponent(this.socketDir)}&port=${this.port}`;
  }

  /** For the superuser, on the database `postgres`. */
  get url(): string {
    return this.urlOf({});
  }

  urlOf({ user = SUPERUSER, password = this.password, database = "postgres", port = this.port }: { user?: string; password?: string; database?: string; port?: number }): string {
    return `postgres://${user}:${password}@${this.host}:${port}/${database}`;
  }

  /** The last lines that the server wrote. */
  get log(): readonly string[] {
    return this.#log;
  }

  async start(more: Readonly<Record<string, string | number>> = {}): Promise<void> {
    const { programs, owner, folder, port, settings, surroundings } = this.place;
    const all = { port, listen_addresses: this.host, unix_socket_directories: folder, lc_messages: "C", ...settings, ...more };
    const args = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const before = [...(surroundings?.through(owner) ?? [])];
    const program = join(programs.bin, "postgres");
    const [first, ...rest] = [...before, program];
    const child = spawn(first, [...rest, "-D", this.dataDir, ...args], {
      ...(owner === undefined || before.length > 0 ? {} : owner),
      cwd: folder,
      env: { ...process.env, LC_ALL: "C", TZ: "UTC" },
      stdio: ["ignore", "ignore", "pipe"],
    });
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
      throw new Error(`PostgreSQL did not start; its log ends with:\n${this.#log.join("\n")}`, { cause: error });
    }
  }

  /** Ends the server as `kill` does from a shell, and waits until it is gone. `SIGKILL` is a crash. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
    if (signal === "SIGKILL") await this.#untilOrphansAreGone();
  }

  /** Backends outlive a killed postmaster for a moment, and a new one does not start before they are gone. */
  async #untilOrphansAreGone(): Promise<void> {
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    while (!signal.aborted && (await processesIn(this.dataDir)).length > 0) await pause(10);
  }

  /** Fast shutdown and start on the same data and port. */
  async restart(): Promise<void> {
    await this.kill("SIGINT");
    await this.start();
  }

  /** Fast shutdown; the data is removed. */
  async stop(): Promise<void> {
    this.resume();
    await this.kill("SIGINT");
    await rm(this.place.folder, { recursive: true, force: true });
  }

  /** Freezes every process of the server: connections stay open and nothing is answered. */
  pause(): void {
    this.#signalAll("SIGSTOP");
  }

  resume(): void {
    this.#signalAll("SIGCONT");
  }

  #signalAll(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined || this.#child?.exitCode !== null) return;
    for (const each of [pid, ...childrenOf(pid)]) {
      try {
        process.kill(each, signal);
      } catch {
        // It ended between the look and the signal.
      }
    }
  }

  /**
   * Restarts as a recovery from the archive that finds nothing there: the data stays and the timeline is a new one, as
   * after a failover that lost nothing (PostgreSQL manual, "Timelines").
   */
  async restartOnNewTimeline(): Promise<void> {
    await this.kill("SIGINT");
    const signalFile = join(this.dataDir, "recovery.signal"); // PostgreSQL removes it when the recovery is done
    await writeFile(signalFile, "");
    const { owner } = this.place;
    if (owner !== undefined) await chown(signalFile, owner.uid, owner.gid);
    await this.start({ restore_command: "false" });
    await this.#untilWritable();
  }

  async #untilWritable(): Promise<void> {
    while ((await this.query("select pg_is_in_recovery() as is"))[0]?.["is"] === true) await pause(10);
  }

  /** Makes a standby a primary, with a timeline of its own. */
  async promote(): Promise<void> {
    await this.query("select pg_promote(true, 60)");
  }

  /** Runs one statement as the superuser on a connection of its own. */
  async query(text: string, values: readonly unknown[] = [], { database = "postgres" }: { database?: string } = {}): Promise<Record<string, unknown>[]> {
    return await queryOnce(this.place.surroundings === undefined ? this.urlOf({ database }) : this.socketUrlOf({ database }), text, values);
  }

  /** A fresh, empty database. */
  async createDatabase(): Promise<{ readonly name: string; readonly url: string }> {
    const name = await makeDatabase(this.url);
    return { name, url: this.urlOf({ database: name }) };
  }
}

// ---- a server to test against, whoever runs it

/** A server on which a test may make databases and roles, but which it cannot restart. */
export interface TestPostgres {
  /** For a superuser. */
  readonly url: string;
  query(text: string, values?: readonly unknown[], options?: { database?: string }): Promise<Record<string, unknown>[]>;
  createDatabase(): Promise<{ readonly name: string; readonly url: string }>;
  stop(): Promise<void>;
}

/** The server that `TRIBUNE_TEST_POSTGRES_URL` names, or one of the test's own; or why there is none. */
export async function postgresForTests(options: PostgresServerOptions = {}): Promise<TestPostgres | { readonly missing: string }> {
  const url = process.env["TRIBUNE_TEST_POSTGRES_URL"];
  if (url !== undefined && url !== "") return externalPostgres(url);
  const programs = options.programs ?? (await findPostgres());
  if ("missing" in programs) return programs;
  return await startPostgres({ ...options, programs });
}

function externalPostgres(url: string): TestPostgres {
  const urlOf = (database: string) => Object.assign(new URL(url), { pathname: `/${database}` }).href;
  const made: string[] = [];
  return {
    url,
    query: async (text, values = [], { database } = {}) => await queryOnce(database === undefined ? url : urlOf(database), text, values),
    async createDatabase() {
      const name = await makeDatabase(url);
      made.push(name);
      return { name, url: urlOf(name) };
    },
    async stop() {
      for (const name of made.splice(0)) await queryOnce(url, `drop database "${name}" with (force)`, []);
    },
  };
}

async function makeDatabase(url: string): Promise<string> {
  const name = `test_${randomBytes(8).toString("hex")}`;
  await queryOnce(url, `create database "${name}" template template0`, []);
  return name;
}

async function queryOnce(url: string, text: string, values: readonly unknown[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: START_TIMEOUT_MS });
  client.on("error", () => undefined); // the query reports it
  try {
    await client.connect();
    const result = await client.query<Record<string, unknown>>(text, [...values]);
    return result.rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

// ---- the machine

async function programsOf(options: PostgresServerOptions): Promise<Extract<PostgresPrograms, { bin: string }>> {
  const programs = options.programs ?? (await findPostgres());
  if ("missing" in programs) throw new Error(programs.missing);
  return programs;
}

async function findOwner(): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  const account = accounts.find(([name]) => name === "postgres") ?? accounts.find(([name]) => name === "nobody");
  if (account === undefined) throw new Error("PostgreSQL does not run as root, and there is neither a user postgres nor nobody");
  return { uid: Number(account[2]), gid: Number(account[3]) };
}

async function runAs(owner: Owner | undefined, cwd: string, program: string, args: readonly string[]): Promise<void> {
  await run(program, args, { ...(owner === undefined ? {} : owner), cwd, env: { ...process.env, LC_ALL: "C" } });
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

function childrenOf(pid: number): readonly number[] {
  const table = process.platform === "linux" ? linuxProcesses() : psProcesses();
  return table.filter(([, parent]) => parent === pid).map(([child]) => child);
}

/** Pairs of process and parent. The name in /proc/PID/stat may hold spaces, so fields are counted from its closing bracket. */
function linuxProcesses(): readonly (readonly [number, number])[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      return [[Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])] as const];
    } catch {
      return []; // ended meanwhile
    }
  });
}

function psProcesses(): readonly (readonly [number, number])[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
  return lines.map((line) => line.trim().split(/\s+/).map(Number)).map(([pid, parent]) => [pid ?? 0, parent ?? 0] as const);
}

/** Processes whose working folder is `folder`, as that of each server process is the data folder. Only Linux tells. */
async function processesIn(folder: string): Promise<readonly string[]> {
  const names = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const folders = await Promise.all(names.map((name) => readlink(`/proc/${name}/cwd`).catch(() => "")));
  return names.filter((_, n) => folders[n] === folder);
}
