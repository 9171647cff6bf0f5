import type { Logger, Random } from "../../kernel/index.ts";
import { Channel } from "../../channel/index.ts";
import type { ChannelOptions, ChannelView } from "../../channel/index.ts";
import type { View } from "../../membership/index.ts";
import { DEFAULT_LINK_OPTIONS } from "../../transport/index.ts";
import type { LinkOptions } from "../../transport/index.ts";
import type { SimulatedNode } from "./node.ts";
import type { SimulatedWires } from "./wires.ts";

/** How a node uses the channel. */
export interface ChannelUse {
  readonly options?: ChannelOptions;
  readonly links?: LinkOptions;
  /** Called for each incarnation before its channel is open: to listen, to answer, to name states. */
  prepare?(own: OwnChannel): void;
  /** Called when the incarnation is a member, and the channel has its view. */
  ready?(own: OwnChannel): unknown;
}

/** The channel of one incarnation. */
export interface OwnChannel {
  readonly channel: Channel;
  readonly node: SimulatedNode;
  readonly incarnation: string;
  /** Aborts when the incarnation is over, or its channel stops. */
  readonly over: AbortSignal;
  /** What the channel was given last. */
  readonly view: ChannelView;
}

/** What a channel of a node is made of. */
export interface OwnChannelsParts {
  readonly node: SimulatedNode;
  readonly group: string;
  readonly wires: SimulatedWires;
  readonly random: Random;
  readonly logger: Logger;
  readonly use: ChannelUse;
  /** A line of what happened to the channel of an incarnation. */
  note(incarnation: string, entry: { readonly kind: "channel-opened" | "channel-closed" }): void;
  /** Something that no fault explains. */
  trouble(detail: string): void;
}

const OPEN_MS = 5_000;
const GOODBYE_MS = 500;

/** A channel for each incarnation of a process, fed with the views of its cluster. It opens with the first view that has the incarnation: before that nobody would let it in. */
export class OwnChannels {
  readonly #parts: OwnChannelsParts;
  #own: (OwnChannel & { readonly end: AbortController; view: ChannelView; isOpen: boolean }) | undefined;
  #view: View | undefined;
  /** The last incarnation that had a channel: none has two. */
  #last = "";

  constructor(parts: OwnChannelsParts) {
    this.#parts = parts;
    const { cluster } = parts.node;
    cluster.on("view", ({ view }) => {
      this.#view = view;
      const { incarnation } = cluster.self;
      if (this.#last === incarnation) this.#give();
      else if (view.members.some((member) => member.incarnation === incarnation)) void this.#open(incarnation);
    });
    cluster.on("lost", ({ cause }) => void (cause === "dead" && this.stop()));
  }

  /** The one of the present incarnation, if it is open. */
  get own(): OwnChannel | undefined {
    return this.#own;
  }

  async #open(incarnation: string): Promise<void> {
    const { node, group, wires, random, logger, use } = this.#parts;
    this.#last = incarnation;
    await this.stop();
    const end = new AbortController();
    const transport = wires.transport({ node: node.node, process: node.process }, { ...DEFAULT_LINK_OPTIONS, ...use.links });
    const channel = new Channel({ group, node: node.node, incarnation, transport, clock: node.process, random, logger: this.#watched(logger) }, use.options);
    const own = { channel, node, incarnation, end, over: end.signal, view: { version: 0, members: [], coordinator: null }, isOpen: false };
    this.#own = own;
    use.prepare?.(own);
    await channel.start({ deadlineMs: OPEN_MS });
    own.isOpen = true;
    this.#parts.note(incarnation, { kind: "channel-opened" });
    this.#give();
    void use.ready?.(own);
  }

  /** Says goodbye. Whoever waits for something here hears of it. */
  async stop(): Promise<void> {
    const own = this.#own;
    if (own === undefined) return;
    this.#own = undefined;
    own.end.abort();
    this.#parts.note(own.incarnation, { kind: "channel-closed" });
    await own.channel.stop({ deadlineMs: GOODBYE_MS });
  }

  /** Hands the newest view on. */
  #give(): void {
    const own = this.#own;
    const view = this.#view;
    if (own === undefined || view === undefined || !own.isOpen || view.version <= own.view.version) return;
    const { version, members, coordinator } = view;
    own.view = { version, members: members.map(({ node, incarnation, metadata }) => ({ node, incarnation, ...addressIn(metadata) })), coordinator: coordinator?.incarnation ?? null };
    own.channel.setView(own.view);
  }

  /** All peers run the same code, so nobody breaks a protocol, and no listener throws. */
  #watched(logger: Logger): Logger {
    const watch = (level: "warn" | "error") => (fields: Readonly<Record<string, unknown>>, message: string) => {
      if (fields["code"] === "PROTOCOL_VIOLATION" || fields["code"] === "LISTENER_FAILED" || fields["reason"] === "protocol") this.#parts.trouble(`${message} ${JSON.stringify(fields)}`);
      logger[level](fields, message);
    };
    return { ...logger, warn: watch("warn"), error: watch("error") };
  }
}

function addressIn(metadata: unknown): { readonly address?: string } {
  const address = (metadata as { readonly address?: unknown } | null)?.address;
  return typeof address === "string" ? { address } : {};
}
