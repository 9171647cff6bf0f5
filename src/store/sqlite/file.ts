import { readFileSync, realpathSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { TribuneError } from "../../kernel/index.ts";
import { storeReplaced } from "./errors.ts";

/** Device and inode of the file at `path`, as text; `undefined` if there is none that can be seen. */
export function identityOf(path: string): string | undefined {
  try {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
  } catch {
    return undefined; // a folder that may no longer be searched: whatever we still hold open, others cannot reach it
  }
}

/**
 * Which files an open connection stands on. SQLite holds them by descriptor and never looks at the name again: after
 * someone moved another file into place, it would go on writing beats where nobody reads them, and a new leader be
 * elected in the new file. The log and the shared memory count too; they are the database as much as the main file.
 */
export class DatabaseFiles {
  /** The database's own device and inode. */
  readonly identity: string;
  readonly #path: string;
  readonly #expected: ReadonlyArray<readonly [path: string, identity: string]>;

  private constructor(path: string, expected: ReadonlyArray<readonly [string, string]>) {
    this.#path = path;
    this.#expected = expected;
    this.identity = expected[0]?.[1] ?? "";
  }

  /**
   * Takes down what is there now, which must still be the file `identity` that the connection is on. To be called when that has
   * read in WAL mode, for then the side files exist.
   */
  static of(path: string, identity: string): DatabaseFiles {
    if (identityOf(path) !== identity) throw storeReplaced(path, path);
    const real = realpathSync(path); // SQLite follows links before it names the side files
    const names = [path, `${real}-wal`, `${real}-shm`];
    return new DatabaseFiles(
      path,
      names.map((name) => {
        const identity = identityOf(name);
        if (identity === undefined) throw storeReplaced(path, name);
        return [name, identity] as const;
      }),
    );
  }

  /** `STORE_REPLACED` if any of them is another file now, or gone. */
  replaced(): TribuneError | undefined {
    const changed = this.#expected.find(([name, identity]) => identityOf(name) !== identity);
    return changed === undefined ? undefined : storeReplaced(this.#path, changed[0]);
  }
}

/** Changes with every start of the kernel; `""` where the system does not tell (all but Linux). */
export function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

/** File system types of Linux (statfs(2)) on which SQLite's locks or shared memory do not work between hosts. */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x01021997, "9P"],
  [0x00c36400, "Ceph"],
  [0x5346414f, "AFS"],
]);

/** The network file system that the file lies on, if it is known to lie on one. */
export function networkFileSystem(path: string): string | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return NETWORK_FILE_SYSTEMS.get(statfsSync(dirname(path)).type >>> 0);
  } catch {
    return undefined;
  }
}
