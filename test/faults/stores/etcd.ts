import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { FencedRow } from "../../../src/testing/history/index.ts";
import { ETCD_ROWS, printedEtcdRows } from "../../fleet/etcd-rows.ts";
import type { WorkerStore } from "../../fleet/ledger.ts";
import { findEtcd, startEtcd } from "../../support/etcd-server.ts";
import type { EtcdCluster } from "../../support/etcd-server.ts";
import type { FaultKind } from "../catalogue.ts";
import { CROWD, SERVERS } from "../world.ts";
import type { World } from "../world.ts";
import { NoServer } from "./no-server.ts";
import type { FailoverSteps, StorePlace, Undo } from "./place.ts";

/** An etcd server of the run's own. */
export async function openEtcdPlace(world: World, nodes: readonly string[], folder: string): Promise<StorePlace> {
  const programs = await findEtcd();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const cluster = await startEtcd({ programs, surroundings: { host: world.serverHost, through: () => world.through(SERVERS) } });
  try {
    const place = new EtcdPlace(world, cluster, folder);
    await place.route(nodes);
    return place;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

class EtcdPlace implements StorePlace {
  readonly kind = "etcd";
  readonly lacks = new Map<FaultKind, string>();
  readonly #world: World;
  readonly #cluster: EtcdCluster;
  readonly #folder: string;
  readonly #lostTables: FencedRow[][] = [];
  readonly #urls = new Map<string, string>();

  constructor(world: World, cluster: EtcdCluster, folder: string) {
    this.#world = world;
    this.#cluster = cluster;
    this.#folder = folder;
  }

  async route(nodes: readonly string[]): Promise<void> {
    for (const node of [...nodes, CROWD]) {
      const { host, port } = await this.#world.addressOf(node, this.#cluster.member.port);
      this.#urls.set(node, `etcd://${host}:${port}/tribune`);
    }
  }

  get label(): string {
    return `etcd ${this.#cluster.version}`;
  }

  storeOf(node: string): WorkerStore {
    const url = this.#urls.get(node);
    if (url === undefined) throw new Error(`there is no node ${node}`);
    return { kind: "etcd", url };
  }

  async tables(): Promise<readonly (readonly FencedRow[])[]> {
    return [...this.#lostTables, await rowsOf(this.#cluster)];
  }

  async close(): Promise<void> {
    await this.#cluster.stop();
  }

  crash(): Promise<Undo> {
    return this.#end("SIGKILL");
  }

  shutDown(): Promise<Undo> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<Undo> {
    await this.#cluster.member.kill(signal);
    return async () => await this.#cluster.member.start();
  }

  /** A backup is put back: what was committed since it was made is lost. */
  async failOver(lagMs: number, steps: FailoverSteps): Promise<void> {
    const { member } = this.#cluster;
    steps.lagging();
    const backup = await this.#cluster.backup();
    await pause(lagMs);
    steps.down();
    await member.kill("SIGKILL");
    const aside = join(this.#folder, `lost-${this.#lostTables.length}`);
    await member.restore(backup, aside);
    await member.start();
    steps.up();
    this.#lostTables.push(await this.#cluster.look(aside, rowsOf));
  }

  makeRoom(): Promise<{ readonly storeOf: () => WorkerStore; readonly undo: Undo }> {
    return Promise.resolve({ storeOf: () => this.storeOf(CROWD), undo: () => Promise.resolve() });
  }
}

async function rowsOf(cluster: EtcdCluster): Promise<FencedRow[]> {
  return printedEtcdRows(await cluster.control(["get", ETCD_ROWS, "--prefix", "--write-out=json"]));
}
