import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { FencedRow } from "../../../src/testing/history/index.ts";
import type { WorkerStore } from "../../fleet/ledger.ts";
import { findZookeeper, freePort, startEnsemble, startZookeeper, ZookeeperEnsemble, ZookeeperServer } from "../../support/zookeeper-server.ts";
import type { ZookeeperSurroundings } from "../../support/zookeeper-server.ts";
import type { FaultKind, StoreKind } from "../catalogue.ts";
import { mountsMissing, SmallDisk } from "../disk.ts";
import { CROWD, memberPlace, SERVERS } from "../world.ts";
import type { World } from "../world.ts";
import { NoServer } from "./no-server.ts";
import { ensembleWhere } from "./place.ts";
import type { Ensemble, FailoverSteps, StorePlace, Undo } from "./place.ts";

const run = promisify(execFile);
const LEDGER = fileURLToPath(new URL("../../fleet/znodes-main.ts", import.meta.url));
const LARGEST_ANSWER_BYTES = 256 * 1024 * 1024;

/** Its logs and snapshots are not removed during a run. */
const DISK_MB = 512;

interface Wanted {
  readonly members: number;
  /** Its disk is going to be full. */
  readonly disk: boolean;
}

/** A ZooKeeper server of the run's own, or an ensemble of several. */
export async function openZookeeperPlace(world: World, nodes: readonly string[], folder: string, { members, disk }: Wanted): Promise<StorePlace> {
  const programs = await findZookeeper();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const lacks = new Map<FaultKind, string>();
  const noDisk = mountsMissing();
  if (noDisk !== undefined) lacks.set("disk-full", noDisk);
  const small = disk && noDisk === undefined ? await SmallDisk.mount(join(folder, "disk"), DISK_MB) : undefined;
  const surroundingsOf = (member: number): ZookeeperSurroundings => ({ host: world.memberHost(member), through: world.through(memberPlace(member)), parent: () => Promise.resolve(small?.path ?? folder) });
  let servers: ZookeeperEnsemble | undefined;
  try {
    servers = members === 1 ? new ZookeeperEnsemble([await startZookeeper({ programs, surroundings: surroundingsOf(0) })]) : await startEnsemble({ programs }, { count: members, surroundingsOf });
    const place = new ZookeeperPlace(world, servers, { folder, lacks, disk: small });
    await place.begin(nodes);
    return place;
  } catch (error) {
    await servers?.stop();
    await small?.unmount();
    throw error;
  }
}

interface Belongings {
  readonly folder: string;
  readonly lacks: ReadonlyMap<FaultKind, string>;
  readonly disk: SmallDisk | undefined;
}

class ZookeeperPlace implements StorePlace {
  readonly kind: StoreKind;
  readonly ensemble: Ensemble | undefined;
  readonly #world: World;
  readonly #servers: ZookeeperEnsemble;
  readonly #belongings: Belongings;
  readonly #lostTables: FencedRow[][] = [];
  readonly #urls = new Map<string, string>();

  constructor(world: World, servers: ZookeeperEnsemble, belongings: Belongings) {
    this.#world = world;
    this.#servers = servers;
    this.#belongings = belongings;
    this.kind = servers.servers.length === 1 ? "zookeeper" : "zookeeper-ensemble";
    this.ensemble = servers.servers.length === 1 ? undefined : ensembleOf(servers);
  }

  async begin(nodes: readonly string[]): Promise<void> {
    await this.#ledger("make", this.#servers.url);
    for (const node of [...nodes, CROWD]) {
      const ways = await Promise.all(this.#servers.servers.map(async ({ port }, member) => await this.#world.addressOf(node, port, member)));
      this.#urls.set(node, `zookeeper://${ways.map(({ host, port }) => `${host}:${port}`).join(",")}`);
    }
  }

  get lacks(): ReadonlyMap<FaultKind, string> {
    return this.#belongings.lacks;
  }

  get label(): string {
    const { length } = this.#servers.servers;
    return `ZooKeeper ${this.#servers.version}, ${length === 1 ? "one server" : `${length} servers`}`;
  }

  storeOf(node: string): WorkerStore {
    const url = this.#urls.get(node);
    if (url === undefined) throw new Error(`there is no node ${node}`);
    return { kind: "zookeeper", url };
  }

  async tables(): Promise<readonly (readonly FencedRow[])[]> {
    return [...this.#lostTables, await this.#rows(this.#servers.url)];
  }

  async close(): Promise<void> {
    await this.#servers.stop();
    await this.#belongings.disk?.unmount();
  }

  crash(): Promise<Undo> {
    return this.#end("SIGKILL");
  }

  shutDown(): Promise<Undo> {
    return this.#end("SIGTERM");
  }

  /** An older copy of its disk is put back: what was committed since it was made is lost. */
  async failOver(lagMs: number, steps: FailoverSteps): Promise<void> {
    const server = this.#single;
    const { folder } = this.#belongings;
    const copy = join(folder, `copy-${this.#lostTables.length}`);
    steps.lagging();
    // Nothing is written while it is copied.
    await server.pause();
    await cp(server.dataFolder, copy, { recursive: true });
    server.resume();
    await pause(lagMs);
    steps.down();
    await this.#kill("SIGKILL");
    const aside = await mkdtemp(join(folder, "lost-"));
    await cp(server.dataFolder, join(aside, "data"), { recursive: true });
    await rm(server.dataFolder, { recursive: true });
    await cp(copy, server.dataFolder, { recursive: true });
    await server.start();
    steps.up();
    const there = new ZookeeperServer({ programs: server.place.programs, folder: aside, port: await freePort(), options: server.place.options });
    await there.start();
    try {
      this.#lostTables.push(await this.#rows(there.url));
    } finally {
      await there.stop();
    }
  }

  /** It ends when it cannot write its log. */
  async fillDisk(): Promise<Undo> {
    const { disk } = this.#belongings;
    if (disk === undefined) throw new Error("the server has no disk of its own");
    await disk.fill();
    return async () => {
      await disk.free();
      await this.#kill("SIGKILL");
      await this.#single.start();
    };
  }

  makeRoom(): Promise<{ readonly storeOf: () => WorkerStore; readonly undo: Undo }> {
    return Promise.resolve({ storeOf: () => this.storeOf(CROWD), undo: () => Promise.resolve() });
  }

  get #single(): ZookeeperServer {
    const [server] = this.#servers.servers;
    if (server === undefined) throw new Error("there is no server");
    return server;
  }

  async #end(signal: NodeJS.Signals): Promise<Undo> {
    await this.#kill(signal);
    return async () => void (await Promise.all(this.#servers.servers.map(async (server) => await server.start({ untilServing: true }))));
  }

  async #kill(signal: NodeJS.Signals): Promise<void> {
    await Promise.all(this.#servers.servers.map(async (server) => await server.kill(signal)));
  }

  async #rows(url: string): Promise<FencedRow[]> {
    return JSON.parse(await this.#ledger("rows", url)) as FencedRow[];
  }

  /** The supervisor is not where the servers are. */
  async #ledger(what: "make" | "rows", url: string): Promise<string> {
    const [program, ...args] = [...this.#world.through(SERVERS), process.execPath];
    return (await run(program, [...args, LEDGER, what, url], { maxBuffer: LARGEST_ANSWER_BYTES })).stdout;
  }
}

function ensembleOf({ servers }: ZookeeperEnsemble): Ensemble {
  const members = servers.map((server, number) => ({
    server,
    place: memberPlace(number),
    kill: async () => {
      await server.kill("SIGKILL");
      return async () => await server.start({ untilServing: true });
    },
    stop: async () => {
      await server.pause();
      return () => Promise.resolve(server.resume());
    },
  }));
  return ensembleWhere(members, async ({ server }) => (server.isRunning ? await server.standing() : undefined));
}
