import { createReadStream } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { BLOCK, checkPath, encodeHeader, invalidArtifact, shownPath } from "./tar-header.ts";

/**
 * A directory as a tar, the same bytes for the same content wherever it lies: in the order of names, without times and owners. Throws `FARM_ARTIFACT_INVALID` for links, devices, and paths that not every member can have.
 */
export async function* packDirectory(directory: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield* packUnder(directory, "");
  yield Buffer.alloc(2 * BLOCK);
}

async function* packUnder(root: string, under: string): AsyncGenerator<Uint8Array, void, undefined> {
  const names = (await readdir(join(root, under))).sort();
  for (const name of names) {
    const path = under === "" ? name : `${under}/${name}`;
    checkPath(path);
    const stat = await lstat(join(root, path));
    if (stat.isDirectory()) {
      yield encodeHeader({ path, kind: "directory", sizeBytes: 0, executable: true });
      yield* packUnder(root, path);
    } else if (stat.isFile()) {
      yield encodeHeader({ path, kind: "file", sizeBytes: stat.size, executable: (stat.mode & 0o100) !== 0 });
      yield* packFile(join(root, path), path, stat.size);
    } else {
      throw invalidArtifact(`${shownPath(path)} is a link or a device: only plain files and folders are taken`, "leave it out, or put a copy of the file in its place");
    }
  }
}

async function* packFile(file: string, path: string, sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  let packed = 0;
  for await (const bytes of createReadStream(file) as AsyncIterable<Buffer>) {
    packed += bytes.length;
    if (packed > sizeBytes) break;
    yield bytes;
  }
  if (packed !== sizeBytes) throw invalidArtifact(`${shownPath(path)} changed while it was packed`, "deploy it when nobody writes to it");
  if (sizeBytes % BLOCK !== 0) yield Buffer.alloc(BLOCK - (sizeBytes % BLOCK));
}
