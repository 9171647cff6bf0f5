import type { DiagnoseContext, Finding, OpenContext, StoreProvider, StoreSession } from "../index.ts";
import { schemaStep } from "../index.ts";
import { ConnectionSource, withConnection } from "./connection.ts";
import type { Connection } from "./connection.ts";
import { diagnose } from "./diagnose.ts";
import { checkHistory } from "./epoch.ts";
import { ZookeeperFences } from "./fenced.ts";
import type { ZookeeperMulti, ZookeeperTransaction } from "./fenced.ts";
import { checkOptions } from "./options.ts";
import type { CheckedOptions, ZookeeperOptions } from "./options.ts";
import { readRoot, ZookeeperSchema } from "./schema.ts";
import type { Root } from "./schema.ts";
import { ZookeeperSession } from "./session.ts";
import { StoreClock } from "./store-clock.ts";

/** A store in ZooKeeper, which can also begin transactions of your own. */
export interface ZookeeperStore extends StoreProvider<ZookeeperTransaction> {
  /** Begins a transaction on the store's own connection, for `term.guard(tx)` and writes that belong together. Commit it, or roll it back. */
  begin(): Promise<ZookeeperMulti>;
}

/**
 * A store in a ZooKeeper ensemble: `zookeeper({ url })` or `zookeeper({ servers })`. Does no I/O; throws `INVALID_OPTIONS` with everything that is wrong. Needs no client: it speaks
 * ZooKeeper's protocol itself.
 */
export function zookeeper(options: ZookeeperOptions): ZookeeperStore {
  return new ZookeeperProvider(checkOptions(options));
}

class ZookeeperProvider implements ZookeeperStore {
  readonly kind = "zookeeper";
  readonly label: string;
  readonly capabilities = { hints: true, asyncTransactions: true, boundsFrozenTransactions: true, manyHosts: true, evidence: null } as const;
  readonly fenced: ZookeeperFences;
  readonly schema: ZookeeperSchema;
  readonly #source: ConnectionSource;

  constructor(options: CheckedOptions) {
    this.label = options.label;
    this.#source = new ConnectionSource(options);
    this.schema = new ZookeeperSchema(this.#source);
    this.fenced = new ZookeeperFences(this.#source);
  }

  async open(context: OpenContext): Promise<StoreSession> {
    return await withConnection(this.#source, context, { operation: "opening the store", keep: true }, async (connection) => {
      const storeClock = new StoreClock(context.clock);
      const root = await this.#prepare(connection, context, storeClock);
      return new ZookeeperSession({ connection, source: this.#source, context, root, storeClock });
    });
  }

  async begin(): Promise<ZookeeperMulti> {
    return await this.fenced.begin();
  }

  async diagnose(context: DiagnoseContext): Promise<readonly Finding[]> {
    return await diagnose(this.#source, context);
  }

  async close(): Promise<void> {
    await this.fenced.close();
  }

  /** Schema, then whether the ensemble still has its history, then the root as it is after that. */
  async #prepare({ client }: Connection, context: OpenContext, storeClock: StoreClock): Promise<Root> {
    const installed = (await readRoot(client, this.#source))?.data ?? { version: 0, worksWith: 0 };
    if (schemaStep(installed, { label: this.label, createSchema: context.createSchema }) === "migrate") await this.schema.migrateOn(client, context);
    await checkHistory(client, this.#source, { context, storeClock });
    const root = await readRoot(client, this.#source);
    if (root === undefined) throw new Error("the root was removed while the store was opened");
    this.#source.enter(root.data);
    return root;
  }
}
