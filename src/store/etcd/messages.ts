import { bytesField, fieldsOf, idIn, intField, intIn, messageIn, messagesIn, textIn } from "./wire.ts";
import type { Fields } from "./wire.ts";

/**
 * The messages of etcd's v3 API that Tribune sends and reads, by the field numbers of its published `rpc.proto` and `kv.proto`; all are there since etcd 3.3. Keys and
 * values are text.
 */

/** What a transaction is to find, or it takes the other branch. */
export type Compare =
  /** The revision of the key's last change is this; 0: there is no such key. */
  | { readonly key: string; readonly modRevision: number }
  /** The key is there and has this value. */
  | { readonly key: string; readonly value: string }
  /** The key is there, and its value comes before this text. */
  | { readonly key: string; readonly valueBefore: string }
  /** Nothing in the range was put at this revision or later. */
  | { readonly key: string; readonly end: string; readonly changedBefore: number };

/** A reading of one key, or of all in a range. */
export interface Range {
  readonly key: string;
  /** The first key behind the range; left out: the one key. */
  readonly end?: string;
  readonly limit?: number;
  readonly keysOnly?: boolean;
  /** The greatest keys first. */
  readonly descending?: boolean;
  /** As it was at this revision; left out: as it is. */
  readonly revision?: number;
}

export interface Put {
  readonly put: string;
  readonly value: string;
}

export interface Delete {
  readonly delete: string;
  readonly end?: string;
}

/** A transaction within another; its answers stand where it does. */
export interface Nested {
  readonly txn: Txn;
}

export type Op = Range | Put | Delete | Nested;
export type Write = Put | Delete | Nested;

/** If all of `compare` holds, `success` is done, otherwise `failure`; at one instant. */
export interface Txn {
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  readonly failure: readonly Op[];
}

/** A key with its value, and the revision of its last change. */
export interface Item {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
}

/** What stands above each answer. */
export interface Header {
  readonly clusterId: string;
  readonly memberId: string;
  /** Of the whole store, at the instant of the answer. */
  readonly revision: number;
  readonly raftTerm: number;
}

export interface TxnAnswer {
  readonly header: Header;
  readonly succeeded: boolean;
  /** All items that the branch read, also within transactions in it. */
  readonly items: readonly Item[];
}

export interface StatusAnswer {
  readonly header: Header;
  readonly version: string;
  readonly dbSizeBytes: number;
  /** "0": it knows of none. */
  readonly leader: string;
  /** How far the member has applied the log; 0: it does not tell. */
  readonly appliedIndex: number;
  readonly errors: readonly string[];
  readonly learner: boolean;
}

export interface WatchAnswer {
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: number;
  readonly reason: string;
  /** What was changed or removed. */
  readonly keys: readonly string[];
}

export interface MemberAnswer {
  readonly id: string;
  readonly name: string;
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}

/** The first key that does not begin with `prefix`. */
export function endOf(prefix: string): string {
  const last = prefix.charCodeAt(prefix.length - 1);
  return prefix.slice(0, -1) + String.fromCharCode(last + 1);
}

/** A reading of all keys that begin with `prefix`. */
export function all(prefix: string, over: Pick<Range, "limit" | "keysOnly" | "descending"> = {}): Range {
  return { key: prefix, end: endOf(prefix), ...over };
}

// ---- written

export function txnRequest({ compare, success, failure }: Txn): Buffer {
  return Buffer.concat([
    ...compare.map((each) => bytesField(1, compareMessage(each))),
    ...success.map((each) => bytesField(2, opMessage(each))),
    ...failure.map((each) => bytesField(3, opMessage(each))),
  ]);
}

export function authenticateRequest(name: string, password: string): Buffer {
  return Buffer.concat([bytesField(1, name), bytesField(2, password)]);
}

/** Watches a range from now on. */
export function watchRequest({ key, end }: { readonly key: string; readonly end: string }): Buffer {
  return bytesField(1, Buffer.concat([bytesField(1, key), bytesField(2, end)]));
}

function compareMessage(compare: Compare): Buffer {
  const [equal, less, mod, value] = [0, 2, 2, 3];
  if ("end" in compare) return Buffer.concat([intField(1, less), intField(2, mod), bytesField(3, compare.key), intField(6, compare.changedBefore), bytesField(64, compare.end)]);
  if ("valueBefore" in compare) return Buffer.concat([intField(1, less), intField(2, value), bytesField(3, compare.key), bytesField(7, compare.valueBefore)]);
  return Buffer.concat([
    intField(1, equal),
    intField(2, "value" in compare ? value : mod),
    bytesField(3, compare.key),
    "value" in compare ? bytesField(7, compare.value) : intField(6, compare.modRevision),
  ]);
}

function opMessage(op: Op): Buffer {
  if ("put" in op) return bytesField(2, Buffer.concat([bytesField(1, op.put), bytesField(2, op.value)]));
  if ("delete" in op) return bytesField(3, Buffer.concat([bytesField(1, op.delete), ...(op.end === undefined ? [] : [bytesField(2, op.end)])]));
  if ("txn" in op) return bytesField(4, txnRequest(op.txn));
  const descending = 2; // by key, which is the target 0
  return bytesField(
    1,
    Buffer.concat([
      bytesField(1, op.key),
      ...(op.end === undefined ? [] : [bytesField(2, op.end)]),
      ...(op.limit === undefined ? [] : [intField(3, op.limit)]),
      ...(op.revision === undefined ? [] : [intField(4, op.revision)]),
      ...(op.descending === true ? [intField(5, descending)] : []),
      ...(op.keysOnly === true ? [intField(8, 1)] : []),
    ]),
  );
}

// ---- read

export function txnAnswer(bytes: Buffer): TxnAnswer {
  const fields = fieldsOf(bytes);
  return { header: headerIn(fields), succeeded: intIn(fields, 2) === 1, items: itemsIn(fields) };
}

export function authenticateAnswer(bytes: Buffer): string {
  return textIn(fieldsOf(bytes), 2);
}

export function statusAnswer(bytes: Buffer): StatusAnswer {
  const fields = fieldsOf(bytes);
  return {
    header: headerIn(fields),
    version: textIn(fields, 2),
    dbSizeBytes: intIn(fields, 3),
    leader: idIn(fields, 4),
    appliedIndex: intIn(fields, 7),
    errors: (fields.get(8) ?? []).map(String),
    learner: intIn(fields, 10) === 1,
  };
}

export function watchAnswer(bytes: Buffer): WatchAnswer {
  const fields = fieldsOf(bytes);
  return {
    created: intIn(fields, 3) === 1,
    canceled: intIn(fields, 4) === 1,
    compactRevision: intIn(fields, 5),
    reason: textIn(fields, 6),
    keys: messagesIn(fields, 11).map((event) => textIn(messageIn(event, 2), 1)),
  };
}

export function membersAnswer(bytes: Buffer): readonly MemberAnswer[] {
  return messagesIn(fieldsOf(bytes), 2).map((fields) => ({
    id: idIn(fields, 1),
    name: textIn(fields, 2),
    clientUrls: (fields.get(4) ?? []).map(String),
    learner: intIn(fields, 5) === 1,
  }));
}

function headerIn(fields: Fields): Header {
  const header = messageIn(fields, 1);
  return { clusterId: idIn(header, 1), memberId: idIn(header, 2), revision: intIn(header, 3), raftTerm: intIn(header, 4) };
}

function itemsIn(txn: Fields): readonly Item[] {
  return messagesIn(txn, 3).flatMap((response) => [
    ...messagesIn(response, 1).flatMap((range) => messagesIn(range, 2).map(itemOf)),
    ...messagesIn(response, 4).flatMap(itemsIn),
  ]);
}

function itemOf(fields: Fields): Item {
  return { key: textIn(fields, 1), value: textIn(fields, 5), modRevision: intIn(fields, 3) };
}
