import type { DiagnoseContext, Finding, OpenContext, StoreProvider, StoreSession } from "../index.ts";
import { schemaStep } from "../index.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { diagnose } from "./diagnose.ts";
import { loadDriver } from "./driver.ts";
import type { PgPool } from "./driver.ts";
import { mapPostgresError } from "./errors.ts";
import { takeEvidence } from "./evidence.ts";
import { PostgresFences } from "./fenced.ts";
import { checkOptions } from "./options.ts";
import type { CheckedOptions, ClientOf, PostgresConfigOptions, PostgresOptions, PostgresPool, PostgresPoolOptions, PostgresTransaction, PostgresUrlOptions } from "./options.ts";
import { PostgresSchema, schemaError } from "./schema.ts";
import { PostgresSession } from "./session.ts";

/** Fenced transactions that one process runs at a time where it has no pool of its own; more wait for their turn. */
const OWN_POOL_SIZE = 4;

/**
 * A store in PostgreSQL: `postgres({ pool })` with your `pg.Pool`, `postgres({ url })`, or `postgres({ config })`. Does no I/O; throws
 * `INVALID_OPTIONS` with everything that is wrong. With a pool, `term.transaction` hands out the pool's own clients.
 */
export function postgres<Pool extends PostgresPool>(options: PostgresPoolOptions<Pool>): StoreProvider<ClientOf<Pool>>;
export function postgres(options: PostgresUrlOptions | PostgresConfigOptions): StoreProvider<PostgresTransaction>;
export function postgres(options: PostgresOptions): StoreProvider {
  return new PostgresProvider(checkOptions(options));
}

class PostgresProvider implements StoreProvider {
  readonly kind = "postgres";
  readonly label: string;
  readonly capabilities = { hints: true, asyncTransactions: true, boundsFrozenTransactions: true, manyHosts: true, evidence: { graceMs: 100 } } as const;
  readonly fenced: PostgresFences<unknown>;
  readonly schema: PostgresSchema;
  readonly #options: CheckedOptions;
  readonly #source: ConnectionSource;
  #ownPool: Promise<PgPool> | undefined;
  /** Whether a session turned out to be served by changing server processes: then no later one is trusted with evidence. */
  #moved = false;

  constructor(options: CheckedOptions) {
    const { pool, settings, schema, label } = options;
    this.#options = options;
    this.label = label;
    this.#source = { label, settings, clientClass: async () => pool?.Client ?? (await loadDriver()).Client };
    this.schema = new PostgresSchema(schema, this.#source);
    this.fenced = new PostgresFences({ pool: () => this.#pool(), schema, label });
  }

  async open(context: OpenContext): Promise<StoreSession> {
    const connection = await Connection.open(this.#source, { context, operation: "opening the store" });
    try {
      return await connection.within("opening the store", async () => {
        await this.#prepareSchema(connection, context);
        const { schema, direct } = this.#options;
        const evidence = await takeEvidence(connection, context, { assertedDirect: direct, moved: this.#moved });
        const session = new PostgresSession(connection, { context, schema, source: this.#source, evidence, onMoved: () => (this.#moved = true) });
        await session.listen();
        return session;
      });
    } catch (error) {
      connection.destroy();
      throw mapPostgresError(error, "opening the store", this.label);
    }
  }

  async diagnose(context: DiagnoseContext): Promise<readonly Finding[]> {
    const operation = "looking at the server";
    const connection = await Connection.open(this.#source, { context, operation, role: "doctor" });
    try {
      const { schema, direct: assertedDirect } = this.#options;
      return await connection.within(operation, async () => {
        const installed = await this.schema.installedOn(connection).catch((error: unknown) => {
          if (mapPostgresError(error, operation, this.label).code !== "STORE_PERMISSION_DENIED") throw error;
          return undefined;
        });
        return await diagnose(connection, context, { schema, assertedDirect, installed });
      });
    } catch (error) {
      throw mapPostgresError(error, operation, this.label);
    } finally {
      await connection.close();
    }
  }

  async close(): Promise<void> {
    const pool = this.#ownPool;
    this.#ownPool = undefined;
    await (await pool)?.end();
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

  async #pool(): Promise<PgPool> {
    if (this.#options.pool !== undefined) return this.#options.pool;
    this.#ownPool ??= this.#makePool();
    return await this.#ownPool;
  }

  async #makePool(): Promise<PgPool> {
    const { Pool } = await loadDriver();
    const pool = new Pool({ ...this.#options.settings, max: OWN_POOL_SIZE });
    pool.on("error", () => undefined); // an idle connection broke; the next transaction gets another one
    return pool;
  }
}
