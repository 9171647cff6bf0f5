import type { Complaints } from "../kernel/index.ts";
import { LARGEST_PIECE } from "./send-queues.ts";

/** What a connection may cost and how patient it is; the same for every kind of transport. */
export interface LinkOptions {
  /** The longest frame that is taken, in bytes. Larger: larger messages at once, and more memory that a peer can claim. Default 16 MiB. */
  readonly maxFrameBytes?: number;
  /** What may be received on one stream and not be consumed yet, in bytes, beside one frame. Larger: more throughput over long ways, more memory with a slow receiver. Default 1 MiB. */
  readonly windowBytes?: number;
  /** Unfinished frames of one peer together, in bytes. Default twice `maxFrameBytes`. */
  readonly assemblyBytes?: number;
  /** What may wait to be sent on one stream, in bytes. Larger: bursts are taken without waiting; smaller: a slow receiver is noticed sooner, and more goes past the queue, at a third of the cost. Default 32 KiB: the channel keeps by itself what cannot go. */
  readonly streamQueueBytes?: number;
  /** What may wait to be sent to one peer, in bytes, apart from stream 0. Default 8 MiB. */
  readonly queueBytes?: number;
  /** How often something is sent at least, in milliseconds. Default 1000. */
  readonly beatMs?: number;
  /** How long nothing may be heard before the connection ends, in milliseconds; at least twice `beatMs`. Shorter: a dead peer is noticed sooner, and a busy one dropped more often. Default 4000. */
  readonly silenceMs?: number;
  /** For making a connection, the handshake included, in milliseconds; also what a stranger has to prove itself. Default 5000. */
  readonly connectMs?: number;
  /** The ceiling of the first pause before dialling again, in milliseconds. Default 100. */
  readonly firstPauseMs?: number;
  /** The ceiling that those pauses grow to, in milliseconds. Default 5000. */
  readonly longestPauseMs?: number;
  /** How many connections may be there that have not proved whose they are; then the oldest gives way, of the host that has the most of them. Default 256. */
  readonly maxHalfOpen?: number;
}

/** Link options with every field decided. */
export type LinkSettings = Readonly<Required<LinkOptions>>;

/** What goes without being said. */
export const DEFAULT_LINK_OPTIONS: LinkSettings = {
  maxFrameBytes: 16 * 2 ** 20,
  windowBytes: 2 ** 20,
  assemblyBytes: 32 * 2 ** 20,
  streamQueueBytes: 32 * 1024,
  queueBytes: 8 * 2 ** 20,
  beatMs: 1_000,
  silenceMs: 4_000,
  connectMs: 5_000,
  firstPauseMs: 100,
  longestPauseMs: 5_000,
  maxHalfOpen: 256,
};

/** The names of all link options. */
export const LINK_OPTION_NAMES = Object.keys(DEFAULT_LINK_OPTIONS) as ReadonlyArray<keyof LinkSettings>;

/** No member may set longer times than this. */
export const LONGEST_MS = 24 * 3_600_000;

/** No member may take less than this: whatever must be sent fits. */
export const LEAST_TAKEN = { maxFrameBytes: LARGEST_PIECE, windowBytes: 4_096 } as const;

/** Adds what is wrong with link options; returns them with every field decided. */
export function linkSettings(options: LinkOptions, complaints: Complaints): LinkSettings {
  const settings: LinkSettings = { ...DEFAULT_LINK_OPTIONS, assemblyBytes: 2 * (options.maxFrameBytes ?? DEFAULT_LINK_OPTIONS.maxFrameBytes), ...withoutUndefined(options) };
  const whole = (name: keyof LinkSettings, min: number, max: number) =>
    complaints.check(Number.isSafeInteger(settings[name]) && settings[name] >= min && settings[name] <= max, `${name} must be a whole number from ${min} to ${max}, not ${String(settings[name])}`);
  const frames = whole("maxFrameBytes", LEAST_TAKEN.maxFrameBytes, 2 ** 30);
  if (whole("assemblyBytes", LARGEST_PIECE, 2 ** 31 - 1) && frames) complaints.check(settings.assemblyBytes >= settings.maxFrameBytes, `assemblyBytes must be at least maxFrameBytes (${settings.maxFrameBytes}), not ${settings.assemblyBytes}`);
  whole("windowBytes", LEAST_TAKEN.windowBytes, 2 ** 30);
  whole("streamQueueBytes", 4_096, 2 ** 30);
  whole("queueBytes", 4_096, 2 ** 31 - 1);
  whole("maxHalfOpen", 1, 65_536);
  const beats = complaints.milliseconds("beatMs", settings.beatMs, { min: 10, max: LONGEST_MS });
  if (complaints.milliseconds("silenceMs", settings.silenceMs, { min: 20, max: LONGEST_MS }) && beats) complaints.check(settings.silenceMs >= 2 * settings.beatMs, `silenceMs must be at least twice beatMs (${settings.beatMs}), not ${settings.silenceMs}`);
  complaints.milliseconds("connectMs", settings.connectMs, { min: 10, max: LONGEST_MS });
  const first = complaints.milliseconds("firstPauseMs", settings.firstPauseMs, { min: 1, max: LONGEST_MS });
  if (complaints.milliseconds("longestPauseMs", settings.longestPauseMs, { min: 1, max: LONGEST_MS }) && first) complaints.check(settings.longestPauseMs >= settings.firstPauseMs, `longestPauseMs must be at least firstPauseMs (${settings.firstPauseMs}), not ${settings.longestPauseMs}`);
  return settings;
}

function withoutUndefined(options: LinkOptions): Partial<LinkSettings> {
  return Object.fromEntries(LINK_OPTION_NAMES.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]));
}
