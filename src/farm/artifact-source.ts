import { createReadStream } from "node:fs";
import { isTribuneError, TribuneError } from "../kernel/index.ts";
import { packDirectory } from "./tar.ts";
import { shownPath } from "./tar-header.ts";

/** What is deployed: bytes, a file, a directory, or a directory that is a tar in the format ustar already. */
export type ArtifactSource = Uint8Array | { readonly file: string } | { readonly directory: string } | { readonly tar: string };

const SHAPES = ["file", "directory", "tar"] as const;
const AT_ONCE = { highWaterMark: 2 ** 20 };

/** What can be done about what the system says of a path. */
const NEXT: Readonly<Partial<Record<string, string>>> = {
  ENOENT: "give the path of what is to be deployed, as this process sees it",
  ENOTDIR: "give a folder as { directory }; a file as { file }, or, if it is a tar of a directory, as { tar }",
  EISDIR: "give a folder as { directory }",
  EACCES: "let this process read it",
  EPERM: "let this process read it",
};

/** Whether it has the shape of an artifact. What is at a path shows when it is read. */
export function isArtifactSource(value: unknown): value is ArtifactSource {
  if (value instanceof Uint8Array) return true;
  if (typeof value !== "object" || value === null) return false;
  const paths = SHAPES.map((shape) => (value as Readonly<Record<string, unknown>>)[shape]).filter((path) => path !== undefined);
  return paths.length === 1 && typeof paths[0] === "string" && paths[0] !== "";
}

/** The bytes of an artifact, as it travels. They reject with `FARM_ARTIFACT_INVALID`, also where it cannot be read. */
export function streamOf(source: ArtifactSource): readonly [bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, kind: "file" | "directory"] {
  if (source instanceof Uint8Array) return [[source], "file"];
  const { file, tar, directory = "" } = source as { readonly [shape in (typeof SHAPES)[number]]?: string };
  if (file !== undefined) return [readable(piecesOf(file), file), "file"];
  if (tar !== undefined) return [readable(piecesOf(tar), tar), "directory"];
  return [readable(packDirectory(directory), directory), "directory"];
}

/** Opens the file when the first piece is asked for: a stream that fails before anybody listens to it ends the process. */
export async function* piecesOf(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield* createReadStream(path, AT_ONCE) as AsyncIterable<Buffer>;
}

async function* readable(bytes: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* bytes;
  } catch (error) {
    if (!(error instanceof Error) || isTribuneError(error)) throw error;
    const { code = error.message, path: at = path } = error as NodeJS.ErrnoException;
    throw new TribuneError("FARM_ARTIFACT_INVALID", `${shownPath(at)} cannot be read: ${code}`, { about: "artifact", next: NEXT[code] ?? "see what the system says of that path", cause: error });
  }
}
