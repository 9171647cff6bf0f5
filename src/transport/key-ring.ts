import { TribuneError } from "../kernel/index.ts";
import type { Random } from "../kernel/index.ts";
import type { KeyRing, TransportKey } from "./keys.ts";

/**
 * The group's keys as they are kept in the store: one versioned document, changed by compare-and-set. Everything here is pure; whoever has the store reads, writes, and hands what it read to {@link HeldKeys}.
 *
 * A rotation takes three steps, each after everybody has read the one before, so that at no time a member uses a key that another one refuses:
 *
 *     introduceKey: the new key is accepted  →  activateKey: it is used for what is dialled  →  retireKey: the old one is refused
 */
export interface RingDocument {
  readonly keys: readonly KeyRecord[];
}

/** One key, with its secret as long as it is of use. */
export interface KeyRecord {
  readonly id: string;
  /** Base64url; `""` once the key is retired. */
  readonly secret: string;
  readonly createdAtMs: number;
  /** `accepted`: from others. `active`: also used for what is dialled; exactly one is. `retired`: refused. */
  readonly state: "accepted" | "active" | "retired";
}

/** The name of the document in the store. */
export const KEY_RING_DOCUMENT = "transport-keys";

/** How many retired keys are remembered, for people to see. */
const REMEMBERED = 8;

/** More keys than this are accepted at no time. */
const MOST_ACCEPTED = 4;

const SECRET_BYTES = 32;

/** The first ring of a group. `random` must be the operating system's. */
export function newRing(random: Random, nowMs: number): RingDocument {
  return { keys: [{ ...newKey(random, nowMs), state: "active" }] };
}

/** Adds a key that others accept, and that nobody uses yet. */
export function introduceKey(ring: RingDocument, random: Random, nowMs: number): RingDocument {
  if (ring.keys.filter((key) => key.state !== "retired").length >= MOST_ACCEPTED) throw ringError(`the group already accepts ${MOST_ACCEPTED} keys`, "retire those that nobody uses any more");
  return { keys: [...ring.keys, { ...newKey(random, nowMs), state: "accepted" }] };
}

/** From now on what is dialled uses this key; the one before is still accepted. */
export function activateKey(ring: RingDocument, id: string): RingDocument {
  recordOf(ring, id, ["accepted", "active"]);
  return { keys: ring.keys.map((key) => (key.id === id ? { ...key, state: "active" } : key.state === "active" ? { ...key, state: "accepted" } : key)) };
}

/** From now on this key is refused, and connections made with it end. Its secret is forgotten. */
export function retireKey(ring: RingDocument, id: string): RingDocument {
  if (recordOf(ring, id, ["accepted", "active", "retired"]).state === "active") throw ringError(`the key ${id} is in use`, "activate another one first");
  const keys = ring.keys.map((key): KeyRecord => (key.id === id ? { ...key, secret: "", state: "retired" } : key));
  const forgotten = Math.max(0, keys.filter((key) => key.state === "retired").length - REMEMBERED);
  let passed = 0;
  return { keys: keys.filter((key) => key.state !== "retired" || ++passed > forgotten) };
}

/** As text for the store. */
export function encodeRing(ring: RingDocument): string {
  return JSON.stringify({ keys: ring.keys.map(({ id, secret, createdAtMs, state }) => ({ id, secret, createdAtMs, state })) });
}

/** What the store had. Throws `KEYS_MISSING` if that is no ring; the message holds nothing of it. */
export function decodeRing(text: string): RingDocument {
  const parsed = parse(text);
  const list: unknown = typeof parsed === "object" && parsed !== null ? (parsed as { keys?: unknown }).keys : undefined;
  const keys = Array.isArray(list) ? list.map(recordFrom) : [];
  const whole = keys.filter((key) => key !== undefined);
  if (whole.length === 0 || whole.length < keys.length || whole.filter((key) => key.state === "active").length !== 1 || new Set(whole.map((key) => key.id)).size < whole.length) {
    throw ringError("what the store has as the group's keys is no ring of keys", "see who writes into the tables of Tribune; then rotate the keys");
  }
  return { keys: whole };
}

/** The ring that was read last, for a transport. Tells it of each change. */
export class HeldKeys implements KeyRing {
  #keys = new Map<string, TransportKey>();
  #current: TransportKey | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(ring?: RingDocument) {
    if (ring !== undefined) this.replace(ring);
  }

  current(): TransportKey | undefined {
    return this.#current;
  }

  find(id: string): TransportKey | undefined {
    return this.#keys.get(id);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes what was read from the store. */
  replace(ring: RingDocument): void {
    const keys = new Map<string, TransportKey>();
    let current: TransportKey | undefined;
    for (const record of ring.keys) {
      if (record.state === "retired") continue;
      const key = { id: record.id, secret: new Uint8Array(Buffer.from(record.secret, "base64url")) };
      keys.set(key.id, key);
      if (record.state === "active") current = key;
    }
    this.#keys = keys;
    this.#current = current;
    for (const listener of this.#listeners) listener();
  }

  /** Secrets are not printed. */
  toJSON(): { readonly keys: readonly string[] } {
    return { keys: [...this.#keys.keys()] };
  }
}

function newKey(random: Random, createdAtMs: number): Omit<KeyRecord, "state"> {
  const secret = Buffer.from(random.id() + random.id(), "hex");
  if (secret.length !== SECRET_BYTES) throw ringError("the random source gave too little for a key", "use the operating system's random source");
  return { id: random.id().slice(0, 16), secret: secret.toString("base64url"), createdAtMs };
}

function recordOf(ring: RingDocument, id: string, states: ReadonlyArray<KeyRecord["state"]>): KeyRecord {
  const found = ring.keys.find((key) => key.id === id);
  if (found === undefined || !states.includes(found.state)) throw ringError(`the group has no such key, or it is retired`, "see which keys there are");
  return found;
}

function recordFrom(value: unknown): KeyRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { id, secret, createdAtMs, state } = value as Partial<Record<keyof KeyRecord, unknown>>;
  if (typeof id !== "string" || !/^[0-9a-f]{16}$/.test(id) || typeof createdAtMs !== "number" || typeof secret !== "string") return undefined;
  if (state !== "accepted" && state !== "active" && state !== "retired") return undefined;
  if (state !== "retired" && Buffer.from(secret, "base64url").length !== SECRET_BYTES) return undefined;
  return { id, secret, createdAtMs, state };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the parser's message would quote the text
  }
}

function ringError(found: string, next: string): TribuneError {
  return new TribuneError("KEYS_MISSING", found, { about: "keys", next });
}
