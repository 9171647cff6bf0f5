import { TribuneError } from "../kernel/index.ts";

/** Tars are made of blocks of this size (POSIX.1-1988 "ustar"). */
export const BLOCK = 512;

/** A file or a folder in a tar. */
export interface TarEntry {
  /** With `/` between its parts, and none at its ends. */
  readonly path: string;
  readonly kind: "file" | "directory";
  readonly sizeBytes: number;
  readonly executable: boolean;
}

/** Refuses an artifact, and says what to do. */
export function invalidArtifact(what: string, next = "mend the artifact and deploy it again"): TribuneError {
  return new TribuneError("FARM_ARTIFACT_INVALID", what, { about: "artifact", next });
}

/** The header of an entry. Nothing in it depends on who packs, or when. Throws `FARM_ARTIFACT_INVALID` for paths that do not fit. */
export function encodeHeader({ path, kind, sizeBytes, executable }: TarEntry): Buffer {
  const header = Buffer.alloc(BLOCK);
  const [prefix, name] = splitPath(kind === "directory" ? `${path}/` : path);
  header.write(name, 0, 100);
  header.write(kind === "directory" || executable ? "0000755\0" : "0000644\0", 100);
  header.write("0000000\0", 108); // owner
  header.write("0000000\0", 116); // group
  writeSize(header, sizeBytes);
  header.write("00000000000\0", 136); // modified at
  header.write("        ", 148);
  header.write(kind === "directory" ? "5" : "0", 156);
  header.write("ustar\x0000", 257);
  header.write(prefix, 345, 155);
  header.write(`${checksum(header).toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** Reads a header; `null` for a block of zeros, which ends a tar. Throws `FARM_ARTIFACT_INVALID` for everything but plain files and folders under plain relative paths. */
export function decodeHeader(header: Buffer): TarEntry | null {
  if (header.every((byte) => byte === 0)) return null;
  if (header.toString("latin1", 257, 262) !== "ustar") throw invalidArtifact("the archive is not a tar in the format ustar", "make it with tar --format=ustar, or give the directory itself");
  if (parseOctal(header, 148, 8) !== checksum(header)) throw invalidArtifact("the archive has a header whose checksum is wrong");
  const type = String.fromCharCode(header[156] ?? 0);
  const prefix = field(header, 345, 155);
  const whole = prefix === "" ? field(header, 0, 100) : `${prefix}/${field(header, 0, 100)}`;
  const kind = type === "0" || type === "\0" ? "file" : type === "5" ? "directory" : undefined;
  if (kind === undefined) throw invalidArtifact(`the archive has an entry of type ${JSON.stringify(type)} (${shownPath(whole)}): only plain files and folders are taken, no links, devices or extensions`, "leave links out, and make it with tar --format=ustar");
  const path = kind === "directory" ? whole.replace(/\/$/, "") : whole;
  checkPath(path);
  const sizeBytes = readSize(header);
  if (kind === "directory" && sizeBytes !== 0) throw invalidArtifact(`the archive has a folder with a size (${shownPath(path)})`);
  return { path, kind, sizeBytes, executable: (parseOctal(header, 100, 8) & 0o100) !== 0 };
}

/** Throws `FARM_ARTIFACT_INVALID` unless a path stays below the folder that it is unpacked in, on every system. `.` by itself is that folder. */
export function checkPath(path: string): void {
  if (path === ".") return;
  const parts = path.split("/");
  const bad = (why: string) => invalidArtifact(`the artifact has the path ${shownPath(path)}, which ${why}`);
  if (path === "" || path.startsWith("/") || /^[A-Za-z]:/.test(path)) throw bad("is empty or absolute");
  if (parts.includes("..")) throw bad("leads out by '..'");
  if (/[\\\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(path) || path.includes("\ufffd")) throw bad("has a backslash, a control character, or is no UTF-8");
  if (parts.some((part, n) => part === "" || (part === "." && n > 0))) throw bad("has an empty part");
}

function splitPath(path: string): readonly [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ["", path];
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) {
    const name = path.slice(at + 1);
    if (name !== "" && Buffer.byteLength(name) <= 100) {
      if (Buffer.byteLength(path.slice(0, at)) <= 155) return [path.slice(0, at), name];
      break;
    }
  }
  throw invalidArtifact(`the path ${shownPath(path)} is too long for a tar in the format ustar`, "shorten it: up to 100 bytes for its last part, 155 for what is before");
}

/** Octal up to 8 GiB, then binary as GNU and BSD tar do. */
function writeSize(header: Buffer, sizeBytes: number): void {
  if (sizeBytes < 8 ** 11) header.write(`${sizeBytes.toString(8).padStart(11, "0")}\0`, 124);
  else {
    header[124] = 0x80;
    header.writeUIntBE(sizeBytes, 130, 6);
  }
}

function readSize(header: Buffer): number {
  if (header[124] !== 0x80) return parseOctal(header, 124, 12);
  if (header.subarray(125, 130).some((byte) => byte !== 0)) throw invalidArtifact("the archive has a size that cannot be");
  return header.readUIntBE(130, 6);
}

function parseOctal(header: Buffer, at: number, length: number): number {
  const text = header.toString("latin1", at, at + length).replace(/[\0 ]+$/, "").trimStart();
  if (!/^[0-7]*$/.test(text)) throw invalidArtifact("the archive has a header that cannot be read");
  return text === "" ? 0 : Number.parseInt(text, 8);
}

function checksum(header: Buffer): number {
  let sum = 8 * 32; // its own place counts as spaces
  for (const [at, byte] of header.entries()) if (at < 148 || at >= 156) sum += byte;
  return sum;
}

function field(header: Buffer, at: number, length: number): string {
  const end = header.indexOf(0, at);
  return header.toString("utf8", at, end === -1 ? at + length : Math.min(end, at + length));
}

/** A path for a message. */
export function shownPath(path: string): string {
  return JSON.stringify(path.length > 120 ? `${path.slice(0, 120)}…` : path);
}
