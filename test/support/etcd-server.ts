import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { access, constants, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { installOnDebian } from "./postgres-server.ts";

const run = promisify(execFile);

/** Long enough for a slow machine that also runs other tests. */
const START_TIMEOUT_MS = 60_000;
const LOG_LINES_KEPT = 200;
const LOOPBACK = "127.0.0.1";
const LARGEST_ANSWER_BYTES = 256 * 1024 * 1024;

/** Where the programs of an etcd server are, or why there are none. */
export type EtcdPrograms = { readonly server: string; readonly control: string; readonly version: string } | { readonly missing: string };

type FoundPrograms = Exclude<EtcdPrograms, { missing: string }>;

export interface EtcdClusterOptions {
  /** How many members. Default 1. */
  readonly members?: number;
  /** Flags of the servers, with underscores. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Asks clients for a user and a password: `root` has everything. */
  readonly auth?: boolean;
  /** Certificate and key of the servers, and whose certificates clients must have, if any: then clients come by TLS. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  readonly programs?: FoundPrograms;
  /** Where each member is. Default: this host. */
  readonly surroundings?: (number: number) => EtcdSurroundings;
  /** What clients and the other members reach a member by, where that is not its own port: a proxy in front of it. */
  readonly peersThrough?: (member: { readonly port: number; readonly number: number }) => Promise<number>;
}

/** Where a member is: the address that it listens on, and a program and its arguments that turn themselves into a server, or into etcd's own tool, there. */
export interface EtcdSurroundings {
  readonly host: string;
  readonly through: readonly string[];
}

const HERE: EtcdSurroundings = { host: LOOPBACK, through: [] };

// ---- finding

/** Looks for server programs: in the folder that `TRIBUNE_TEST_ETCD_BIN` names, and on the path. As root on Debian they are installed if need be. */
export async function findEtcd(): Promise<EtcdPrograms> {
  const found = await findInstalled();
  if (found !== undefined) return found;
  for (const name of ["etcd-server", "etcd-client"]) {
    const trouble = await installOnDebian(name);
    if (trouble !== undefined) return { missing: `no etcd server programs were found, and ${trouble}` };
  }
  return (await findInstalled()) ?? { missing: "no etcd server programs were found, also after installing them" };
}

async function findInstalled(): Promise<FoundPrograms | undefined> {
  const named = process.env["TRIBUNE_TEST_ETCD_BIN"];
  const folders = named !== undefined ? [named] : [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];
  const [server, control] = [await firstExecutable(folders, "etcd"), await firstExecutable(folders, "etcdctl")];
  if (server === undefined || control === undefined) return undefined;
  const { stdout } = await run(server, ["--version"]);
  return { server, control, version: /etcd Version: (\S+)/.exec(stdout)?.[1] ?? "0" };
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

// ---- a cluster of the test's own

/** Makes data folders of its own, starts the members on them, and resolves when they have a leader. */
export async function startEtcd(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
  const programs = options.programs ?? (await findEtcd());
  if ("missing" in programs) throw new Error(programs.missing);
  const folder = await mkdtemp(join(tmpdir(), "tribune-etcd-"));
  try {
    const count = options.members ?? 1;
    const ports = await freePorts(2 * count);
    const places: MemberPlace[] = [];
    for (let n = 0; n < count; n++) {
      const peerPort = ports[2 * n + 1] as number;
      const reachedBy = (await options.peersThrough?.({ port: peerPort, number: n })) ?? peerPort;
      places.push({ ...(options.surroundings?.(n) ?? HERE), name: `m${n + 1}`, port: ports[2 * n] as number, peerPort, reachedBy, folder });
    }
    const cluster = new EtcdCluster(places, { ...options, programs }, folder);
    await cluster.start();
    if (options.auth === true) await cluster.enableAuth();
    return cluster;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

interface MemberPlace extends EtcdSurroundings {
  readonly name: string;
  readonly port: number;
  readonly peerPort: number;
  /** The port that the other members know it by. */
  readonly reachedBy: number;
  readonly folder: string;
}

type Settled = EtcdClusterOptions & { readonly programs: FoundPrograms };

/** Some members that make a cluster. Whoever starts it stops it; when the test process exits first, the servers are killed. */
export class EtcdCluster {
  readonly members: readonly EtcdMember[];
  readonly #options: Settled;
  readonly #folder: string;
  readonly #learners: EtcdMember[] = [];
  #password: string | undefined;

  constructor(places: readonly MemberPlace[], options: Settled, folder: string) {
    this.members = places.map((place) => new EtcdMember(place, places, options));
    this.#options = options;
    this.#folder = folder;
  }

  get version(): string {
    return this.#options.programs.version;
  }

  get host(): string {
    return this.member.place.host;
  }

  /** Who may do everything, where anybody is asked who he is. */
  get administrator(): { readonly user: string; readonly password: string } | undefined {
    return this.#password === undefined ? undefined : { user: "root", password: this.#password };
  }

  /** For the administrator, with all members. */
  get url(): string {
    return this.urlOf({ ...this.administrator });
  }

  urlOf({ user, password, prefix = "tribune", ports = this.members.map((member) => member.port) }: { user?: string | undefined; password?: string | undefined; prefix?: string; ports?: readonly number[] }): string {
    const who = user === undefined ? "" : `${encodeURIComponent(user)}:${encodeURIComponent(password ?? "")}@`;
    return `etcd://${who}${ports.map((port) => `${this.members.find((member) => member.port === port)?.place.host ?? LOOPBACK}:${port}`).join(",")}/${prefix}`;
  }

  /** The only member of a cluster that has one; otherwise the first. */
  get member(): EtcdMember {
    return this.members[0] as EtcdMember;
  }

  async start(): Promise<void> {
    await Promise.all(this.members.map((member) => member.start()));
  }

  /** Ends the servers; the data is removed. */
  async stop(): Promise<void> {
    for (const member of this.members) member.resume();
    await Promise.all([...this.members, ...this.#learners].map((member) => member.kill("SIGKILL")));
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Runs etcd's own tool as the administrator, and answers what it printed. */
  async control(args: readonly string[], { member = this.member, as = "administrator" }: { readonly member?: EtcdMember; readonly as?: "administrator" | "nobody" } = {}): Promise<string> {
    const { programs, tls } = this.#options;
    const { host, through } = member.place;
    const who = this.administrator === undefined || as === "nobody" ? [] : [`--user=${this.administrator.user}:${this.administrator.password}`];
    const way = tls === undefined ? [`--endpoints=http://${host}:${member.port}`] : [`--endpoints=https://${host}:${member.port}`, "--insecure-skip-tls-verify", `--cert=${tls.cert}`, `--key=${tls.key}`];
    const [first, ...rest] = [...through, programs.control];
    const { stdout } = await run(first, [...rest, ...way, ...who, "--command-timeout=30s", ...args], { env: { ...process.env, ETCDCTL_API: "3" }, maxBuffer: LARGEST_ANSWER_BYTES });
    return stdout;
  }

  /** Sends one transaction by etcd's own tool, and answers whether its comparison held. */
  async commit({ compare, success }: { readonly compare: string; readonly success: string }): Promise<boolean> {
    const child = spawn(this.#options.programs.control, [`--endpoints=http://${this.host}:${this.member.port}`, "txn"], { env: { ...process.env, ETCDCTL_API: "3" }, stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.end(`${compare}\n\n${success}\n\n\n`);
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
    await once(child, "close");
    if (!/^(SUCCESS|FAILURE)$/m.test(printed)) throw new Error(`etcdctl txn printed ${JSON.stringify(printed)}`);
    return /^SUCCESS$/m.test(printed);
  }

  async enableAuth(): Promise<void> {
    const password = randomBytes(18).toString("hex");
    await this.control(["user", "add", `root:${password}`]);
    await this.control(["user", "grant-role", "root", "root"]);
    await this.control(["auth", "enable"]);
    this.#password = password;
  }

  /** The member that leads, as the others say. */
  async leader(): Promise<EtcdMember> {
    for (const member of this.members) {
      const said = await this.control(["endpoint", "status", "--write-out=json"], { member }).catch(() => undefined);
      if (said === undefined) continue;
      const [status] = JSON.parse(said) as readonly { readonly Status: { readonly header: { readonly member_id: number }; readonly leader: number } }[];
      if (status !== undefined && status.Status.header.member_id === status.Status.leader) return member;
    }
    throw new Error("no member says that it leads");
  }

  /** Ends every connection of clients, as a crash does; the data and the cluster stay. */
  async cut(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill("SIGKILL")));
    await this.start();
  }

  /** Saves what is there, ends the cluster, and starts another one with the same names, addresses and token on what was saved. */
  async restoreBackup(file?: string): Promise<void> {
    const backup = file ?? (await this.backup());
    await Promise.all(this.members.map((member) => member.kill("SIGKILL")));
    for (const member of this.members) await member.restore(backup);
    await this.start();
  }

  /** Adds a member that follows and has no vote, and starts it; stopped with the others. */
  async addLearner(): Promise<EtcdMember> {
    const [port, peerPort] = (await freePorts(2)) as [number, number];
    const place: MemberPlace = { ...HERE, name: "learner", port, peerPort, reachedBy: peerPort, folder: this.#folder };
    const add = async () => await this.control(["member", "add", place.name, "--learner", `--peer-urls=http://${this.host}:${peerPort}`]);
    // For some seconds after members have found each other, no other one is let in.
    for (let tried = 1; ; tried++) {
      const trouble = await add().then(
        () => undefined,
        (error: unknown) => error as Error,
      );
      if (trouble === undefined) break;
      if (tried === 100 || !/unhealthy cluster/.test(trouble.message)) throw trouble;
      await pause(200);
    }
    const learner = new EtcdMember(place, [...this.members.map((member) => member.place), place], this.#options);
    this.#learners.push(learner);
    await learner.start({ initial_cluster_state: "existing" });
    return learner;
  }

  /** Saves what is there now. */
  async backup(): Promise<string> {
    const file = join(this.#folder, `${randomBytes(6).toString("hex")}.db`);
    await this.control(["snapshot", "save", file]);
    return file;
  }

  /** Starts a server on data of the only member that was moved aside, where nobody else reaches it, and ends it when `work` is done. */
  async look<T>(dataFolder: string, work: (there: EtcdCluster) => Promise<T>): Promise<T> {
    const { programs } = this.#options;
    const { host, through } = this.member.place;
    const [port, peerPort] = (await freePorts(2)) as [number, number];
    const folder = await mkdtemp(join(tmpdir(), "tribune-etcd-"));
    await rename(dataFolder, join(folder, "aside"));
    const place: MemberPlace = { host, through, name: "aside", port, peerPort, reachedBy: peerPort, folder };
    const there = new EtcdCluster([place], { programs, settings: { force_new_cluster: "true" } }, folder);
    await there.start();
    try {
      return await work(there);
    } finally {
      await there.stop();
    }
  }

  /** Freezes all servers: connections stay open and nothing is answered. */
  async pause(): Promise<void> {
    await Promise.all(this.members.map((member) => member.pause()));
  }

  resume(): void {
    for (const member of this.members) member.resume();
  }
}

/** One server. */
export class EtcdMember {
  readonly port: number;
  readonly place: MemberPlace;
  readonly #all: readonly MemberPlace[];
  readonly #options: Settled;
  readonly #log: string[] = [];
  #child: ChildProcess | undefined;

  constructor(place: MemberPlace, all: readonly MemberPlace[], options: Settled) {
    this.port = place.port;
    this.place = place;
    this.#all = all;
    this.#options = options;
  }

  get peerPort(): number {
    return this.place.peerPort;
  }

  /** The process of the server. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The last lines that the server wrote. */
  get log(): readonly string[] {
    return this.#log;
  }

  async start(more: Readonly<Record<string, string | number>> = {}): Promise<void> {
    const { name, host, through, port, peerPort, folder } = this.place;
    const { tls, settings, programs } = this.#options;
    const scheme = tls === undefined ? "http" : "https";
    const flags = {
      name,
      data_dir: this.#dataFolder,
      listen_client_urls: `${scheme}://${host}:${port}`,
      advertise_client_urls: `${scheme}://${host}:${port}`,
      listen_peer_urls: `http://${host}:${peerPort}`,
      ...this.#founding,
      initial_cluster_state: "new",
      logger: "zap",
      log_outputs: "stderr",
      auto_compaction_mode: "revision",
      auto_compaction_retention: 20_000,
      ...(tls === undefined ? {} : { cert_file: tls.cert, key_file: tls.key, ...(tls.clientCa === undefined ? {} : { client_cert_auth: "true", trusted_ca_file: tls.clientCa }) }),
      ...settings,
      ...more,
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag.replaceAll("_", "-")}=${value}`);
    const [first, ...rest] = [...through, programs.server];
    const child = spawn(first, [...rest, ...args], { cwd: folder, env: { ...process.env, LC_ALL: "C", TZ: "UTC" }, stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    const killed = () => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    };
    process.once("exit", killed);
    child.once("exit", () => process.removeListener("exit", killed));
    const ready = new Promise<void>((resolve) => {
      createInterface({ input: child.stderr }).on("line", (line) => {
        this.#log.push(line);
        if (this.#log.length > LOG_LINES_KEPT) this.#log.shift();
        if (/ready to serve client requests|serving (insecure )?client/.test(line)) resolve();
      });
    });
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    const ended = once(child, "exit", { signal }).then(() => {
      throw new Error("the server ended while it started");
    });
    ended.catch(() => undefined);
    try {
      await Promise.race([ready, ended]);
    } catch (error) {
      await this.kill("SIGKILL");
      throw new Error(`etcd did not start; its log ends with:\n${this.#log.join("\n")}`, { cause: error });
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

  /** Replaces the data of a server that does not run by a backup. What it had is moved to `aside`, or removed. */
  async restore(backup: string, aside?: string): Promise<void> {
    const { name } = this.place;
    if (aside !== undefined) await rename(this.#dataFolder, aside);
    await rm(this.#dataFolder, { recursive: true, force: true });
    const founding = Object.entries(this.#founding).map(([flag, value]) => `--${flag.replaceAll("_", "-")}=${value}`);
    await run(this.#options.programs.control, ["snapshot", "restore", backup, `--data-dir=${this.#dataFolder}`, `--name=${name}`, ...founding], { env: { ...process.env, ETCDCTL_API: "3" } });
  }

  /** Freezes the server. Resolves when the last of its threads has stopped, which is a moment after the signal. */
  async pause(): Promise<void> {
    const { pid } = this;
    if (pid === undefined || this.#child?.exitCode !== null) return;
    this.#child.kill("SIGSTOP");
    while (this.#child?.exitCode === null && !(await hasStopped(pid))) await pause(1);
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  get #dataFolder(): string {
    return join(this.place.folder, this.place.name);
  }

  /** What makes the identity of the cluster: names, addresses and token. */
  get #founding(): Readonly<Record<string, string>> {
    return {
      initial_advertise_peer_urls: `http://${this.place.host}:${this.place.reachedBy}`,
      initial_cluster: this.#all.map(({ name, host, reachedBy }) => `${name}=http://${host}:${reachedBy}`).join(","),
      initial_cluster_token: "tribune-test",
    };
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

/** Ports that were free a moment ago, each of them another. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers: Server[] = [];
  for (let n = 0; n < count; n++) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) {
    server.close();
    await once(server, "close");
  }
  return ports;
}
