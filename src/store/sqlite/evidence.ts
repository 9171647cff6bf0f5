import { chmodSync, chownSync, closeSync, fchmodSync, fchownSync, fstatSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import type { Stats } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import type { Random } from "../../kernel/index.ts";
import type { SessionEvidence } from "../index.ts";
import { loadSqlite } from "./driver.ts";
import { isBusy } from "./errors.ts";
import { identityOf } from "./file.ts";

/** Younger files may belong to a session that is just opening. That is checked anyway; this keeps us from disturbing it. */
const LEFTOVER_AGE_MS = 60_000;

/** From how many open looks on we see whether some are of files that nobody will ask for again. */
const FEWEST_PROBES = 16;

/** What `Random.id()` makes. A key comes out of the database and becomes part of a path, so nothing else may pass. */
const KEY = /^[0-9a-f]{32}$/;

/**
 * Evidence of life, and looks at that of others. Each session that holds some has an empty file in a folder beside the database, named by its key, and an exclusive lock on it, which the
 * kernel takes away when the process is gone, whatever ended it, and not before. The lock is that of an open SQLite transaction: Node has no other file locks, and
 * SQLite knows the trap of POSIX locks, that closing any descriptor of a file drops all locks that the process has on it.
 *
 * Only a lock that can be had shows that a session is over. A file that is missing shows nothing: somebody may have cleaned up in the folder of a process that lives.
 */
export class Evidence {
  readonly info: SessionEvidence;
  /** What beats are armed with; `null` if this session holds nothing. */
  readonly key: string | null;
  readonly #folder: string;
  readonly #lock: DatabaseSync | undefined;
  readonly #probes = new Map<string, DatabaseSync>();
  #pruneAt = FEWEST_PROBES;

  private constructor(folder: string, info: SessionEvidence, held?: { readonly key: string; readonly lock: DatabaseSync }) {
    this.#folder = folder;
    this.info = info;
    this.key = held?.key ?? null;
    this.#lock = held?.lock;
  }

  /** Only looks at that of others. */
  static none(folder: string, why: string): Evidence {
    return new Evidence(folder, { held: false, why });
  }

  /**
   * Makes a file in `folder`, with the rights of the database at `path`, locks it, and looks at it as others will. Never throws: what goes wrong is the reason why it holds nothing.
   */
  static take(folder: string, options: { readonly path: string; readonly random: Random }): Evidence {
    const key = options.random.id();
    const file = join(folder, key);
    const eyes = new Evidence(folder, { held: false, why: "" });
    let identity: string | undefined;
    let lock: DatabaseSync | undefined;
    try {
      identity = makeFile(folder, file, statSync(options.path));
      if (eyes.#look(key) !== "free") throw new Error("its lock cannot be had before anybody took it");
      lock = locked(file);
      // Whoever cleans up unlinks with the lock in hand. From here on nobody else gets it; so this is the file that others find, or it never will be.
      if (identityOf(file) !== identity) throw new Error("it was removed at once");
      if (eyes.#look(key) !== "held") throw new Error("its lock keeps nobody out");
      return new Evidence(folder, { held: true, why: `the kernel keeps a lock on ${file} for as long as this process has the session` }, { key, lock });
    } catch (error) {
      lock?.close();
      if (identity !== undefined) rmSync(file, { force: true });
      return Evidence.none(folder, `${file} cannot be made and locked (${error instanceof Error ? error.message : String(error)})`);
    } finally {
      eyes.end({ named: false });
    }
  }

  /** Whether the session with this key is over. In doubt it is not. */
  isFree(key: string): boolean {
    return key !== this.key && this.#look(key) === "free";
  }

  /** Removes the file of a session that is over; nothing, if it is not. */
  discard(key: string): void {
    if (key === this.key || !KEY.test(key)) return;
    this.#drop(key);
    const file = join(this.#folder, key);
    let lock: DatabaseSync | undefined;
    try {
      lock = locked(file);
      rmSync(file, { force: true });
    } catch {
      // Held, gone already, or not ours to remove.
    } finally {
      lock?.close();
    }
  }

  /**
   * Removes the files of dead sessions that no row of somebody alive names; those are still needed, as evidence. A session that is just opening is safe, however long it was frozen
   * in between: if its file goes before it has the lock, it notices; afterwards the lock cannot be had here.
   */
  discardLeftovers(options: { readonly named: ReadonlySet<string>; readonly nowMs: number }): void {
    let names: readonly string[];
    try {
      names = readdirSync(this.#folder);
    } catch {
      return; // nobody has ever held any here
    }
    for (const key of names) {
      const stats = KEY.test(key) && !options.named.has(key) ? statSync(join(this.#folder, key), { throwIfNoEntry: false }) : undefined;
      if (stats !== undefined && options.nowMs - stats.mtimeMs > LEFTOVER_AGE_MS) this.discard(key);
    }
  }

  /** Lets go of the lock and of all looks. The file stays if the row of somebody alive may name it: others need it to see that the lock is free, and remove it then. */
  end(options: { readonly named: boolean }): void {
    for (const key of [...this.#probes.keys()]) this.#drop(key);
    if (this.#lock === undefined || this.key === null) return;
    this.#lock.close();
    if (!options.named) rmSync(join(this.#folder, this.key), { force: true });
  }

  /** Asks for the shared lock, which the exclusive one keeps out, and gives it back at once. It is the file's, not the name's: also right after somebody removed that. */
  #look(key: string): "free" | "held" | "unknown" {
    if (!KEY.test(key)) return "unknown";
    try {
      // Read-only, and by URL: it must never make the file. On such a connection IMMEDIATE means: take the shared lock now, without reading anything.
      this.#probe(key).exec("BEGIN IMMEDIATE");
    } catch (error) {
      if (isBusy(error)) return "held";
      this.#drop(key); // to be opened anew: it may have been missing, or there were too many open files
      return "unknown";
    }
    this.#drop(key); // gives the lock back; and what is free once is so for ever
    return "free";
  }

  /** Kept open: opening it at each look costs several times as much as the look. */
  #probe(key: string): DatabaseSync {
    let probe = this.#probes.get(key);
    if (probe === undefined) {
      if (this.#probes.size >= this.#pruneAt) this.#prune();
      probe = opened(join(this.#folder, key), "ro");
      this.#probes.set(key, probe);
    }
    return probe;
  }

  /** Closes the looks at sessions that ended unseen: somebody else declared them dead. */
  #prune(): void {
    for (const key of [...this.#probes.keys()]) this.#look(key);
    this.#pruneAt = Math.max(FEWEST_PROBES, 2 * this.#probes.size);
  }

  #drop(key: string): void {
    this.#probes.get(key)?.close();
    this.#probes.delete(key);
  }
}

/** An empty file that others may look at if they may read the database, as SQLite does for its log; answers what it is. */
function makeFile(folder: string, file: string, database: Stats): string {
  const mode = database.mode & 0o666;
  if (mkdirSync(folder, { recursive: true }) !== undefined) {
    chmodSync(folder, mode | ((mode & 0o444) >> 2)); // who may read the one may search the other
    if (process.geteuid?.() === 0) chownSync(folder, database.uid, database.gid);
  }
  const descriptor = openSync(file, "wx", mode);
  try {
    fchmodSync(descriptor, mode);
    if (process.geteuid?.() === 0) fchownSync(descriptor, database.uid, database.gid);
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    return `${dev}:${ino}`;
  } finally {
    closeSync(descriptor); // the last time that anything but SQLite has it open in this process: closing would drop the lock
  }
}

/** Takes the exclusive lock or throws. Nothing is written, and no journal stands beside the file, since it is kept in memory. */
function locked(file: string): DatabaseSync {
  const database = opened(file, "rw");
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function opened(file: string, mode: "ro" | "rw"): DatabaseSync {
  const { DatabaseSync } = loadSqlite();
  const url = pathToFileURL(file);
  url.searchParams.set("mode", mode);
  return new DatabaseSync(url, { readOnly: mode === "ro", timeout: 0 });
}
