import { TribuneError } from "../../kernel/index.ts";
import { SCHEMA_VERSION, SCHEMA_WORKS_WITH, schemaStep } from "../index.ts";
import type { InstalledSchema, OpenContext, SchemaAdmin } from "../index.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { GRPC, GrpcError } from "./grpc.ts";
import { historyText, leadBetween, lossIn, nextHistory } from "./history.ts";
import type { Memory, Sight } from "./history.ts";
import { storeKeys } from "./keys.ts";
import type { StoreKeys } from "./keys.ts";
import { historyOf, Reading } from "./rows.ts";
import type { SchemaRecord } from "./records.ts";
import { throughTheLog } from "./session.ts";

const NONE: InstalledSchema = { version: 0, worksWith: 0 };

/** A cluster that others write to all the time gets on between two questions; nobody else writes these keys so often. */
const ATTEMPTS = 20;

/** There are no tables to make: the schema is a key that says which version of the layout the other keys have. */
export class EtcdSchema implements SchemaAdmin {
  readonly version = SCHEMA_VERSION;
  readonly #source: ConnectionSource;
  readonly #store: StoreKeys;

  constructor(source: ConnectionSource, prefix: string) {
    this.#source = source;
    this.#store = storeKeys(prefix);
  }

  statements(from: number): readonly string[] {
    return from >= SCHEMA_VERSION ? [] : [`etcdctl put ${this.#store.schema} '${OURS}'`];
  }

  async installed(context: OpenContext): Promise<InstalledSchema> {
    return await this.#on(context, "reading the schema", async (connection) => (await this.#read(connection, context)).installed);
  }

  async migrate(context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    return await this.#on(context, "making the schema", async (connection) => await this.#migrateOn(connection, context));
  }

  /** Looks whether the keys are of a version that this code works with, and writes ours where they are older and that is allowed. */
  async prepare(connection: Connection, context: OpenContext): Promise<void> {
    const { installed } = await this.#read(connection, context);
    if (schemaStep(installed, { label: this.#source.label, createSchema: context.createSchema }) === "migrate") await this.#migrateOn(connection, context);
  }

  /** Finds out which history of the store this is, and begins another one where commits have been lost since the last. */
  async adoptHistory(connection: Connection, context: OpenContext, memory: Memory): Promise<void> {
    const { history: key } = this.#store;
    const { deadlineMs } = context;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const reads = [{ key }];
      // As it is before the question: other sessions of this process go on meanwhile, and see later revisions than the answer's.
      const remembered: Memory = { ...memory };
      const before = await connection.currentStatus(deadlineMs);
      const { header, items } = await connection.txn(throughTheLog(this.#store, reads), deadlineMs);
      const reading = new Reading(items, reads);
      const after = await connection.currentStatus(deadlineMs);
      const { least, most } = leadBetween(before, header, after);
      const sight: Sight = {
        history: reading.text(key) === undefined ? undefined : historyOf(reading, this.#store),
        header,
        lead: most,
        beat: await this.#pastBeat(connection, remembered, deadlineMs),
      };
      const loss = lossIn(sight, remembered);
      if (loss === undefined) {
        if ((memory.history?.number ?? 0) < (sight.history?.number ?? 0)) Object.assign(memory, { history: sight.history, revision: 0, beat: undefined } satisfies Memory);
        return;
      }
      const next = nextHistory(sight, remembered, { id: context.random.id().slice(0, 12), lead: least });
      if (sight.history !== undefined) context.logger.warn({ node: context.node, store: this.#source.label, epoch: next.epoch }, `the store begins another epoch: ${loss}`);
      await connection.txn({ compare: reading.unchanged, success: [{ put: key, value: historyText(next) }], failure: [] }, deadlineMs);
    }
    throw new TribuneError("STORE_BUSY", `the epoch of ${this.#source.label} was changed by others again and again`, { about: this.#source.label, next: "try again" });
  }

  /** What a store says that it had at a revision stays so, whatever has been changed or removed since, for as long as it keeps that revision. */
  async #pastBeat(connection: Connection, { beat }: Memory, deadlineMs: number): Promise<Sight["beat"]> {
    if (beat === undefined) return "unknown";
    const { key, revision } = beat;
    try {
      const reads = [{ key, revision }];
      const { items } = await connection.txn({ compare: [], success: reads, failure: [] }, deadlineMs);
      return new Reading(items, reads).json(key)?.beat === beat.beat ? "there" : "gone";
    } catch (error) {
      if (!(error instanceof GrpcError) || error.status !== GRPC.outOfRange) throw error;
      return /future/.test(error.message) ? "gone" : "unknown";
    }
  }

  async #migrateOn(connection: Connection, context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const { installed, reading } = await this.#read(connection, context);
      if (installed.version >= SCHEMA_VERSION) return { from: installed.version, to: installed.version };
      const { succeeded } = await connection.txn({ compare: reading.unchanged, success: [{ put: this.#store.schema, value: OURS }], failure: [] }, context.deadlineMs);
      if (succeeded) return { from: installed.version, to: SCHEMA_VERSION };
    }
    throw new TribuneError("STORE_BUSY", `the schema of ${this.#source.label} was changed by others again and again`, { about: this.#source.label, next: "try again" });
  }

  async #read(connection: Connection, { deadlineMs }: OpenContext): Promise<{ readonly installed: InstalledSchema; readonly reading: Reading }> {
    const reads = [{ key: this.#store.schema }];
    const { items } = await connection.txn(throughTheLog(this.#store, reads), deadlineMs);
    const reading = new Reading(items, reads);
    const record = reading.json(this.#store.schema);
    return { installed: record === undefined ? NONE : { version: record.version, worksWith: record.worksWith }, reading };
  }

  async #on<T>(context: OpenContext, operation: string, work: (connection: Connection) => Promise<T>): Promise<T> {
    const { connection, prepared } = await Connection.open(this.#source, { context, operation, prepare: work });
    connection.destroy();
    return prepared;
  }
}

const OURS = JSON.stringify({ version: SCHEMA_VERSION, worksWith: SCHEMA_WORKS_WITH } satisfies SchemaRecord);
