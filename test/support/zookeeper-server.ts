import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { access, constants, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { installOnDebian } from "./postgres-server.ts";

const run = promisify(execFile);

/** Long enough for a slow machine that also runs other tests. */
const START_TIMEOUT_MS = 60_000;
const LOG_LINES_KEPT = 200;
const PACKAGED_JAR = "/usr/share/java/zookeeper.jar";

/** Where Java and the jars of a ZooKeeper server are, or why there are none. */
export type ZookeeperPrograms = { readonly java: string; readonly classPath: string; readonly version: string } | { readonly missing: string };

type FoundPrograms = Exclude<ZookeeperPrograms, { missing: string }>;

export interface ZookeeperServerOptions {
  readonly programs?: FoundPrograms;
  /** Lines of `zoo.cfg`. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** System properties of Java. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Users that may log in by SASL, with their passwords. */
  readonly saslUsers?: Readonly<Record<string, string>>;
  /** What the server has around it, where that is not simply this host. */
  readonly surroundings?: ZookeeperSurroundings;
}

/** Where a server runs, if not simply here. */
export interface ZookeeperSurroundings {
  readonly host: string;
  /** A program and its arguments that turn themselves into the server. */
  readonly through: readonly string[];
  /** Where its folder is made. Default: the system's temporary folder. */
  readonly parent?: () => Promise<string>;
}

// ---- finding

/** Looks for the jar that `TRIBUNE_TEST_ZOOKEEPER_JAR` names (a class path does as well), and where the package puts it. As root on Debian it is installed if need be. */
export async function findZookeeper(): Promise<ZookeeperPrograms> {
  const found = await findInstalled();
  if (found !== undefined) return found;
  for (const name of ["zookeeper", "default-jre-headless"]) {
    const trouble = await installOnDebian(name);
    if (trouble !== undefined) return { missing: `no ZooKeeper server was found, and ${trouble}` };
  }
  return (await findInstalled()) ?? { missing: "no ZooKeeper server was found, also after installing one" };
}

async function findInstalled(): Promise<FoundPrograms | undefined> {
  const jar = process.env["TRIBUNE_TEST_ZOOKEEPER_JAR"] ?? PACKAGED_JAR;
  const java = await firstExecutable([...(process.env["JAVA_HOME"] === undefined ? [] : [join(process.env["JAVA_HOME"], "bin")]), ...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin"], "java");
  const [first = ""] = jar.split(delimiter);
  if (java === undefined || !(await isThere(first, constants.R_OK))) return undefined;
  // A logger that writes to standard error; and what the package of Debian forgets, without which there is no TLS.
  const beside = (await readdir(dirname(first))).filter((name) => /^(?:slf4j-simple|netty-codec|netty-resolver)\.jar$/.test(name)).map((name) => join(dirname(first), name));
  const classPath = [jar, ...beside].join(delimiter);
  const { stdout } = await run(java, ["-Xmx64m", "-cp", classPath, "org.apache.zookeeper.version.VersionInfoMain"]);
  return { java, classPath, version: /version:? (\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? "0" };
}

async function firstExecutable(folders: readonly string[], name: string): Promise<string | undefined> {
  for (const folder of folders.filter((each) => each !== "")) if (await isThere(join(folder, name), constants.X_OK)) return join(folder, name);
  return undefined;
}

async function isThere(path: string, mode: number): Promise<boolean> {
  return await access(path, mode).then(
    () => true,
    () => false,
  );
}

// ---- servers of the test's own

/** Starts a server that stands alone, on a folder of its own, and resolves when it answers. */
export async function startZookeeper(options: ZookeeperServerOptions = {}): Promise<ZookeeperServer> {
  const server = await makeServer(options);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Starts servers that are an ensemble, and resolves when they have a leader. */
export async function startEnsemble(options: ZookeeperServerOptions = {}, { count = 3, surroundingsOf }: { readonly count?: number; readonly surroundingsOf?: (number: number) => ZookeeperSurroundings } = {}): Promise<ZookeeperEnsemble> {
  const servers = await Promise.all(Array.from({ length: count }, async (_, n) => await makeServer(surroundingsOf === undefined ? options : { ...options, surroundings: surroundingsOf(n) })));
  const ensemble = await ensembleOf(servers);
  try {
    await Promise.all(servers.map(async (server) => await server.start({ untilServing: true })));
    return ensemble;
  } catch (error) {
    await ensemble.stop();
    throw error;
  }
}

/** A server of an ensemble whose other servers never come up: it takes connections of readers, and no writes; or, where that is switched off, nobody's. */
export async function startWithoutQuorum(options: ZookeeperServerOptions = {}, { untilServing = true }: { readonly untilServing?: boolean } = {}): Promise<ZookeeperServer> {
  const properties = { "readonlymode.enabled": "true", ...options.properties };
  const servers = await Promise.all(Array.from({ length: 3 }, async () => await makeServer({ ...options, properties })));
  await ensembleOf(servers);
  const [first, ...others] = servers;
  for (const other of others) await other.stop();
  if (first === undefined) throw new Error("there is no first server");
  await first.start({ untilServing });
  return first;
}

async function ensembleOf(servers: readonly ZookeeperServer[]): Promise<ZookeeperEnsemble> {
  const lines = await Promise.all(servers.map(async ({ host }, n) => `server.${n + 1}=${host}:${await freePort()}:${await freePort()}`));
  for (const [n, server] of servers.entries()) await server.beMember(n + 1, lines);
  return new ZookeeperEnsemble(servers);
}

async function makeServer(options: ZookeeperServerOptions): Promise<ZookeeperServer> {
  const programs = options.programs ?? (await findZookeeper());
  if ("missing" in programs) throw new Error(programs.missing);
  const folder = await mkdtemp(join((await options.surroundings?.parent?.()) ?? tmpdir(), "tribune-zookeeper-"));
  await mkdir(join(folder, "data"));
  return new ZookeeperServer({ programs, folder, port: await freePort(), options });
}

interface Place {
  readonly programs: FoundPrograms;
  readonly folder: string;
  readonly port: number;
  readonly options: ZookeeperServerOptions;
}

/** One server. Whoever starts it stops it; when the test process exits first, the server is killed. */
export class ZookeeperServer {
  readonly place: Place;
  readonly #log: string[] = [];
  #members: readonly string[] = [];
  #child: ChildProcess | undefined;

  constructor(place: Place) {
    this.place = place;
  }

  get host(): string {
    return this.place.options.surroundings?.host ?? "127.0.0.1";
  }

  get port(): number {
    return this.place.port;
  }

  get address(): string {
    return `${this.host}:${this.port}`;
  }

  get url(): string {
    return `zookeeper://${this.address}`;
  }

  get version(): string {
    return this.place.programs.version;
  }

  /** The process of the server. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Where it keeps its data; to be copied only while it does not run. */
  get dataFolder(): string {
    return join(this.place.folder, "data");
  }

  /** The last lines that the server wrote. */
  get log(): readonly string[] {
    return this.#log;
  }

  get isRunning(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** From its next start on it is number `n` of these. */
  async beMember(n: number, lines: readonly string[]): Promise<void> {
    this.#members = lines;
    await writeFile(join(this.dataFolder, "myid"), String(n));
  }

  /** Starts it, and waits until it answers; of an ensemble with `untilServing` until that has a leader, or until it says that it serves readers only. */
  async start({ untilServing = this.#members.length === 0 }: { readonly untilServing?: boolean } = {}): Promise<void> {
    const { programs, folder, options } = this.place;
    const { surroundings } = options;
    const config = {
      tickTime: 500,
      initLimit: 20,
      syncLimit: 10,
      minSessionTimeout: 1_000,
      maxSessionTimeout: 60_000,
      dataDir: this.dataFolder,
      clientPort: this.port,
      clientPortAddress: this.host,
      maxClientCnxns: 0,
      "admin.enableServer": "false",
      "4lw.commands.whitelist": "*",
      preAllocSize: 1_024,
      ...options.settings,
    };
    await writeFile(join(folder, "zoo.cfg"), [...Object.entries(config).map(([name, value]) => `${name}=${value}`), ...this.#members, ""].join("\n"));
    const properties = { "org.slf4j.simpleLogger.defaultLogLevel": "warn", "zookeeper.jmx.log4j.disable": "true", ...(await this.#saslProperties()), ...options.properties };
    const args = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", programs.classPath, ...Object.entries(properties).map(([name, value]) => `-D${name}=${value}`)];
    const [first, ...rest] = [...(surroundings?.through ?? []), programs.java];
    const child = spawn(first, [...rest, ...args, "org.apache.zookeeper.server.quorum.QuorumPeerMain", join(folder, "zoo.cfg")], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
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
    });
    if (untilServing) await this.untilServing();
  }

  /** Waits until the server has a part in an ensemble, or serves readers only; nothing tells when, so it is asked. */
  async untilServing(): Promise<string> {
    const endMs = performance.now() + START_TIMEOUT_MS;
    while (performance.now() < endMs) {
      const mode = await this.mode();
      if (mode !== undefined) return mode;
      if (!this.isRunning) break;
      await pause(25);
    }
    await this.kill("SIGKILL");
    throw new Error(`ZooKeeper did not start; its log ends with:\n${this.#log.join("\n")}`);
  }

  /** "standalone", "leader", "follower", "read-only"; undefined while it serves nobody. */
  async mode(): Promise<string | undefined> {
    return /^Mode: (.*)$/m.exec(await this.ask("srvr").catch(() => ""))?.[1];
  }

  /** Whether it leads, and the epoch of the last change that it has seen: another one under each leader. Undefined while it serves nobody. */
  async standing(): Promise<{ readonly leads: boolean; readonly reign: string } | undefined> {
    const said = await this.ask("srvr").catch(() => "");
    const [, zxid, mode] = /^Zxid: 0x([0-9a-f]+)$[^]*^Mode: (.*)$/m.exec(said) ?? [];
    if (zxid === undefined) return undefined;
    return { leads: mode === "leader", reign: zxid.padStart(16, "0").slice(0, 8) };
  }

  /** Asks one of the words of four letters. */
  async ask(word: string): Promise<string> {
    const [first, ...rest] = this.place.options.surroundings?.through ?? [];
    if (first !== undefined) return (await run(first, [...rest, "timeout", "2", "bash", "-c", `exec 3<>/dev/tcp/${this.host}/${this.port} && printf ${word} >&3 && cat <&3`])).stdout;
    return await new Promise((resolve, reject) => {
      const socket = connect({ host: this.host, port: this.port }, () => socket.write(word));
      let text = "";
      socket.setTimeout(2_000, () => socket.destroy(new Error("no answer")));
      socket.on("data", (chunk) => (text += chunk.toString()));
      socket.on("close", () => resolve(text));
      socket.on("error", reject);
    });
  }

  /** Types these lines into `zkCli.sh`, and answers what it said. */
  async cli(lines: readonly string[]): Promise<string> {
    const { java, classPath } = this.place.programs;
    const child = spawn(java, ["-Xmx64m", "-cp", classPath, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "org.apache.zookeeper.ZooKeeperMain", "-server", this.address], { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.stdin.end(`${[...lines, "quit"].join("\n")}\n`);
    await once(child, "close");
    return said;
  }

  /** Ends the server as `kill` does from a shell, and waits until it is gone. `SIGKILL` is a crash. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** A crash, and a start on the same data and port. */
  async restart(): Promise<void> {
    await this.kill("SIGKILL");
    await this.start({ untilServing: true });
  }

  /** Ends the server; the data is removed. */
  async stop(): Promise<void> {
    this.resume();
    await this.kill("SIGKILL");
    await rm(this.place.folder, { recursive: true, force: true });
  }

  /** Freezes the server: connections stay open and nothing is answered. Resolves when the last of its threads has stopped. */
  async pause(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    this.#child?.kill("SIGSTOP");
    while (this.isRunning && !(await hasStopped(pid))) await pause(1);
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async #saslProperties(): Promise<Readonly<Record<string, string>>> {
    const { saslUsers } = this.place.options;
    if (saslUsers === undefined) return {};
    const file = join(this.place.folder, "jaas.conf");
    const users = Object.entries(saslUsers).map(([user, password]) => `user_${user}="${password}"`);
    await writeFile(file, `Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  ${users.join("\n  ")};\n};\n`, { mode: 0o600 });
    return { "java.security.auth.login.config": file, "zookeeper.authProvider.1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider" };
  }
}

/** Several servers that keep one copy each. */
export class ZookeeperEnsemble {
  readonly servers: readonly ZookeeperServer[];

  constructor(servers: readonly ZookeeperServer[]) {
    this.servers = servers;
  }

  get url(): string {
    return `zookeeper://${this.servers.map(({ address }) => address).join(",")}`;
  }

  get version(): string {
    return this.servers[0]?.version ?? "";
  }

  /** The server that leads now. */
  async leader(): Promise<ZookeeperServer> {
    const endMs = performance.now() + START_TIMEOUT_MS;
    while (performance.now() < endMs) {
      for (const server of this.servers) if (server.isRunning && (await server.mode()) === "leader") return server;
      await pause(25);
    }
    throw new Error("the ensemble has no leader");
  }

  /** Those that do not lead. */
  async followers(): Promise<readonly ZookeeperServer[]> {
    const leader = await this.leader();
    return this.servers.filter((server) => server !== leader);
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map(async (server) => await server.stop()));
  }
}

// ---- the machine

/** On Linux each thread tells for itself. */
async function hasStopped(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => undefined);
  if (threads === undefined) return (await run("ps", ["-o", "stat=", "-p", String(pid)])).stdout.trim().startsWith("T");
  const states = await Promise.all(threads.map(async (thread) => await readFile(`/proc/${pid}/task/${thread}/stat`, "utf8").catch(() => ") T")));
  return states.every((stat) => stat.slice(stat.lastIndexOf(")") + 2).startsWith("T"));
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
