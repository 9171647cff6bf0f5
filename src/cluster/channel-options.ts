import { channelSettings, DEFAULT_CHANNEL_OPTIONS } from "../channel/index.ts";
import type { ChannelOptions } from "../channel/index.ts";
import { Complaints } from "../kernel/index.ts";
import { DEFAULT_LINK_OPTIONS, tcp } from "../transport/index.ts";
import type { LinkOptions, TcpOptions, Transport } from "../transport/index.ts";

/** How a node takes part in the group's channel: where it listens, how it is protected, how it sends. Every field has a default. */
export interface ClusterChannelOptions extends ChannelOptions, Pick<TcpOptions, "host" | "port" | "advertise" | "security"> {
  /** What connections may cost, and how patient they are. */
  readonly link?: LinkOptions;
  /** In place of TCP: `new MemoryNetwork(…).transport()` for members in one process. Then `host`, `port`, `advertise`, `security` and `link` are its own affair. */
  readonly transport?: Transport;
  /** How long `start` waits for the states that were registered before it, in milliseconds. Default 60000. */
  readonly statesTimeoutMs?: number;
}

/** The channel of a node, with everything decided. */
export interface CheckedChannelOptions {
  readonly transport: Transport;
  /** Whether the group's keys, from its store, are to protect it. */
  readonly keyed: boolean;
  readonly channel: ChannelOptions;
  readonly statesTimeoutMs: number;
}

const TCP_NAMES = ["host", "port", "advertise", "security"] as const;
const CHANNEL_NAMES = Object.keys(DEFAULT_CHANNEL_OPTIONS) as ReadonlyArray<keyof ChannelOptions>;

/** How long `start` waits for states if nobody says anything about it. */
const STATES_TIMEOUT_MS = 60_000;

/** What the words of the channel take of a frame beside the message. */
const FRAME_ROOM_BYTES = 1_024;

/** `undefined`: no channel. Throws `INVALID_OPTIONS` with all complaints. */
export function checkChannelOptions(options: ClusterChannelOptions | boolean | undefined): CheckedChannelOptions | undefined {
  if (options === undefined || options === false) return undefined;
  const given: ClusterChannelOptions = options === true ? {} : options;
  const complaints = new Complaints("channel");
  if (!complaints.check(typeof given === "object" && given !== null && !Array.isArray(given), "must be true, false, or an object of options")) complaints.throwIfAny();
  complaints.unknownKeys(given, [...TCP_NAMES, "link", "transport", "statesTimeoutMs", ...CHANNEL_NAMES]);
  const { host, port, advertise, security, link, transport, statesTimeoutMs = STATES_TIMEOUT_MS } = given;
  const channel: ChannelOptions = Object.fromEntries(CHANNEL_NAMES.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]));
  const attempt = <T>(check: () => T): T | undefined => {
    try {
      return check();
    } catch (error) {
      complaints.add(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  attempt(() => channelSettings(channel));
  complaints.milliseconds("statesTimeoutMs", statesTimeoutMs, { min: 1, max: 86_400_000 });
  const frameBytes = link?.maxFrameBytes ?? DEFAULT_LINK_OPTIONS.maxFrameBytes;
  const messageBytes = channel.maxMessageBytes ?? DEFAULT_CHANNEL_OPTIONS.maxMessageBytes;
  if (transport === undefined) complaints.check(messageBytes + FRAME_ROOM_BYTES <= frameBytes, `maxMessageBytes (${messageBytes}) must be ${FRAME_ROOM_BYTES} less than link.maxFrameBytes (${frameBytes})`);
  else {
    complaints.check(typeof (transport as Partial<Transport> | null)?.open === "function", "transport must be a transport, such as new MemoryNetwork(…).transport()");
    for (const name of [...TCP_NAMES, "link"] as const) complaints.check(given[name] === undefined, `${name} is not for a transport of your own: give it to that one`);
  }
  const ways = transport ?? attempt(() => tcp({ ...link, host, port, advertise, security } as TcpOptions));
  complaints.throwIfAny();
  return { transport: ways as Transport, keyed: transport !== undefined || security === undefined || security === "keys", channel, statesTimeoutMs };
}
