import { createHash } from "node:crypto";
import { copyFile, link, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { abortError, TribuneError } from "../kernel/index.ts";
import type { Random } from "../kernel/index.ts";
import { piecesOf, streamOf } from "./artifact-source.ts";
import type { ArtifactSource } from "./artifact-source.ts";
import { invalidArtifact } from "./tar-header.ts";

/** An artifact that is on disk here, and what it is known by. */
export interface StoredArtifact {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly kind: "file" | "directory";
}

const DIGEST = /^[0-9a-f]{64}$/;
const PART = ".part";

/**
 * Artifacts in a folder: whole ones under their digest, parts of ones that are coming beside them. A part is always the beginning of the whole.
 */
export class Artifacts {
  readonly #folder: string;
  readonly #random: Random;
  readonly #maxBytes: number;
  /** Digests that this process has seen to fit. */
  readonly #verified = new Set<string>();
  /** Digests of artifacts that were taken in, and are not let go yet. */
  readonly #taken = new Set<string>();
  /** Resolved when a transfer has ended, by digest: an artifact has one part, and one transfer that adds to it. */
  readonly #coming = new Map<string, Promise<void>>();
  /** What comes, is looked for, and goes, does so one after the other: nothing goes that has just come. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(folder: string, random: Random, maxBytes: number) {
    this.#folder = folder;
    this.#random = random;
    this.#maxBytes = maxBytes;
  }

  /** Makes the folder, and removes what an ingestion left half-done. Parts stay. */
  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#folder)) if (name.startsWith("new-")) await rm(join(this.#folder, name), { force: true });
  }

  /** Where a whole artifact is, or would be. */
  path(digest: string): string {
    return join(this.#folder, checkDigest(digest));
  }

  /** Its size, if all of it is here. */
  size(digest: string): Promise<number | undefined> {
    return this.#inTurn(() => sizeOf(this.path(digest)));
  }

  /** Takes an artifact in, streaming, to stay at least until it is let go. Rejects with `FARM_ARTIFACT_INVALID`, also where it cannot be read, `ABORTED`, and what the file system says of the folder. */
  async take(source: ArtifactSource, signal?: AbortSignal): Promise<StoredArtifact> {
    const [bytes, kind] = streamOf(source);
    const fresh = join(this.#folder, `new-${this.#random.id()}`);
    const hash = createHash("sha256");
    let sizeBytes = 0;
    const file = await open(fresh, "wx", 0o600);
    try {
      for await (const piece of bytes) {
        if (signal?.aborted === true) throw abortError(signal, "taking the artifact in");
        sizeBytes += piece.length;
        if (sizeBytes > this.#maxBytes) throw invalidArtifact(`the artifact has more than ${this.#maxBytes} bytes`, "raise maxArtifactBytes of the farm on all members");
        hash.update(piece);
        await file.writeFile(piece);
      }
      await file.sync();
      await file.close();
      const digest = hash.digest("hex");
      await this.#inTurn(async () => {
        await rename(fresh, this.path(digest));
        this.#taken.add(digest);
        this.#verified.add(digest);
      });
      return { digest, sizeBytes, kind };
    } catch (error) {
      await file.close().catch(() => undefined);
      await rm(fresh, { force: true });
      throw error;
    }
  }

  /** A piece of a whole artifact. Throws `FARM_ARTIFACT_UNAVAILABLE` if it is not here. */
  async read(digest: string, offset: number, length: number): Promise<Uint8Array> {
    const file = await open(this.path(digest), "r").catch(() => undefined);
    if (file === undefined) throw new TribuneError("FARM_ARTIFACT_UNAVAILABLE", `the artifact ${digest.slice(0, 12)} is not here`, { about: digest.slice(0, 12) });
    try {
      const piece = Buffer.allocUnsafe(length);
      const { bytesRead } = await file.read(piece, 0, length, offset);
      return piece.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  /** Does what adds to the part of an artifact, once nobody else does. Rejects with `ABORTED` who waits for that until the signal aborts. */
  async alone<T>(digest: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    for (let other = this.#coming.get(digest); other !== undefined && !signal.aborted; other = this.#coming.get(digest)) await Promise.race([other, aborted]);
    if (signal.aborted) throw abortError(signal, "waiting for a transfer");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#coming.set(digest, promise);
    try {
      return await work();
    } finally {
      this.#coming.delete(digest);
      resolve();
    }
  }

  /** The whole is here. */
  async dropPart(digest: string): Promise<void> {
    await rm((await this.part(digest)).path, { force: true });
  }

  /** Where the part of an artifact is, and how much of it there is. */
  async part(digest: string): Promise<{ readonly path: string; readonly sizeBytes: number }> {
    const path = this.path(digest) + PART;
    return { path, sizeBytes: (await sizeOf(path)) ?? 0 };
  }

  /** Makes a part that has come to its end the whole, if its digest fits; throws it away and answers `false` otherwise. */
  async complete(digest: string, signal: AbortSignal): Promise<boolean> {
    const { path } = await this.part(digest);
    const fits = (await digestOf(path, signal)) === digest;
    if (!fits) {
      await rm(path, { force: true });
      return false;
    }
    await this.#inTurn(async () => {
      await rename(path, this.path(digest));
      this.#verified.add(digest);
    });
    return true;
  }

  /** Whether what is here still has its digest, looked at once in the life of a process; if not, it is removed. */
  async verify(digest: string, signal: AbortSignal): Promise<boolean> {
    if (this.#verified.has(digest)) return true;
    const fits = (await digestOf(this.path(digest), signal)) === digest;
    if (fits) this.#verified.add(digest);
    else await rm(this.path(digest), { force: true });
    return fits;
  }

  /** Puts an artifact at `path`, without a copy where the file system can. */
  async place(digest: string, path: string): Promise<void> {
    await rm(path, { force: true });
    await link(this.path(digest), path).catch(() => copyFile(this.path(digest), path));
  }

  /** An artifact that was taken in stays only if others need it. */
  letGo(digest: string): void {
    this.#taken.delete(digest);
  }

  /** Removes all that nobody needs, and what a transfer left that was called off before the whole was given here; whether it is needed is asked when it is its turn. */
  keepOnly(isNeeded: (digest: string) => boolean): Promise<void> {
    return this.#inTurn(async () => {
      const names = await readdir(this.#folder);
      for (const name of names) {
        const digest = name.replace(PART, "");
        if (!DIGEST.test(digest)) continue;
        const isLeft = name !== digest && names.includes(digest) && !this.#coming.has(digest);
        if (!isLeft && (this.#taken.has(digest) || isNeeded(digest))) continue;
        if (!isLeft) this.#verified.delete(digest);
        await rm(join(this.#folder, name), { force: true });
      }
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** SHA-256 of a file, streaming. */
export async function digestOf(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of piecesOf(path)) {
    if (signal.aborted) throw abortError(signal, "verifying the artifact");
    hash.update(piece);
  }
  return hash.digest("hex");
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}

function checkDigest(digest: string): string {
  if (!DIGEST.test(digest)) throw invalidArtifact("what should be a digest of an artifact is none");
  return digest;
}
