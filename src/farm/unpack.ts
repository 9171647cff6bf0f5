import { mkdir, open, rename, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { abortError } from "../kernel/index.ts";
import { BLOCK, decodeHeader, invalidArtifact, shownPath } from "./tar-header.ts";
import type { TarEntry } from "./tar-header.ts";

/** What an archive may be like. */
export interface UnpackLimits {
  readonly maxFiles: number;
}

const PIECE = 256 * 1024;

/**
 * Unpacks a tar into `directory`, which is there as a whole afterwards, or not at all. Throws `FARM_ARTIFACT_INVALID` for what is not a tar of plain files and folders under plain relative paths, each of them once.
 * What is written is never more than the tar has, since nothing in it is compressed.
 */
export async function unpack(tar: string, directory: string, limits: UnpackLimits, signal: AbortSignal): Promise<void> {
  const half = `${directory}.half`;
  await rm(half, { recursive: true, force: true });
  const archive = await open(tar, "r");
  try {
    await mkdir(half, { recursive: true });
    await unpackAll(archive, half, limits, signal);
    await rm(directory, { recursive: true, force: true });
    await rename(half, directory);
  } finally {
    await archive.close();
    await rm(half, { recursive: true, force: true });
  }
}

async function unpackAll(archive: FileHandle, into: string, { maxFiles }: UnpackLimits, signal: AbortSignal): Promise<void> {
  const { size } = await archive.stat();
  const header = Buffer.alloc(BLOCK);
  const piece = Buffer.allocUnsafe(PIECE);
  const seen = new Map<string, TarEntry["kind"]>();
  for (let at = 0; ; ) {
    if (signal.aborted) throw abortError(signal, "unpacking");
    if (at + BLOCK > size) throw invalidArtifact("the archive ends in the middle");
    await archive.read(header, 0, BLOCK, at);
    const entry = decodeHeader(header);
    if (entry === null) return;
    at += BLOCK;
    if (at + entry.sizeBytes > size) throw invalidArtifact(`the archive ends in the middle of ${shownPath(entry.path)}`);
    if (entry.path !== "." && note(seen, entry)) await place(archive, at, entry, into, piece);
    if (seen.size / 2 > maxFiles) throw invalidArtifact(`the archive has more than ${maxFiles} files and folders`, "raise maxFiles of the farm on all members, or deploy less");
    at += Math.ceil(entry.sizeBytes / BLOCK) * BLOCK;
  }
}

/** Remembers, under two keys, a path and the folders that it is in; answers whether it is new. Throws if it cannot be beside what is there, on any file system. */
function note(seen: Map<string, TarEntry["kind"]>, { path, kind }: TarEntry): boolean {
  const clean = path.replace(/^\.\//, "");
  const parts = clean.split("/");
  for (let n = 1; n < parts.length; n++) noteOne(seen, parts.slice(0, n).join("/"), "directory");
  return noteOne(seen, clean, kind);
}

function noteOne(seen: Map<string, TarEntry["kind"]>, path: string, kind: TarEntry["kind"]): boolean {
  const key = `${path.normalize("NFC").toLowerCase()}\0`;
  const exact = key + path;
  if (kind === "directory" && seen.get(exact) === "directory") return false;
  if (seen.has(key)) throw invalidArtifact(`the archive has ${shownPath(path)} twice, or beside a name that differs only in case`);
  seen.set(key, kind);
  seen.set(exact, kind);
  return true;
}

/** Nothing that is there is ever written over, and there are no links to follow. */
async function place(archive: FileHandle, from: number, entry: TarEntry, into: string, piece: Buffer): Promise<void> {
  const path = join(into, entry.path);
  if (entry.kind === "directory") return void (await mkdir(path, { recursive: true }));
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "wx", entry.executable ? 0o755 : 0o644);
  try {
    for (let done = 0; done < entry.sizeBytes; ) {
      const { bytesRead } = await archive.read(piece, 0, Math.min(PIECE, entry.sizeBytes - done), from + done);
      if (bytesRead === 0) throw invalidArtifact(`the archive ends in the middle of ${shownPath(entry.path)}`);
      await file.writeFile(piece.subarray(0, bytesRead));
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
}
