import { codeName } from "./codes.ts";
import type { ZookeeperCode } from "./codes.ts";
import { JuteError, JuteReader, JuteWriter } from "./jute.ts";

/** Numbers of the requests (`org.apache.zookeeper.ZooDefs.OpCode`). */
const OP = { delete: 2, exists: 3, getData: 4, setData: 5, getAcl: 6, sync: 9, ping: 11, getChildren: 12, check: 13, multi: 14, create: 15, auth: 100, sasl: 102, closeSession: -11, error: -1 } as const;

/** An older way to create, which answers less. */
const CREATED = 1;

/** Requests that are not numbered by the client have these numbers instead. */
export const PING_XID = -2;
export const AUTH_XID = -4;
export const WATCH_XID = -1;

const EPHEMERAL = 1;
/** What a version is where any will do. */
export const ANY_VERSION = -1;

/** Permissions of an entry of an access list. */
export const PERMISSION = { read: 1, write: 2, create: 4, delete: 8, admin: 16 } as const;
const ALL_PERMISSIONS = 31;

/** Who may do what with a znode. */
export interface Acl {
  readonly permissions: number;
  readonly scheme: string;
  readonly id: string;
}

/** Everybody may do everything. */
export const OPEN_ACL: readonly Acl[] = [{ permissions: ALL_PERMISSIONS, scheme: "world", id: "anyone" }];
/** Only who made it, by whatever the session has proved to be. */
export const CREATOR_ACL: readonly Acl[] = [{ permissions: ALL_PERMISSIONS, scheme: "auth", id: "" }];

/** What the server knows of a znode beside its data. Times are the leader's wall clock, when it took the change. */
export interface Stat {
  readonly createdZxid: bigint;
  readonly modifiedZxid: bigint;
  readonly createdMs: number;
  readonly modifiedMs: number;
  readonly version: number;
  readonly ephemeralOwner: bigint;
  readonly children: number;
}

/** A part of a transaction. */
export type Operation =
  | { readonly op: "create"; readonly path: string; readonly data: Uint8Array; readonly acl: readonly Acl[]; readonly ephemeral?: boolean }
  | { readonly op: "delete"; readonly path: string; readonly version: number }
  | { readonly op: "setData"; readonly path: string; readonly data: Uint8Array; readonly version: number }
  | { readonly op: "check"; readonly path: string; readonly version: number };

/** What a client asks. */
export type Request =
  | { readonly op: "exists"; readonly path: string; readonly watch?: boolean }
  | { readonly op: "getData"; readonly path: string; readonly watch?: boolean }
  | { readonly op: "getChildren"; readonly path: string; readonly watch?: boolean }
  | { readonly op: "getAcl"; readonly path: string }
  | { readonly op: "sync"; readonly path: string }
  | { readonly op: "sasl"; readonly token: Uint8Array }
  | { readonly op: "closeSession" }
  | { readonly op: "multi"; readonly operations: readonly Operation[] }
  | Exclude<Operation, { op: "check" }>;

/** What a part of a transaction answers; `null` where there is nothing to say. */
export type OperationResult = { readonly stat: Stat | null };

/** What a server answers to a request that it carried out. */
export interface Answers {
  readonly exists: { readonly stat: Stat };
  readonly getData: { readonly data: Buffer; readonly stat: Stat };
  readonly getChildren: { readonly children: readonly string[]; readonly stat: Stat };
  readonly getAcl: { readonly acl: readonly Acl[]; readonly stat: Stat };
  readonly sync: null;
  readonly sasl: { readonly token: Buffer };
  readonly closeSession: null;
  readonly create: { readonly stat: Stat };
  readonly delete: null;
  readonly setData: { readonly stat: Stat };
  readonly multi: { readonly results: readonly OperationResult[] };
}

/** What a multi came to where it was refused: nothing of it was done. */
export interface Refusal {
  readonly index: number;
  readonly code: ZookeeperCode;
}

/** What goes before each answer. `zxid` is the number of the last transaction that this server had applied. */
export interface ReplyHeader {
  readonly xid: number;
  readonly zxid: bigint;
  readonly error: number;
}

/** That something changed which the client had asked to be told of, once. */
export interface WatchEvent {
  readonly type: "created" | "deleted" | "changed" | "children" | "other";
  readonly path: string;
}

/** Of an answer that is an error there is no more; and a greeting is longer. */
export const REPLY_HEADER_BYTES = 16;

// ---- the session

/** The first thing that a client says. */
export interface ConnectRequest {
  readonly timeoutMs: number;
  /** Of the session that is to go on; zero, and no password, for a new one. */
  readonly sessionId: bigint;
  readonly password: Uint8Array;
  /** Whether a server will do that takes no writes. */
  readonly readOnly: boolean;
}

/** The first thing that a server says. A session that has expired has no time. */
export interface ConnectResponse {
  readonly timeoutMs: number;
  readonly sessionId: bigint;
  readonly password: Buffer;
  readonly readOnly: boolean;
}

export function encodeConnect({ timeoutMs, sessionId, password, readOnly }: ConnectRequest): Buffer {
  // The last zxid seen is not told: a server that is behind would close without a word. Whoever connects looks at the zxid that it is answered.
  return new JuteWriter().int(0).long(0n).int(timeoutMs).long(sessionId).buffer(password).bool(readOnly).frame();
}

export function decodeConnect(frame: Buffer): ConnectResponse {
  const reader = new JuteReader(frame);
  const protocol = reader.int();
  if (protocol !== 0) throw new JuteError(`it speaks version ${protocol} of a protocol that has only version 0`);
  const [timeoutMs, sessionId, password] = [reader.int(), reader.long(), reader.buffer()];
  return { timeoutMs, sessionId, password: password ?? Buffer.alloc(0), readOnly: reader.leftBytes > 0 && reader.bool() };
}

export function encodeAuth(scheme: string, auth: Uint8Array): Buffer {
  return new JuteWriter().int(AUTH_XID).int(OP.auth).int(0).string(scheme).buffer(auth).frame();
}

export function encodePing(): Buffer {
  return new JuteWriter().int(PING_XID).int(OP.ping).frame();
}

// ---- requests

export function encodeRequest(xid: number, request: Request): Buffer {
  const writer = new JuteWriter().int(xid).int(OP[request.op]);
  switch (request.op) {
    case "exists":
    case "getData":
    case "getChildren":
      writer.string(request.path).bool(request.watch ?? false);
      break;
    case "getAcl":
    case "sync":
      writer.string(request.path);
      break;
    case "sasl":
      writer.buffer(request.token);
      break;
    case "closeSession":
      break;
    case "multi":
      for (const operation of request.operations) {
        writer.int(OP[operation.op]).bool(false).int(-1);
        writeOperation(writer, operation);
      }
      writer.int(OP.error).bool(true).int(-1);
      break;
    case "create":
    case "delete":
    case "setData":
      writeOperation(writer, request);
      break;
  }
  return writer.frame();
}

function writeOperation(writer: JuteWriter, operation: Operation): void {
  writer.string(operation.path);
  switch (operation.op) {
    case "create":
      writer.buffer(operation.data);
      writer.list(operation.acl, (list, { permissions, scheme, id }) => list.int(permissions).string(scheme).string(id));
      writer.int(operation.ephemeral === true ? EPHEMERAL : 0);
      break;
    case "setData":
      writer.buffer(operation.data).int(operation.version);
      break;
    case "check":
    case "delete":
      writer.int(operation.version);
      break;
  }
}

// ---- answers

/** An answer: its header, and a reader of the rest. */
export function decodeReply(frame: Buffer): { readonly header: ReplyHeader; readonly body: JuteReader } {
  const body = new JuteReader(frame);
  return { header: { xid: body.int(), zxid: body.long(), error: body.int() }, body };
}

export function decodeWatchEvent(body: JuteReader): WatchEvent {
  const [type] = [body.int(), body.int()];
  const names: Readonly<Record<number, WatchEvent["type"]>> = { 1: "created", 2: "deleted", 3: "changed", 4: "children" };
  return { type: names[type] ?? "other", path: body.string() ?? "" };
}

/** The body of an answer that reports no error. A transaction that was refused is one of these, too. */
export function decodeAnswer(request: Request, body: JuteReader): Answers[Request["op"]] | Refusal {
  switch (request.op) {
    case "exists":
    case "setData":
      return { stat: readStat(body) };
    case "create":
      body.string();
      return { stat: readStat(body) };
    case "getData": {
      const data = body.buffer() ?? Buffer.alloc(0);
      return { data, stat: readStat(body) };
    }
    case "getChildren": {
      const children = body.list((each) => each.string() ?? "");
      return { children, stat: readStat(body) };
    }
    case "getAcl": {
      const acl = body.list((each) => ({ permissions: each.int(), scheme: each.string() ?? "", id: each.string() ?? "" }));
      return { acl, stat: readStat(body) };
    }
    case "sasl":
      return { token: body.buffer() ?? Buffer.alloc(0) };
    case "multi":
      return readMulti(body);
    case "closeSession":
    case "delete":
    case "sync":
      return null;
  }
}

function readMulti(body: JuteReader): Answers["multi"] | Refusal {
  const results: OperationResult[] = [];
  const errors: number[] = [];
  for (;;) {
    const [type, done] = [body.int(), body.bool(), body.int()];
    if (done) break;
    if (type === OP.error) {
      errors.push(body.int());
      continue;
    }
    results.push({ stat: readResult(type, body) });
  }
  if (errors.length === 0) return { results };
  // All that stand before the one that failed say "no error", all behind it "inconsistency".
  const index = errors.findIndex((error) => error !== 0);
  return { index, code: codeName(errors[index] ?? 0) };
}

function readResult(type: number, body: JuteReader): Stat | null {
  switch (type) {
    case CREATED: // what most servers answer to a create, however it was asked for
      body.string();
      return null;
    case OP.create:
      body.string();
      return readStat(body);
    case OP.setData:
      return readStat(body);
    case OP.delete:
    case OP.check:
      return null;
    default:
      throw new JuteError(`an operation of a transaction is answered as one of kind ${type}`);
  }
}

function readStat(body: JuteReader): Stat {
  const [createdZxid, modifiedZxid, createdMs, modifiedMs] = [body.long(), body.long(), Number(body.long()), Number(body.long())];
  const [version] = [body.int(), body.int(), body.int()];
  const [ephemeralOwner, , children] = [body.long(), body.int(), body.int(), body.long()];
  return { createdZxid, modifiedZxid, createdMs, modifiedMs, version, ephemeralOwner, children };
}

export function isRefusal(answer: Answers[Request["op"]] | Refusal): answer is Refusal {
  return answer !== null && "code" in answer;
}
