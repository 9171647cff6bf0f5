import { Complaints, shown, TribuneError } from "../kernel/index.ts";
import { complaintsAboutInterceptors } from "./interceptors.ts";
import type { Interceptor } from "./interceptors.ts";
import { checkTopic } from "./messages.ts";

/** `ack`: `send` resolves when every target has handled the message. `async`: when it is kept for every target; order holds all the same. */
export type SendMode = "ack" | "async";

/** How a channel sends, and what that may cost. */
export interface ChannelOptions {
  /** How messages are sent that say nothing about it. Default "ack". */
  readonly mode?: SendMode;
  /** How long a message is tried that says nothing about it, in milliseconds. Longer: outages are bridged, and waits last as long. Default 10000. */
  readonly deadlineMs?: number;
  /** How often a message may be sent again because its connection ended. Default 10. */
  readonly maxRetries?: number;
  /** What is kept for one target and topic until it was received, in bytes; what was given up counts 64 until the target knows. Larger: longer outages are bridged, for more memory, and broadcasts that are sent as fast as they are taken cost more, since what lives longer is more work for garbage collection. Default 2 MiB: twice what may be under way on a stream by default. */
  readonly keptBytes?: number;
  /** How many messages may await their outcome, per target and topic. Default 1024. */
  readonly awaited?: number;
  /** What `send` does when one of these two is reached: wait for room until the deadline, or reject with `BACKPRESSURE`. Default "wait". */
  readonly whenFull?: "wait" | "reject";
  /** Topics whose messages may be handled in any order, several at a time. Default: none; all others are handled in the order in which their sender sent them, one after the other. */
  readonly unordered?: readonly string[];
  /** Topics whose messages all members handle in one order, whoever sent them: through the coordinator, so later by a hop. The same on all members: what comes from one that has another list is refused with `SETTINGS_MISMATCH`, and what is in order there fails there with it. Default: none. */
  readonly totalOrder?: readonly string[];
  /** The longest message, in bytes; the transport's `maxFrameBytes` must be 1 KiB more on all members. Default 16 MiB less 1 KiB. */
  readonly maxMessageBytes?: number;
  /** What payloads pass on their way, nearest to the caller first; `trace`, `compress` and `counters` come after all others, in this order. Give all members the same. Default: none. */
  readonly interceptors?: readonly Interceptor[];
}

/** Channel options with every field decided. */
export type ChannelSettings = Readonly<Required<ChannelOptions>>;

/** What goes without being said. */
export const DEFAULT_CHANNEL_OPTIONS: ChannelSettings = {
  mode: "ack",
  deadlineMs: 10_000,
  maxRetries: 10,
  keptBytes: 2 * 2 ** 20,
  awaited: 1_024,
  whenFull: "wait",
  unordered: [],
  totalOrder: [],
  maxMessageBytes: 16 * 2 ** 20 - 1_024,
  interceptors: [],
};

const LONGEST_MS = 24 * 3_600_000;

/** Throws `INVALID_OPTIONS`. */
export function checkMode(mode: SendMode): void {
  if (mode !== "ack" && mode !== "async") throw new TribuneError("INVALID_OPTIONS", `there is no mode ${shown(mode)}`, { about: "mode", next: 'say "ack" or "async"' });
}

/** Throws `INVALID_OPTIONS` with all complaints. */
export function channelSettings(options: ChannelOptions): ChannelSettings {
  const complaints = new Complaints("channel");
  complaints.unknownKeys(options, Object.keys(DEFAULT_CHANNEL_OPTIONS));
  const settings: ChannelSettings = { ...DEFAULT_CHANNEL_OPTIONS, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) };
  const whole = (name: "maxRetries" | "keptBytes" | "awaited" | "maxMessageBytes", min: number, max: number) =>
    complaints.check(Number.isSafeInteger(settings[name]) && settings[name] >= min && settings[name] <= max, `${name} must be a whole number from ${min} to ${max}, not ${shown(settings[name])}`);
  complaints.check(settings.mode === "ack" || settings.mode === "async", `mode must be "ack" or "async", not ${shown(settings.mode)}`);
  complaints.check(settings.whenFull === "wait" || settings.whenFull === "reject", `whenFull must be "wait" or "reject", not ${shown(settings.whenFull)}`);
  complaints.milliseconds("deadlineMs", settings.deadlineMs, { min: 1, max: LONGEST_MS });
  whole("maxRetries", 0, 1_000_000);
  whole("keptBytes", 1, 2 ** 40);
  whole("awaited", 1, 1_000_000);
  whole("maxMessageBytes", 1, 2 ** 30);
  for (const name of ["unordered", "totalOrder"] as const) {
    if (!complaints.check(Array.isArray(settings[name]), `${name} must be a list of topics, not ${shown(settings[name])}`)) continue;
    for (const topic of settings[name]) complaints.check(isTopic(topic), `${name} has ${shown(topic)}, which is no name of a topic`);
  }
  if (Array.isArray(settings.unordered) && Array.isArray(settings.totalOrder)) for (const topic of settings.totalOrder) complaints.check(!settings.unordered.includes(topic), `${shown(topic)} is in unordered and in totalOrder`);
  if (complaints.check(Array.isArray(settings.interceptors), `interceptors must be a list, not ${shown(settings.interceptors)}`)) for (const each of complaintsAboutInterceptors(settings.interceptors)) complaints.check(false, each);
  complaints.throwIfAny();
  return settings;
}

function isTopic(name: string): boolean {
  try {
    return checkTopic(name) === name;
  } catch {
    return false;
  }
}
