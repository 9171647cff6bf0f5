import { createPrivateKey, createPublicKey, KeyObject, sign, verify } from "node:crypto";
import { TribuneError } from "../kernel/index.ts";
import type { Release } from "./record.ts";

/** What a signature stands for. */
export type SignedParts = Pick<Release, "version" | "digest" | "sizeBytes" | "kind" | "config">;

/** The bytes that are signed: name, version and all that decides what runs. */
export function releaseStatement(name: string, { version, digest, sizeBytes, kind, config }: SignedParts): Buffer {
  return Buffer.from(JSON.stringify(["tribune-artifact-1", name, version, digest, sizeBytes, kind, sortedJson(config)]));
}

/** Signs with an Ed25519 key: PEM or a key object. Returns base64. Throws `INVALID_OPTIONS` for other keys. */
export function signRelease(name: string, parts: SignedParts, key: string | KeyObject): string {
  return sign(null, releaseStatement(name, parts), privateKey(key)).toString("base64");
}

/** Throws `FARM_UNSIGNED` or `FARM_SIGNATURE_INVALID` unless one of the keys has signed it. Without keys everything is taken. */
export function verifyRelease(name: string, release: Release, keys: readonly KeyObject[]): void {
  if (keys.length === 0) return;
  if (release.signature === null) throw new TribuneError("FARM_UNSIGNED", `${name} ${release.version} is not signed, and this member takes only what is`, { about: name, next: "deploy it with signWith: the private key" });
  const signature = Buffer.from(release.signature, "base64");
  if (!keys.some((key) => verify(null, releaseStatement(name, release), key, signature))) {
    throw new TribuneError("FARM_SIGNATURE_INVALID", `${name} ${release.version} is signed by none of the keys that this member trusts, or is not what was signed`, { about: name, next: "sign it with a trusted key, or add that key to trustedKeys on all members" });
  }
}

/** A private Ed25519 key. Throws `INVALID_OPTIONS`. */
export function privateKey(key: string | KeyObject): KeyObject {
  return readKey(key, createPrivateKey, "private");
}

/** A public Ed25519 key. Throws `INVALID_OPTIONS`. */
export function publicKey(key: string | KeyObject): KeyObject {
  return readKey(key, createPublicKey, "public");
}

function readKey(key: string | KeyObject, create: (pem: string) => KeyObject, what: "private" | "public"): KeyObject {
  const invalid = () => new TribuneError("INVALID_OPTIONS", `a key of the farm is no ${what} Ed25519 key`, { about: "farm", next: `give it as text in PEM, or as a key object; crypto.generateKeyPairSync("ed25519") makes a pair` });
  let object: unknown;
  try {
    object = typeof key === "string" ? create(key) : key;
  } catch {
    throw invalid();
  }
  if (!(object instanceof KeyObject) || object.asymmetricKeyType !== "ed25519" || object.type !== what) throw invalid();
  return object;
}

/** JSON with members in the order of their names, so that the same value has the same text. */
export function sortedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, each]) => `${JSON.stringify(name)}:${sortedJson(each)}`).join(",")}}`;
}
