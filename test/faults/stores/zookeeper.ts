import type { FencedRow } from "../../../src/testing/history/index.ts";
import type { WorkerStore } from "../../fleet/ledger.ts";
import { makeZnodeLedger, rowsInZnodes } from "../../fleet/znodes.ts";
import { findZookeeper, startZookeeper } from "../../support/zookeeper-server.ts";
import type { ZookeeperServer } from "../../support/zookeeper-server.ts";
import type { FaultKind } from "../catalogue.ts";
import { CROWD } from "../world.ts";
import type { World } from "../world.ts";
import { NoServer } from "./no-server.ts";
import type { StorePlace, Undo } from "./place.ts";

/** A ZooKeeper server of the run's own. */
export async function openZookeeperPlace(world: World, nodes: readonly string[], folder: string): Promise<StorePlace> {
  const programs = await findZookeeper();
  if ("missing" in programs) throw new NoServer(programs.missing);
  const server = await startZookeeper({ programs, surroundings: { host: world.serverHost, through: [], parent: () => Promise.resolve(folder) } });
  try {
    await makeZnodeLedger(server.url);
    const urls = await Promise.all(nodes.map(async (node) => [node, await urlOf(world, node, server)] as const));
    return new ZookeeperPlace(world, server, new Map(urls));
  } catch (error) {
    await server.stop();
    throw error;
  }
}

class ZookeeperPlace implements StorePlace {
  readonly kind = "zookeeper";
  readonly lacks: ReadonlyMap<FaultKind, string> = new Map();
  readonly #world: World;
  readonly #server: ZookeeperServer;
  readonly #urls: ReadonlyMap<string, string>;

  constructor(world: World, server: ZookeeperServer, urls: ReadonlyMap<string, string>) {
    this.#world = world;
    this.#server = server;
    this.#urls = urls;
  }

  get label(): string {
    return `ZooKeeper ${this.#server.version}`;
  }

  storeOf(node: string): WorkerStore {
    const url = this.#urls.get(node);
    if (url === undefined) throw new Error(`there is no node ${node}`);
    return { kind: "zookeeper", url };
  }

  async tables(): Promise<readonly (readonly FencedRow[])[]> {
    return [await rowsInZnodes(this.#server.url)];
  }

  async close(): Promise<void> {
    await this.#server.stop();
  }

  crash(): Promise<Undo> {
    return this.#end("SIGKILL");
  }

  shutDown(): Promise<Undo> {
    return this.#end("SIGTERM");
  }

  async makeRoom(): Promise<{ readonly storeOf: () => WorkerStore; readonly undo: Undo }> {
    const url = await urlOf(this.#world, CROWD, this.#server);
    return { storeOf: () => ({ kind: "zookeeper", url }), undo: () => Promise.resolve() };
  }

  async #end(signal: NodeJS.Signals): Promise<Undo> {
    await this.#server.kill(signal);
    return async () => await this.#server.start();
  }
}

async function urlOf(world: World, node: string, server: ZookeeperServer): Promise<string> {
  const { host, port } = await world.addressOf(node, server.port);
  return `zookeeper://${host}:${port}`;
}
