import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { closeSync, copyFileSync, ftruncateSync, linkSync, mkdirSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync, writeSync } = fs;

/** What the room asks of an open file; nothing else of one is there. */
class QuickFile {
  readonly #file: number;
  #isClosed = false;

  constructor(path: string, flags: string, mode?: number) {
    this.#file = openSync(path, flags, mode);
  }

  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }> {
    return { bytesRead: readSync(this.#file, buffer, offset, length, position) };
  }

  async writeFile(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
  }

  async truncate(length: number): Promise<void> {
    ftruncateSync(this.#file, length);
  }

  /** Nobody pulls the plug in a story. */
  async sync(): Promise<void> {}

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#file);
  }
}

async function* pieces(path: string, { highWaterMark = 65_536 } = {}): AsyncGenerator<Buffer> {
  const file = openSync(path, "r");
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(highWaterMark);
      const bytesRead = readSync(file, piece);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    closeSync(file);
  }
}

/**
 * From here on a disk takes no time in this process: what is asked of the file system is answered at once, in the order in which it was asked, where a pool of threads answers when it likes. So a story on virtual time need not wait for it, and is the same each time.
 * Files are real ones. Only what the farm asks for is there. The answer gives the real file system back.
 */
export function quickenDisk(): () => void {
  const quick = {
    copyFile: async (from: string, to: string) => copyFileSync(from, to),
    link: async (from: string, to: string) => linkSync(from, to),
    mkdir: async (path: string, options: fs.MakeDirectoryOptions) => mkdirSync(path, options),
    open: async (path: string, flags: string, mode?: number) => new QuickFile(path, flags, mode),
    readdir: async (path: string) => readdirSync(path).sort(), // file systems differ in their order
    rename: async (from: string, to: string) => renameSync(from, to),
    rm: async (path: string, options: fs.RmOptions) => rmSync(path, options),
    stat: async (path: string) => statSync(path),
  };
  const before = { createReadStream: fs.createReadStream, promises: { ...fs.promises } };
  Object.assign(fs.promises, quick);
  Object.assign(fs, { createReadStream: pieces });
  syncBuiltinESMExports(); // whoever has imported them by name has these now
  return () => {
    Object.assign(fs.promises, before.promises);
    Object.assign(fs, { createReadStream: before.createReadStream });
    syncBuiltinESMExports();
  };
}
