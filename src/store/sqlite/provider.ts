import { realpathSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { withDeadline } from "../../kernel/index.ts";
import { SCHEMA_VERSION, schemaStep } from "../index.ts";
import type { DiagnoseContext, FencedTransactions, Finding, InstalledSchema, OpenContext, SchemaAdmin, StoreProvider, StoreSession } from "../index.ts";
import { Connection } from "./connection.ts";
import { diagnoseFile, diagnosePlace } from "./diagnose.ts";
import { assertWritable, mapSqliteError, storeBusy } from "./errors.ts";
import { Evidence } from "./evidence.ts";
import { SqliteFencedTransactions } from "./fenced.ts";
import { bootId, DatabaseFiles, identityOf, networkFileSystem } from "./file.ts";
import { Operations } from "./operations.ts";
import { checkOptions } from "./options.ts";
import type { CheckedOptions, SqliteOptions } from "./options.ts";
import { installedSchema, migrateSchema, schemaStatements } from "./schema.ts";
import { SqliteSession } from "./session.ts";
import type { SessionParts } from "./session.ts";
import { statementsFor } from "./statements.ts";
import type { Statements } from "./statements.ts";
import { patienceWithinMs, Turns } from "./turns.ts";

/**
 * A store in one SQLite file, for the processes of one host. Making it checks the options (`INVALID_OPTIONS`, with
 * every complaint) and does no I/O. `tx` of `term.transaction` is a `DatabaseSync`, and the work must be synchronous.
 */
export function sqlite(options: SqliteOptions): StoreProvider<DatabaseSync> {
  return new SqliteProvider(checkOptions(options));
}

class SqliteProvider implements StoreProvider<DatabaseSync> {
  readonly kind = "sqlite";
  readonly label: string;
  readonly capabilities = { hints: true, asyncTransactions: false, boundsFrozenTransactions: false, manyHosts: false, evidence: { graceMs: 0 } } as const;
  readonly schema: SchemaAdmin;
  readonly #path: string;
  readonly #prefix: string;
  readonly #statements: Statements;
  readonly #fenced: SqliteFencedTransactions;

  constructor(options: CheckedOptions) {
    this.#path = options.path;
    this.#prefix = options.tablePrefix;
    this.label = `sqlite:${options.path}`;
    this.#statements = statementsFor(options.tablePrefix);
    this.#fenced = new SqliteFencedTransactions({ path: options.path, database: options.database, statements: this.#statements });
    this.schema = {
      version: SCHEMA_VERSION,
      statements: (from) => schemaStatements(this.#prefix, from),
      installed: (context) => this.#installed(context),
      migrate: (context) => this.#migrate(context),
    };
  }

  get fenced(): FencedTransactions<DatabaseSync> {
    return this.#fenced;
  }

  async open(context: OpenContext): Promise<StoreSession> {
    if (!context.createSchema && identityOf(this.#path) === undefined) schemaStep({ version: 0, worksWith: 0 }, { label: this.label, createSchema: false }); // throws; and makes no file
    const { epoch, real, ...parts } = await this.#connected("open", context, { create: context.createSchema, keep: true }, async (connection, untilFree) => {
      const step = await untilFree(() => schemaStep(installedSchema(connection, this.#prefix), { label: this.label, createSchema: context.createSchema }));
      await untilFree(() => this.#switchToWal(connection));
      if (step === "migrate") await untilFree(() => this.#migrateOn(connection, context));
      return await untilFree(() => this.#partsOf(connection, context));
    });
    // Only now, and without giving anything away in between: from here on somebody ends what is opened.
    const evidence = this.#evidence(context, real);
    const operations = new Operations({ connection: parts.connection, statements: this.#statements, group: context.group, epoch, evidence });
    if (evidence.key !== null) discardLeftovers(operations);
    return new SqliteSession({ ...parts, evidence, operations });
  }

  #evidence(context: OpenContext, real: string): Evidence {
    const folder = `${real}-${this.#prefix}alive`;
    if (context.evidence === undefined) return Evidence.none(folder, "this session was not asked to hold any");
    const network = networkFileSystem(real);
    if (network !== undefined) return Evidence.none(folder, `${this.#path} lies on a network file system (${network}), where a lock may be lost while its process lives`);
    return Evidence.take(folder, { path: real, random: context.random });
  }

  async diagnose(context: DiagnoseContext): Promise<readonly Finding[]> {
    const place = diagnosePlace(this.#path);
    if (identityOf(this.#path) === undefined || place.some((finding) => finding.check === "files" && finding.level === "fail")) return place;
    const file = await this.#connected("diagnose", context, { create: false, keep: false }, async (connection, untilFree) => {
      const version = await untilFree(() => connection.get(this.#statements.version)?.version ?? "");
      return await diagnoseFile(connection, context, { path: this.#path, version });
    });
    return [...file, ...place];
  }

  /** Closes the connection of fenced transactions. Sessions are ended by those who opened them. A later transaction opens another connection. */
  close(): Promise<void> {
    this.#fenced.close();
    return Promise.resolve();
  }

  async #installed(context: OpenContext): Promise<InstalledSchema> {
    if (identityOf(this.#path) === undefined) return { version: 0, worksWith: 0 };
    return await this.#connected("schema", context, { create: false, keep: false }, (connection, untilFree) => untilFree(() => installedSchema(connection, this.#prefix)));
  }

  async #migrate(context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    return await this.#connected("migrate", context, { create: true, keep: false }, async (connection, untilFree) => {
      const installed = await untilFree(() => installedSchema(connection, this.#prefix));
      if (schemaStep(installed, { label: this.label, createSchema: true }) === "ready") return { from: installed.version, to: installed.version };
      await untilFree(() => this.#switchToWal(connection));
      return await untilFree(() => this.#migrateOn(connection, context));
    });
  }

  #migrateOn(connection: Connection, context: OpenContext): { readonly from: number; readonly to: number } {
    const result = migrateSchema(connection, { prefix: this.#prefix, label: this.label });
    if (result.from !== result.to) context.logger.info({ store: this.label, ...result }, "the schema was brought up to date");
    return result;
  }

  #partsOf(connection: Connection, context: OpenContext): Omit<SessionParts, "evidence" | "operations"> & { readonly epoch: string; readonly real: string } {
    const sql = this.#statements;
    const { fileId, version } = connection.read(() => ({
      fileId: connection.get(sql.fileId)?.fileId ?? "",
      version: connection.get(sql.version)?.version ?? "",
    }));
    const files = DatabaseFiles.of(this.#path, connection.identity);
    const epoch = `sqlite:${fileId}:${files.identity}:${bootId()}`;
    const real = realpathSync(this.#path);
    const network = networkFileSystem(real);
    return {
      real,
      label: this.label,
      path: this.#path,
      hintPath: `${real}-${this.#prefix}hint`,
      group: context.group,
      clock: context.clock,
      random: context.random,
      logger: context.logger,
      connection,
      files,
      epoch,
      serverVersion: `SQLite ${version}`,
      warnings: network === undefined ? [] : [`${this.#path} lies on a network file system (${network}), where SQLite does not keep processes apart; move it to a local disk`],
    };
  }

  /**
   * Opens a connection and hands it to `work`, within the deadline of `context`; closed afterwards unless `work`
   * succeeded and `keep` says so. `untilFree` repeats a step while the file is busy.
   */
  #connected<T>(
    operation: string,
    context: OpenContext,
    options: { readonly create: boolean; readonly keep: boolean },
    work: (connection: Connection, untilFree: <S>(step: () => S) => Promise<S>) => Promise<T>,
  ): Promise<T> {
    const { clock, deadlineMs, signal } = context;
    const turns = new Turns(context.random);
    const giveUpAtMs = clock.monotonicMs() + patienceWithinMs(deadlineMs);
    let connection: Connection | undefined;
    const whenBusy = (cause: unknown): never => {
      throw storeBusy(operation, this.#path, cause);
    };
    const untilFree = <S>(step: () => S): Promise<S> => turns.run(step, { clock, giveUpAfterMs: giveUpAtMs - clock.monotonicMs(), whenBusy });
    const run = async (): Promise<T> => {
      try {
        const opened = await untilFree(() => (connection = Connection.open(this.#path, { create: options.create })));
        assertWritable(operation, this.#path);
        const result = await work(opened, untilFree);
        if (!options.keep) opened.close();
        return result;
      } catch (error) {
        connection?.close();
        throw mapSqliteError(error, operation, this.#path);
      }
    };
    return withDeadline(run(), {
      clock,
      ms: deadlineMs,
      operation: `${operation} on ${this.label}`,
      signal,
      onExpire: (error) => {
        turns.stop(error);
        connection?.close();
      },
    });
  }

  /**
   * WAL, so that readers and the writer do not wait for each other. The file stays in this mode; switching needs it for
   * a moment alone, so of several processes that open a fresh file together some find it busy.
   */
  #switchToWal(connection: Connection): void {
    const mode = connection.get(this.#statements.walMode)?.journal_mode;
    if (mode !== "wal") throw new Error(`it stays in journal mode ${mode}: its file system cannot share memory between processes`);
  }
}

/** Best effort: the next session that opens tries again. */
function discardLeftovers(operations: Operations): void {
  try {
    operations.discardLeftovers();
  } catch {
    // The file is busy.
  }
}
