/** A process with one member's channel, that does what it is told by the process that forked it. */
import { Channel } from "../../src/channel/index.ts";
import type { ChannelOptions, ChannelView } from "../../src/channel/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { decodeRing, HeldKeys, tcp } from "../../src/transport/index.ts";
import type { HostAndPort } from "../../src/transport/index.ts";
import { keysMember, openRing } from "./keys-member.ts";
import type { KeptRing } from "./keys-member.ts";
import { memoryNow, MemoryWatch } from "./memory.ts";
import { stateMember } from "./state-member.ts";
import { stuckMember } from "./stuck-member.ts";
import { windowMember } from "./window-member.ts";

/** What a member does for one scenario: named deeds, called one by one or side by side. What they take and return is JSON. */
export type Deeds = Readonly<Record<string, (argument: never) => unknown>>;

const SCENARIOS = { stuck: stuckMember, window: windowMember, state: stateMember, keys: keysMember } as const satisfies Record<string, (channel: Channel, ring: KeptRing) => Deeds>;

/** What a member is told when it begins. */
export interface MemberOrders {
  readonly scenario: keyof typeof SCENARIOS;
  readonly name: string;
  readonly options: ChannelOptions;
  /** What others dial, if something stands in front of it. */
  readonly advertise?: string;
  /** A ring of keys as text, or the SQLite file that has it. */
  readonly keys: { readonly ring: string } | { readonly file: string };
}

/** What a deed is called with and answered by, over the channel of `fork`. */
export interface Call {
  readonly id: number;
  readonly deed: string;
  readonly argument: unknown;
}
export type Answer = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string };

process.once("message", (message) => {
  begin(message as MemberOrders).then(
    () => answer({ id: 0, result: null }),
    (error: unknown) => answer({ id: 0, error: textOf(error) }),
  );
});
process.once("disconnect", () => process.exit(0));

async function begin(orders: MemberOrders): Promise<void> {
  const { name } = orders;
  const ring = "file" in orders.keys ? await openRing(name, orders.keys.file) : undefined;
  const keys = "ring" in orders.keys ? new HeldKeys(decodeRing(orders.keys.ring)) : ring?.keys;
  let listening = "";
  const advertise = (at: HostAndPort) => {
    listening = `${at.host}:${at.port}`;
    return orders.advertise ?? listening;
  };
  const channel = new Channel({ group: "endurance", node: name, incarnation: name, transport: tcp({ host: "127.0.0.1", advertise }), keys, clock: systemClock, random: systemRandom, logger: silentLogger }, orders.options);
  await channel.start({ deadlineMs: 30_000 });
  let watch: MemoryWatch | undefined;
  const deeds: Deeds = {
    address: () => channel.address,
    listening: () => listening,
    view: (view: ChannelView) => channel.setView(view),
    connected: (names: readonly string[]) => names.every((each) => channel.reachability(each)?.connected === true),
    memory: memoryNow,
    watchMemory: () => void (watch = new MemoryWatch()),
    memorySeen: () => watch?.end(),
    ...SCENARIOS[orders.scenario](channel, ring as KeptRing),
  };
  process.on("message", (message) => {
    const { id, deed, argument } = message as Call;
    // What a deed throws at once is its answer too.
    Promise.resolve().then(() => deeds[deed]?.(argument as never)).then(
      (result) => answer({ id, result: result ?? null }),
      (error: unknown) => answer({ id, error: textOf(error) }),
    );
  });
}

function answer(what: Answer): void {
  process.send?.(what);
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
