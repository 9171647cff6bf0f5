import { createHash } from "node:crypto";
import { isTribuneError, TribuneError } from "../kernel/index.ts";
import type { ErrorCode } from "../kernel/index.ts";

/** One version of a named thing, as it is to be on all members. */
export interface Release {
  /** The change that brought it first. */
  readonly id: string;
  readonly version: string;
  /** SHA-256 of the artifact's bytes, in hexadecimal digits. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** A directory travels as a tar. */
  readonly kind: "file" | "directory";
  /** JSON of the deployer's, for the handler. */
  readonly config: unknown;
  /** Ed25519 over {@link releaseStatement}, base64; `null`: unsigned. */
  readonly signature: string | null;
}

/** In waves, instead of all members at once. */
export interface Rolling {
  /** How many members at a time, or one zone after the other. */
  readonly by: number | "zone";
  /** How long a wave may take until all of it is healthy, in milliseconds. */
  readonly waveMs: number;
}

/** What is being changed. */
export interface Change {
  readonly id: string;
  readonly kind: "deploy" | "rollback";
  readonly release: Release;
  /** The node that asked, which has the artifact. */
  readonly by: string;
  readonly phase: "preparing" | "rolling";
  /** How long votes are waited for, in milliseconds. */
  readonly prepareMs: number;
  readonly rolling: Rolling | null;
  /** Nodes that may apply it already. */
  readonly admitted: readonly string[];
  /** Those of them that are waited for now. */
  readonly wave: readonly string[];
}

/** How a change ended. */
export interface Outcome {
  readonly id: string;
  readonly kind: "deploy" | "undeploy" | "rollback";
  /** The version that was to be; of an undeployment the one that was. */
  readonly version: string;
  readonly result: "committed" | "rolled-back";
  /** Why it was rolled back. */
  readonly code: ErrorCode | null;
  readonly why: string | null;
  /** The node because of which it was. */
  readonly node: string | null;
}

/** Everything that is decided about one name. Proposal and decision are changes of this one document. */
export interface AppRecord {
  readonly name: string;
  /** What is desired; `null`: nothing. */
  readonly current: Release | null;
  /** What was desired before, the newest first. */
  readonly history: readonly Release[];
  readonly change: Change | null;
  /** The newest first. */
  readonly outcomes: readonly Outcome[];
}

/** What a member answers to a change. */
export interface Vote {
  readonly change: string;
  readonly node: string;
  readonly incarnation: string;
  readonly yes: boolean;
  readonly code: ErrorCode | null;
  readonly why: string | null;
}

/** What a member has of one name. */
export interface AppReport {
  /** The release that runs; `null`: none. */
  readonly release: string | null;
  readonly version: string | null;
  /** The release that could not be applied, and why; `null`: nothing failed. */
  readonly failed: { readonly release: string | null; readonly code: ErrorCode; readonly why: string } | null;
}

/** What a member tells of itself. */
export interface NodeReport {
  readonly node: string;
  readonly incarnation: string;
  /** Number of the view that the member had when it wrote this. */
  readonly view: number;
  readonly apps: Readonly<Record<string, AppReport>>;
}

/** Releases that can be gone back to. */
export const RELEASES_KEPT = 5;

/** Outcomes that are kept, for who asks how a change ended. */
export const OUTCOMES_KEPT = 10;

/** Where the documents of this room are. */
export const APP_PREFIX = "farm.app.";
export const VOTE_PREFIX = "farm.vote.";
export const NODE_PREFIX = "farm.node.";

/** The longest name of something deployed: that of its document has to be a name too. */
export const LONGEST_FARM_NAME = 100;

/** Names of folders are made of it, so it is looked at wherever it comes from. */
const ID = /^[0-9a-f]{32}$/;

/** Whether something deployed, or a version of it, may be called so. */
export function isFarmName(name: unknown): name is string {
  return typeof name === "string" && name.length <= LONGEST_FARM_NAME && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name);
}

/** Whether it can be the id of a change or a release. */
export function isId(id: unknown): id is string {
  return typeof id === "string" && ID.test(id);
}

/** A name of which nothing is known yet. */
export function emptyRecord(name: string): AppRecord {
  return { name, current: null, history: [], change: null, outcomes: [] };
}

/** The document of a name. */
export function appDocument(name: string): string {
  return APP_PREFIX + name;
}

/** The document of one member's vote on one change. */
export function voteDocument(change: string, incarnation: string): string {
  return `${VOTE_PREFIX}${change}.${incarnation}`;
}

/** The document of a member's report. Names of nodes may be as long as names of documents, so it has a hash. */
export function nodeDocument(node: string): string {
  return NODE_PREFIX + createHash("sha256").update(node).digest("hex").slice(0, 40);
}

/** The text of a document. */
export function encode(value: AppRecord | Vote | NodeReport): string {
  return JSON.stringify(value);
}

/** What is in the document of a name. Throws `INVALID_DOCUMENT` if that is something else. */
export function decodeApp(document: string, text: string): AppRecord {
  const fits = (value: AppRecord) => isFarmName(value.name) && document === appDocument(value.name) && Array.isArray(value.history) && Array.isArray(value.outcomes) && isRelease(value.current) && value.history.every(isRelease);
  const record = decode<AppRecord>(document, text, (value) => fits(value) && (isChange(value.change) || hasNoVersion(value.change)));
  return hasNoVersion(record.change) ? { ...record, change: null } : record;
}

/** What is in the document of a vote. Throws `INVALID_DOCUMENT`. */
export function decodeVote(document: string, text: string): Vote {
  return decode<Vote>(document, text, (value) => typeof value.change === "string" && typeof value.node === "string" && typeof value.incarnation === "string" && typeof value.yes === "boolean");
}

/** What is in the document of a report. Throws `INVALID_DOCUMENT`. */
export function decodeReport(document: string, text: string): NodeReport {
  return decode<NodeReport>(document, text, (value) => typeof value.node === "string" && typeof value.incarnation === "string" && Number.isSafeInteger(value.view) && isObject(value.apps));
}

/** Code and words of what went wrong, for a document that others read. */
export function causeOf(error: unknown, otherwise: ErrorCode): { readonly code: ErrorCode; readonly why: string } {
  const why = error instanceof Error ? error.message : String(error);
  return { code: isTribuneError(error) ? error.code : otherwise, why: why.slice(0, 300).toWellFormed().replaceAll("\0", "") };
}

function decode<T>(document: string, text: string, fits: (value: T) => boolean): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (isObject(value) && fits(value as T)) return value as T;
  throw new TribuneError("INVALID_DOCUMENT", `the document ${document} is none of the farm's`, { about: document, next: "run the same version of Tribune on all members; see who else writes to this group" });
}

/** Whether it is a release that is whole, or none. */
export function isRelease(value: Release | null): boolean {
  return value === null || (isObject(value) && isId(value.id) && isFarmName(value.version) && typeof value.digest === "string" && /^[0-9a-f]{64}$/.test(value.digest) && isSignature(value.signature) && Number.isSafeInteger(value.sizeBytes) && value.sizeBytes >= 0 && (value.kind === "file" || value.kind === "directory"));
}

function isChange(value: Change | null): boolean {
  return value === null || (isObject(value) && isId(value.id) && (value.release as Release | null) !== null && isRelease(value.release) && (value.phase === "preparing" || value.phase === "rolling") && Array.isArray(value.admitted) && Array.isArray(value.wave));
}

/** A change that a coordinator took before it asked for a version. Nobody could read it, so nobody has voted on it: it is none. */
function hasNoVersion(change: Change | null): boolean {
  return isObject(change) && isObject(change?.release) && (change?.release.version as unknown) === undefined;
}

function isSignature(value: unknown): boolean {
  return value === null || (typeof value === "string" && value.length < 200);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
