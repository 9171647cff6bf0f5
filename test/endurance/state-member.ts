import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Channel, StatePage, StateProgress, StateReport } from "../../src/channel/index.ts";
import type { Deeds } from "./member.ts";

/** About what a page has. */
const PAGE_BYTES = 512 * 1024;

/** Before an entry in a page, and as a message: its number and its version. */
const HEAD_BYTES = 8;

const DEADLINE_MS = 600_000;

/** What a writer saw of its acknowledged writes. */
export interface Written {
  readonly writes: number;
  /** Writes that not everybody who stayed has handled. */
  readonly failed: number;
  readonly ms: readonly number[];
}

/** Entries by number, each with a version and a value; a newer version wins, so that a write and a page may come in either order. */
export function stateMember(channel: Channel): Deeds {
  const entries = new Map<number, Uint8Array>(); // as it travels: number, version, value
  let entryBytes = 0;
  let last: StateProgress | undefined;
  let obtaining: Promise<readonly StateReport[]> = Promise.resolve([]);
  const take = (entry: Uint8Array) => {
    const number = fieldOf(entry, 0);
    const held = entries.get(number);
    if (held === undefined || fieldOf(entry, 4) > fieldOf(held, 4)) entries.set(number, entry);
  };
  channel.state("entries", {
    *snapshot(after): Generator<StatePage> {
      const count = entries.size;
      for (let number = after === "" ? 0 : Number(after) + 1; number < count; ) {
        const page: Uint8Array[] = [];
        for (let bytes = 0; number < count && bytes < PAGE_BYTES; number++) {
          const entry = entries.get(number) as Uint8Array;
          page.push(entry);
          bytes += entry.length;
        }
        yield { bytes: Buffer.concat(page), cursor: String(number - 1) };
      }
    },
    apply({ bytes }) {
      // A copy of each: a page is not held for the sake of its last entry.
      for (let at = 0; at < bytes.length; at += entryBytes) take(Uint8Array.prototype.slice.call(bytes, at, at + entryBytes));
    },
  });
  channel.on("state", (progress) => void (last = progress));
  channel.listen("write", ({ payload }) => take(Uint8Array.prototype.slice.call(payload)));
  const until = { stopped: true };
  let writing: Promise<Written> | undefined;
  return {
    fill: ({ count, bytes }: { readonly count: number; readonly bytes: number }) => {
      entryBytes = HEAD_BYTES + bytes;
      for (let number = 0; number < count; number++) take(entryOf(number, 1, entryBytes));
    },
    /** The first members have nobody to get it from: what they have is what there is. */
    begin: async () => void (await channel.obtainStates({ deadlineMs: 60_000 })),
    obtain: ({ bytes }: { readonly bytes: number }) => {
      entryBytes = HEAD_BYTES + bytes;
      obtaining = channel.obtainStates({ deadlineMs: DEADLINE_MS });
      obtaining.catch(() => undefined); // told by "obtained"
    },
    progress: () => last,
    obtained: () => obtaining,
    /** Acknowledged writes, again and again: to whoever is in the view. */
    write: ({ count, everyMs }: { readonly count: number; readonly everyMs: number }) => {
      until.stopped = false;
      writing = (async () => {
        const written = { writes: 0, failed: 0, ms: [] as number[] };
        for (let version = 2; !until.stopped; version++) {
          const entry = entryOf(Math.floor(Math.random() * count), version, entryBytes);
          take(entry);
          const beganMs = performance.now();
          const { results } = await channel.send("write", entry, { mode: "ack", deadlineMs: 60_000 });
          written.ms.push(performance.now() - beganMs);
          written.writes++;
          if (![...results.values()].every(({ status }) => status === "delivered" || status === "left")) written.failed++;
          await pause(everyMs);
        }
        return written;
      })();
    },
    stopWriting: () => {
      until.stopped = true;
      return writing;
    },
    digest: () => {
      const hash = createHash("sha256");
      for (let number = 0; number < entries.size; number++) hash.update(entries.get(number) ?? new Uint8Array());
      return { entries: entries.size, digest: hash.digest("hex") };
    },
  };
}

function fieldOf(entry: Uint8Array, at: number): number {
  return new DataView(entry.buffer, entry.byteOffset).getUint32(at);
}

/** What it says depends on the number and the version, so that a mixture of two shows. */
function entryOf(number: number, version: number, bytes: number): Uint8Array {
  const entry = new Uint8Array(bytes).fill((number * 31 + version) & 0xff);
  const view = new DataView(entry.buffer);
  view.setUint32(0, number);
  view.setUint32(4, version);
  return entry;
}
