import { systemRandom, TribuneError } from "../../kernel/index.ts";
import { SCHEMA_VERSION, SCHEMA_WORKS_WITH, schemaStep } from "../index.ts";
import type { InstalledSchema, OpenContext, SchemaAdmin } from "../index.ts";
import type { ZookeeperClient } from "./client/client.ts";
import { isZookeeperError } from "./client/codes.ts";
import { withConnection } from "./connection.ts";
import type { ConnectionSource, Opening } from "./connection.ts";
import { readData, writeData } from "./document.ts";

/** What the root's znode holds. It is compared in each transaction, so nothing is written in an epoch that is over. */
export interface RootData extends InstalledSchema {
  /** Random, and another one for each epoch. */
  readonly epoch: string;
  /** How many epochs there have been. */
  readonly number: number;
}

/** The root's znode as it was read. */
export interface Root {
  readonly data: RootData;
  readonly version: number;
}

const NOT_THERE: InstalledSchema = { version: 0, worksWith: 0 };

/** Making the root and what is right below it. */
export class ZookeeperSchema implements SchemaAdmin {
  readonly version = SCHEMA_VERSION;
  /** Each is one line, and a ';' would be part of it. */
  readonly terminator = "";
  readonly #source: ConnectionSource;

  constructor(source: ConnectionSource) {
    this.#source = source;
  }

  /** As `zkCli.sh` takes them, but for the password, which is to be put in. */
  statements(from: number): readonly string[] {
    if (from >= SCHEMA_VERSION) return [];
    const { root, clock, groups } = this.#source.paths;
    const data = JSON.stringify({ version: SCHEMA_VERSION, worksWith: SCHEMA_WORKS_WITH, epoch: systemRandom.id(), number: 1 });
    const { proof } = this.#source.options;
    const identity = proof?.scheme === "digest" ? [`addauth digest ${proof.user}:PASSWORD`] : [];
    if (from > 0) return [...identity, `set ${root} '${data}'`];
    // With an identity, what is made is open to that one only, as where a node makes it. The list can only be named behind data.
    const make = (path: string, text = '""') => `create ${path} ${text}${proof === undefined ? "" : " auth::cdrwa"}`;
    return [...identity, ...parentsOf(root).map((path) => make(path)), make(root, `'${data}'`), make(clock), make(groups)];
  }

  async installed(context: OpenContext): Promise<InstalledSchema> {
    return await this.#connected(context, "reading the schema", async (client) => (await readRoot(client, this.#source))?.data ?? NOT_THERE).then(({ version, worksWith }) => ({ version, worksWith }));
  }

  async migrate(context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    return await this.#connected(context, "migrate", async (client) => {
      const root = await readRoot(client, this.#source);
      const installed = root?.data ?? NOT_THERE;
      if (schemaStep(installed, { label: this.#source.label, createSchema: true }) === "ready") return { from: installed.version, to: installed.version };
      return await this.migrateOn(client, context);
    });
  }

  /** Brings what is there up to date; who comes second finds it done. */
  async migrateOn(client: ZookeeperClient, { random, logger }: Pick<OpenContext, "random" | "logger">): Promise<{ readonly from: number; readonly to: number }> {
    const { acl, paths, label } = this.#source;
    for (;;) {
      const root = await readRoot(client, this.#source);
      const from = root?.data.version ?? 0;
      if (from >= SCHEMA_VERSION) return { from, to: from };
      try {
        if (root === undefined) {
          for (const path of parentsOf(paths.root)) await client.request({ op: "create", path, data: Buffer.alloc(0), acl }).catch(unlessThere);
          const data: RootData = { version: SCHEMA_VERSION, worksWith: SCHEMA_WORKS_WITH, epoch: random.id(), number: 1 };
          const empty = Buffer.alloc(0);
          const operations = [
            { op: "create", path: paths.root, data: writeData(data), acl },
            { op: "create", path: paths.clock, data: empty, acl },
            { op: "create", path: paths.groups, data: empty, acl },
          ] as const;
          await client.request({ op: "multi", operations });
        } else {
          await client.request({ op: "setData", path: paths.root, data: writeData({ ...root.data, version: SCHEMA_VERSION, worksWith: SCHEMA_WORKS_WITH }), version: root.version });
        }
      } catch (error) {
        if (isZookeeperError(error, "NODEEXISTS", "BADVERSION", "NONODE")) continue; // somebody else was at it
        throw error;
      }
      logger.info({ store: label, from, to: SCHEMA_VERSION }, "the schema was brought up to date");
      return { from, to: SCHEMA_VERSION };
    }
  }

  async #connected<T>(context: Opening, operation: string, work: (client: ZookeeperClient) => Promise<T>): Promise<T> {
    return await withConnection(this.#source, context, { operation }, async ({ client }) => await work(client));
  }
}

/** The root as the ensemble has it now, not only this server; undefined if there is none. */
export async function readRoot(client: ZookeeperClient, { paths }: ConnectionSource): Promise<Root | undefined> {
  const { root } = paths;
  const synced = client.request({ op: "sync", path: root });
  synced.catch(() => undefined); // what follows it in the same connection tells
  try {
    const { data, stat } = await client.request({ op: "getData", path: root });
    await synced;
    return { data: checkedRoot(readData(data, root), root), version: stat.version };
  } catch (error) {
    if (isZookeeperError(error, "NONODE")) return undefined;
    throw error;
  }
}

function checkedRoot(value: unknown, path: string): RootData {
  const { version, worksWith, epoch, number } = (typeof value === "object" && value !== null ? value : {}) as Partial<RootData>;
  if (Number.isInteger(version) && Number.isInteger(worksWith) && typeof epoch === "string" && epoch !== "" && Number.isInteger(number)) return value as RootData;
  throw new TribuneError("STORE_FAILED", `the znode ${path} holds something that is not Tribune's`, { about: path, next: "choose another root", retryable: false });
}

/** The paths above this one. */
function parentsOf(path: string): readonly string[] {
  const steps = path.split("/").slice(1, -1);
  return steps.map((_, n) => `/${steps.slice(0, n + 1).join("/")}`);
}

function unlessThere(error: unknown): void {
  if (!isZookeeperError(error, "NODEEXISTS")) throw error;
}
