import { chmodSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { silentLogger, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import { SCHEMA_VERSION, SCHEMA_WORKS_WITH } from "../../../src/store/index.ts";
import type { InstalledSchema, OpenContext } from "../../../src/store/index.ts";
import { sqlite } from "../../../src/store/sqlite/index.ts";
import type { StorePlace, UserTable } from "../../../src/testing/store-conformance.ts";
import { VERSION_1 } from "./version-1.ts";

/** A fresh folder for database files; `remove` takes it away again. */
export function folder(): { readonly path: string; file(name?: string): string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "tribune-sqlite-"));
  return { path, file: (name = "cluster.db") => join(path, name), remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function contextOf(over: Partial<OpenContext> = {}): OpenContext {
  return {
    group: "g",
    node: "test",
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    deadlineMs: 10_000,
    statementLimitMs: 10_000,
    createSchema: true,
    ...over,
  };
}

/** Everything that the conformance suite can do to a store in a file. */
export function sqlitePlace(): StorePlace<DatabaseSync> {
  const home = folder();
  const path = home.file();
  makeUserTable(path);
  const provider = sqlite({ path });
  const peer = sqlite({ path });
  let others = 0;
  const elsewhere = () => home.file(`other-${(others += 1)}.db`);
  return {
    provider,
    peer,
    table: userTable(path),
    newEpoch: async () => moveCopyIntoPlace(path),
    cut: async () => moveCopyIntoPlace(path),
    schemaAt: async (installed) => {
      const file = elsewhere();
      if (installed.version > 0) pretendSchema(file, installed);
      return sqlite({ path: file });
    },
    readOnly: async () => {
      const file = elsewhere();
      pretendSchema(file, { version: SCHEMA_VERSION, worksWith: SCHEMA_WORKS_WITH });
      makeReadOnly(file);
      return sqlite({ path: file });
    },
    close: async () => {
      await provider.close();
      await peer.close();
      for (let n = 1; n <= others; n++) makeWritable(home.file(`other-${n}.db`));
      home.remove();
    },
  };
}

/** Replaces the file by another one with the same content, as a restored backup does. */
export function moveCopyIntoPlace(path: string): void {
  const copy = `${path}-copy`;
  withDatabase(path, (database) => database.exec(`VACUUM INTO '${copy}'`));
  for (const side of ["-wal", "-shm"]) rmSync(`${path}${side}`, { force: true });
  renameSync(copy, path);
}

/** A file with nothing in it but a schema: that of version 1, or this code's own, with whatever it is to say of itself. */
export function pretendSchema(path: string, { version, worksWith }: InstalledSchema): void {
  withDatabase(path, (database) => {
    if (version === 1) return database.exec(VERSION_1.join(";\n"));
    database.exec(sqlite({ path }).schema.statements(0).join(";\n"));
    database.prepare("UPDATE tribune_schema SET version = ?, works_with = ?").run(version, worksWith);
  });
}

export function withDatabase<T>(path: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(path, { timeout: 10_000 });
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** Permissions do not bind root, but the file system's immutable flag does. */
export function makeReadOnly(path: string): void {
  if (process.getuid?.() === 0) execFileSync("chattr", ["+i", path]);
  else chmodSync(path, 0o444);
}

function makeWritable(path: string): void {
  try {
    if (process.getuid?.() === 0) execFileSync("chattr", ["-i", path], { stdio: "ignore" });
    else chmodSync(path, 0o644);
  } catch {
    // It was never made, or could always be written.
  }
}

function makeUserTable(path: string): void {
  withDatabase(path, (database) => database.exec("CREATE TABLE number (key TEXT PRIMARY KEY, value INTEGER NOT NULL)"));
}

function userTable(path: string): UserTable<DatabaseSync> {
  const read = (tx: DatabaseSync, key: string) => Number(tx.prepare("SELECT value FROM number WHERE key = ?").get(key)?.["value"] ?? 0);
  return {
    write: (tx, key, value) => void tx.prepare("INSERT INTO number VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value").run(key, value),
    read,
    committed: async (key) => withDatabase(path, (database) => read(database, key)),
    begin: async () => {
      const tx = new DatabaseSync(path);
      tx.exec("BEGIN IMMEDIATE");
      const end = (statement: string) => async () => {
        tx.exec(statement);
        tx.close();
      };
      return { tx, commit: end("COMMIT"), rollback: end("ROLLBACK") };
    },
    outside: async () => {
      const tx = new DatabaseSync(path);
      return { tx, release: async () => tx.close() };
    },
  };
}
