import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { FencedRow } from "../../../src/testing/history/index.ts";
import { ETCD_ROWS, printedEtcdRows } from "../../fleet/etcd-rows.ts";
import type { WorkerStore } from "../../fleet/ledger.ts";
import { findEtcd, startEtcd } from "../../support/etcd-server.ts";
import type { EtcdCluster } from "../../support/etcd-server.ts";
import type { FaultKind, StoreKind } from "../catalogue.ts";
import { CROWD, memberPlace } from "../world.ts";
import type { World } from "../world.ts";
import { NoServer } from "./no-server.ts";
import { ensembleWhere } from "./place.ts";
import type { Ensemble, FailoverSteps, Standing, StorePlace, Undo } from "./place.ts";

/** An etcd server of the run's own, or a cluster of several. */
export async function openEtcdPlace(world: World, nodes: readonly string[], folder: string, members: number): Promise<StorePlace> {
  const programs = await findEtcd();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const cluster = await startEtcd({ programs, members, surroundings: (member) => ({ host: world.memberHost(member), through: world.through(memberPlace(member)) }) });
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
  readonly kind: StoreKind;
  readonly lacks = new Map<FaultKind, string>();
  readonly ensemble: Ensemble | undefined;
  readonly #world: World;
  readonly #cluster: EtcdCluster;
  readonly #folder: string;
  readonly #lostTables: FencedRow[][] = [];
  readonly #urls = new Map<string, string>();

  constructor(world: World, cluster: EtcdCluster, folder: string) {
    this.#world = world;
    this.#cluster = cluster;
    this.#folder = folder;
    this.kind = cluster.members.length === 1 ? "etcd" : "etcd-ensemble";
    this.ensemble = cluster.members.length === 1 ? undefined : ensembleOf(cluster);
  }

  async route(nodes: readonly string[]): Promise<void> {
    for (const node of [...nodes, CROWD]) {
      const ways = await Promise.all(this.#cluster.members.map(async ({ port }, member) => await this.#world.addressOf(node, port, member)));
      this.#urls.set(node, `etcd://${ways.map(({ host, port }) => `${host}:${port}`).join(",")}/tribune`);
    }
  }

  get label(): string {
    return `etcd ${this.#cluster.version}, ${this.#cluster.members.length === 1 ? "one member" : `${this.#cluster.members.length} members`}`;
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
    const { members } = this.#cluster;
    await Promise.all(members.map(async (member) => await member.kill(signal)));
    return async () => {
      await Promise.all(members.map(async (member) => await member.start()));
      await this.ensemble?.whole();
    };
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

function ensembleOf(cluster: EtcdCluster): Ensemble {
  const members = cluster.members.map((server, number) => ({
    server,
    place: memberPlace(number),
    kill: async () => {
      await server.kill("SIGKILL");
      return async () => await server.start();
    },
    stop: async () => {
      await server.pause();
      return () => Promise.resolve(server.resume());
    },
  }));
  return ensembleWhere(members, async ({ server }): Promise<Standing | undefined> => {
    const said = await cluster.control(["endpoint", "status", "--write-out=json", "--command-timeout=1s"], { member: server }).catch(() => "[]");
    const [status] = JSON.parse(said) as readonly { readonly Status: { readonly header: { readonly member_id: number }; readonly leader?: number; readonly raftTerm: number } }[];
    if (status?.Status.leader === undefined) return undefined; // left out while there is none
    return { leads: status.Status.header.member_id === status.Status.leader, reign: String(status.Status.raftTerm) };
  });
}

async function rowsOf(cluster: EtcdCluster): Promise<FencedRow[]> {
  return printedEtcdRows(await cluster.control(["get", ETCD_ROWS, "--prefix", "--write-out=json"]));
}
