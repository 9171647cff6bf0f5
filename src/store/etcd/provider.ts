import type { DiagnoseContext, Finding, OpenContext, StoreProvider, StoreSession } from "../index.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { diagnose } from "./diagnose.ts";
import { EtcdFences } from "./fenced.ts";
import type { EtcdTransaction, OpenEtcdTransaction } from "./fenced.ts";
import type { Memory } from "./history.ts";
import { checkOptions } from "./options.ts";
import type { CheckedOptions, EtcdOptions } from "./options.ts";
import { EtcdSchema } from "./schema.ts";
import { EtcdSession } from "./session.ts";

/** A store in etcd, and transactions on its keys. */
export interface EtcdStore extends StoreProvider<EtcdTransaction> {
  /** Begins a transaction on keys of your own, for `term.guard`. It commits what it wrote when you say so, and nothing before. */
  begin(): OpenEtcdTransaction;
}

/**
 * A store in etcd 3.4 or newer: `etcd({ url: "etcd://host:2379" })`, or `etcd({ endpoints: [...], username, password, tls, prefix })`. Needs no client library. Does no I/O; throws
 * `INVALID_OPTIONS` with everything that is wrong.
 */
export function etcd(options: EtcdOptions): EtcdStore {
  return new EtcdProvider(checkOptions(options));
}

class EtcdProvider implements EtcdStore {
  readonly kind = "etcd";
  readonly label: string;
  readonly capabilities = { hints: true, asyncTransactions: true, boundsFrozenTransactions: true, fencesAtCommit: true, manyHosts: true, evidence: null } as const;
  readonly fenced: EtcdFences;
  readonly schema: EtcdSchema;
  readonly #options: CheckedOptions;
  readonly #source: ConnectionSource;
  readonly #memory: Memory = { history: undefined, revision: 0, beat: undefined };

  constructor(options: CheckedOptions) {
    const { label, endpoints, tls, user, prefix } = options;
    this.#options = options;
    this.label = label;
    this.#source = { label, endpoints, tls, user, turn: undefined };
    this.schema = new EtcdSchema(this.#source, prefix);
    this.fenced = new EtcdFences({ ...this.#source }, prefix);
  }

  async open(context: OpenContext): Promise<StoreSession> {
    const { prefix } = this.#options;
    const { prepared } = await Connection.open(this.#source, {
      context,
      operation: "opening the store",
      prepare: async (connection) => {
        await this.schema.prepare(connection, context);
        await this.schema.adoptHistory(connection, context, this.#memory);
        return await EtcdSession.on(connection, { context, source: this.#source, prefix, memory: this.#memory });
      },
    });
    return prepared;
  }

  begin(): OpenEtcdTransaction {
    return this.fenced.begin();
  }

  async diagnose(context: DiagnoseContext): Promise<readonly Finding[]> {
    return await diagnose(this.#source, context, this.#options.prefix);
  }

  close(): Promise<void> {
    this.fenced.close();
    return Promise.resolve();
  }
}
