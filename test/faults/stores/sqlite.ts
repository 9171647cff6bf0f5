import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import type { FencedRow } from "../../../src/testing/history/index.ts";
import { LEDGER } from "../../fleet/ledger.ts";
import type { FaultKind } from "../catalogue.ts";
import { mountsMissing, SmallDisk } from "../disk.ts";
import type { StorePlace } from "./place.ts";

const DISK_MB = 64;

/** Longer than any transaction of a process that runs. */
const STUCK_AFTER_MS = 50;

/** A file, on a small disk of its own where one can be had. */
export async function openSqlitePlace(folder: string): Promise<StorePlace> {
  const lacks = new Map<FaultKind, string>();
  const noDisk = mountsMissing();
  const home = join(folder, "disk");
  await mkdir(home, { recursive: true });
  const disk = noDisk === undefined ? await SmallDisk.mount(home, DISK_MB) : undefined;
  if (noDisk !== undefined) lacks.set("disk-full", noDisk);
  const path = join(home, "store.db");
  const database = new DatabaseSync(path, { timeout: 5_000 });
  database.exec("pragma journal_mode = wal");
  database.exec(LEDGER.sqlite.create);
  database.exec("pragma busy_timeout = 0");
  return {
    kind: "sqlite",
    label: `SQLite${disk === undefined ? "" : ` on a disk of ${DISK_MB} MB`}`,
    lacks,
    storeOf: () => ({ kind: "sqlite", path }),
    tables: () => Promise.resolve([database.prepare(LEDGER.sqlite.rows).all() as unknown as FencedRow[]]),
    async close() {
      database.close();
      await disk?.unmount();
      await rm(home, { recursive: true, force: true });
    },
    ...(disk === undefined
      ? {}
      : {
          async fillDisk() {
            // While somebody reads, the log cannot begin anew, and has to grow to take anything more.
            const reader = new DatabaseSync(path, { readOnly: true });
            reader.exec("begin");
            reader.prepare(LEDGER.sqlite.rows).get();
            await disk.fill();
            return async () => {
              reader.close();
              await disk.free();
            };
          },
        }),
    async lockFile() {
      while (!lockForWriting(database)) await pause(1);
      return () => Promise.resolve(database.exec("rollback"));
    },
    async isStuck() {
      for (const endMs = performance.now() + STUCK_AFTER_MS; performance.now() < endMs; await pause(2)) {
        if (!lockForWriting(database)) continue;
        database.exec("rollback");
        return false;
      }
      return true;
    },
  };
}

function lockForWriting(database: DatabaseSync): boolean {
  try {
    database.exec("begin immediate");
    return true;
  } catch (error) {
    if ((error as { readonly errcode?: number }).errcode === 5) return false; // SQLITE_BUSY
    throw error;
  }
}
