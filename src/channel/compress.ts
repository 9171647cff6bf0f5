import { deflateRawSync, inflateRawSync } from "node:zlib";
import { Complaints, shown } from "../kernel/index.ts";
import type { Interceptor } from "./interceptors.ts";

/** When payloads are made smaller, and how large they may become again. */
export interface CompressOptions {
  /** Payloads from so many bytes on. Smaller: more is saved on the wire, for more time on both sides. Default 1024. */
  readonly fromBytes?: number;
  /** From 1, the quickest, to 9, the smallest. Default 1. */
  readonly level?: number;
  /** What is larger than this when it is unpacked is refused, and no more than that is unpacked. Give all members what `maxMessageBytes` is. Default 16 MiB. */
  readonly mostBytes?: number;
}

/** Payloads are deflated (RFC 1951) where that makes them smaller. All members need it: who does not have it refuses what was deflated. It runs on the main thread, which a message of megabytes holds up for some milliseconds each. */
export function compress(options: CompressOptions = {}): Interceptor {
  const { fromBytes = 1_024, level = 1, mostBytes = 16 * 2 ** 20 } = options;
  const complaints = new Complaints("compress");
  complaints.unknownKeys(options, ["fromBytes", "level", "mostBytes"]);
  complaints.check(Number.isSafeInteger(fromBytes) && fromBytes >= 0, `fromBytes must be a whole number from 0 on, not ${shown(fromBytes)}`);
  complaints.check(Number.isSafeInteger(level) && level >= 1 && level <= 9, `level must be a whole number from 1 to 9, not ${shown(level)}`);
  complaints.check(Number.isSafeInteger(mostBytes) && mostBytes >= 1 && mostBytes <= 2 ** 30, `mostBytes must be a whole number from 1 to ${2 ** 30}, not ${shown(mostBytes)}`);
  complaints.throwIfAny();
  return {
    name: "compress",
    send(payload) {
      if (payload.length < fromBytes) return undefined;
      const packed = deflateRawSync(payload, { level });
      return packed.length < payload.length ? { payload: packed, note: "deflate", mustBeKnown: true } : undefined;
    },
    receive(payload, _about, note) {
      if (note === undefined) return undefined;
      if (note !== "deflate") throw new TypeError(`it was packed in a way that is not known: ${shown(note)}`);
      return inflateRawSync(payload, { maxOutputLength: mostBytes });
    },
  };
}
