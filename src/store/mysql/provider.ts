import type { DiagnoseContext, Finding, OpenContext, StoreProvider, StoreSession } from "../index.ts";
import { isTribuneError } from "../../kernel/index.ts";
import { schemaStep } from "../index.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { diagnose } from "./diagnose.ts";
import { loadDriver } from "./driver.ts";
import { mapMysqlError } from "./errors.ts";
import { takeEvidence } from "./evidence.ts";
import { MysqlFences } from "./fenced.ts";
import { checkOptions } from "./options.ts";
import type { CheckedOptions, ConnectionOf, MysqlConfigOptions, MysqlOptions, MysqlPool, MysqlPoolOptions, MysqlTransaction, MysqlUrlOptions, UserPool } from "./options.ts";
import { MysqlSchema, schemaError } from "./schema.ts";
import { MysqlSession } from "./session.ts";
import { statementsFor } from "./statements.ts";
import type { Statements } from "./statements.ts";

/** Fenced transactions that one process runs at a time where it has no pool of its own; more wait for their turn. */
const OWN_POOL_SIZE = 4;

/** How long an observer waits between two looks at a lock that is free: whose connection was ended by somebody else hears of it meanwhile, within a millisecond if its event loop turns. */
const GRACE_MS = 100;

/**
 * A store in MySQL or MariaDB: `mysql({ pool })` with your pool of `mysql2` or `mysql2/promise`, `mysql({ url })`, or `mysql({ config })`. Does no I/O; throws
 * `INVALID_OPTIONS` with everything that is wrong. With a pool, `term.transaction` hands out the pool's own connections.
 */
export function mysql<Pool extends MysqlPool>(options: MysqlPoolOptions<Pool>): StoreProvider<ConnectionOf<Pool>>;
export function mysql(options: MysqlUrlOptions | MysqlConfigOptions): StoreProvider<MysqlTransaction>;
export function mysql(options: MysqlOptions): StoreProvider {
  return new MysqlProvider(checkOptions(options));
}

class MysqlProvider implements StoreProvider {
  readonly kind = "mysql";
  readonly label: string;
  readonly capabilities = { hints: false, asyncTransactions: true, boundsFrozenTransactions: true, manyHosts: true, evidence: { graceMs: GRACE_MS } } as const;
  readonly fenced: MysqlFences<unknown>;
  readonly schema: MysqlSchema;
  readonly #options: CheckedOptions;
  readonly #source: ConnectionSource;
  readonly #sql: Statements;
  #ownPool: Promise<UserPool> | undefined;

  constructor(options: CheckedOptions) {
    const { pool, settings, database, label } = options;
    this.#options = options;
    this.label = label;
    this.#source = { label, settings, database };
    this.#sql = statementsFor(options);
    this.schema = new MysqlSchema(options, this.#source);
    this.fenced = new MysqlFences({ pool: () => this.#pool(), place: options, label });
    pool?.core.on("release", (connection) => this.fenced.released(connection));
  }

  async open(context: OpenContext): Promise<StoreSession> {
    const connection = await Connection.open(this.#source, { context, operation: "opening the store" });
    try {
      return await connection.within("opening the store", async () => {
        await this.#prepareSchema(connection, context);
        await this.schema.adoptServer(connection);
        const evidence = await takeEvidence(connection, context, { assertedDirect: this.#options.direct });
        return new MysqlSession(connection, { context, source: this.#source, sql: this.#sql, evidence });
      });
    } catch (error) {
      connection.destroy();
      throw mapMysqlError(error, "opening the store", this.label);
    }
  }

  async diagnose(context: DiagnoseContext): Promise<readonly Finding[]> {
    const operation = "looking at the server";
    const { database, prefix, direct: assertedDirect } = this.#options;
    // An account without any privilege in a database is not let in there, and yet can be told so.
    const inside = await Connection.open(this.#source, { context, operation }).catch(unlessDenied);
    const connection = inside ?? (await Connection.open({ ...this.#source, database: "" }, { context, operation }));
    try {
      return await connection.within(operation, async () => {
        const installed = inside === undefined ? undefined : await this.schema.installedOn(connection).catch((error: unknown) => unlessDenied(mapMysqlError(error, operation, this.label)));
        return await diagnose(connection, context, { database, prefix, assertedDirect, installed });
      });
    } catch (error) {
      throw mapMysqlError(error, operation, this.label);
    } finally {
      await connection.close();
    }
  }

  async close(): Promise<void> {
    const pool = this.#ownPool;
    this.#ownPool = undefined;
    const core = (await pool)?.core;
    if (core !== undefined) await new Promise<void>((resolve) => core.end(() => resolve()));
  }

  async #prepareSchema(connection: Connection, context: OpenContext): Promise<void> {
    const installed = await this.schema.installedOn(connection);
    if (schemaStep(installed, { label: this.label, createSchema: context.createSchema }) === "ready") return;
    try {
      await this.schema.migrateOn(connection, context);
    } catch (error) {
      throw schemaError(error, "making the schema", this.label);
    }
  }

  async #pool(): Promise<UserPool> {
    if (this.#options.pool !== undefined) return this.#options.pool;
    this.#ownPool ??= this.#makePool();
    return await this.#ownPool;
  }

  async #makePool(): Promise<UserPool> {
    const { createPool } = await loadDriver();
    const core = createPool({ ...this.#options.settings, connectionLimit: OWN_POOL_SIZE });
    return { core, promises: core.promise() };
  }
}

function unlessDenied(error: unknown): undefined {
  if (!isTribuneError(error, "STORE_PERMISSION_DENIED")) throw error;
  return undefined;
}
