import { createHash } from "node:crypto";
import { NodeChannel } from "../channel/index.ts";
import type { ChannelOptions, ChannelView, StateReport } from "../channel/index.ts";
import { backoffMs, isTribuneError, sleep, toTribuneError, TribuneError } from "../kernel/index.ts";
import type { Clock, Logger, Random } from "../kernel/index.ts";
import { annexOf, withAnnex } from "../membership/index.ts";
import type { Membership } from "../membership/index.ts";
import type { Annex, Presence } from "../presence/index.ts";
import type { StoredView } from "../store/index.ts";
import { KEY_RING_DOCUMENT, StoreKeyRing } from "../transport/index.ts";
import type { CheckedChannelOptions } from "./channel-options.ts";
import { ReachReporter } from "./reach-reporter.ts";

/** What stands on the channel and has a life of its own for each incarnation. */
export interface ChannelRoom {
  /** An incarnation begins: before it obtains its states. */
  join(incarnation: string): void;
  /** It has them. What this rejects with fails the start, as a state that cannot be had does. */
  begin(reports: readonly StateReport[]): Promise<void>;
  /** It is no member any more. */
  leave(): void;
  setView(view: ChannelView): void;
  /** The node stops; members can be talked to still. */
  stop(): Promise<void>;
}

/** What a room should have alike at all members. Nobody is refused for it; a difference is told, once for each member. */
export interface Agreement {
  /** Of the room, in the annex. */
  readonly name: string;
  /** As they travel in the annex: a few short fields. `undefined`: nobody has to agree with this member. */
  readonly settings: object | undefined;
  /** Says of what another member has in its annex in what it differs. */
  readonly compare: (theirs: unknown) => ReadonlyArray<{ readonly setting: string; readonly what: string }>;
}

/** What the channel of a node is wired to. */
export interface MessagingPorts {
  readonly group: string;
  readonly node: string;
  readonly options: CheckedChannelOptions;
  /** How long a start goes on trying to reach the store. */
  readonly startTimeoutMs: number;
  /** How often the store is asked for the group's keys; hints come sooner. */
  readonly pollMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Aborts when the node begins to stop. */
  readonly stopping: AbortSignal;
  /** Trouble that is no answer to a call. */
  readonly trouble: (error: TribuneError) => void;
  /** A setting in which another member differs. */
  readonly differs: (error: TribuneError) => void;
}

/** How long an incarnation's endpoint may take to open, or to take leave. */
const ENDPOINT_DEADLINE_MS = 5_000;

/** A listening port that cannot be had, or states that nobody gives, are tried for again after these pauses. */
const RETRY = { firstMs: 200, longestMs: 10_000 };

/** The channel of one node among the other rooms: an endpoint for each incarnation, its address in the member's annex, the group's keys from its store, views from the membership, states for each incarnation. */
export class Messaging {
  readonly channel: NodeChannel;
  readonly annex: Annex = { prepare: (incarnation) => this.#prepare(incarnation), attach: (metadata) => this.#attach(metadata) };
  readonly #ports: MessagingPorts;
  readonly #keys: StoreKeyRing | undefined;
  readonly #rooms: ChannelRoom[] = [];
  readonly #agreements: Agreement[] = [];
  /** Of what all members have to have alike; in the annex. `undefined`: the default. */
  readonly #settings: string | undefined;
  /** Incarnations whose settings were looked at: what differs is told once. */
  readonly #compared = new Set<string>();
  #presence: Presence | undefined;
  #reporter: ReachReporter | undefined;
  /** The incarnation that the endpoint is for, also while it cannot be opened. */
  #incarnation = "";
  #address: string | undefined;
  #isStarted = false;
  /** Before that nobody can be dialled, and to try would only cost a pause. */
  #hasKeys = false;
  /** The incarnation that states are being obtained for. */
  #refreshing = "";

  constructor(ports: MessagingPorts) {
    this.#ports = ports;
    const { group, node, options, clock, random, logger, pollMs } = ports;
    if (options.keyed) {
      const name = KEY_RING_DOCUMENT;
      this.#keys = new StoreKeyRing({
        store: {
          read: () => this.#present.perform((session, call) => session.readDocument({ name }, call)),
          write: (input) => this.#present.perform((session, call) => session.writeDocument({ name, ...input }, call)),
          onHint: (listener) => this.#present.events.on("document", (changed) => (changed.name === name ? listener() : undefined)),
        },
        clock,
        random,
        logger,
        pollMs,
      });
    }
    this.#settings = settingsPrint(options.channel);
    const tokenOf = (election: string) => this.#presence?.facts.tokenSeen(election);
    this.channel = new NodeChannel({ group, node, transport: options.transport, keys: this.#keys, tokenOf, clock, random, logger }, options.channel);
  }

  /** Before `connect`. */
  add(room: ChannelRoom, agreement: Agreement): void {
    this.#rooms.push(room);
    this.#agreements.push(agreement);
  }

  /** Listens to the rooms that it stands on, before anybody else does: who hears of a view can send to its members. */
  connect(presence: Presence, membership: Membership): void {
    this.#presence = presence;
    const { node, clock, random } = this.#ports;
    this.#reporter = new ReachReporter({ node, channel: this.channel, presence, clock, random });
    membership.events.on("view", () => {
      if (this.#hasKeys) this.#passView();
    });
    // The channel declares nobody dead: it has contenders look at the store's evidence, which then needs no grace.
    this.channel.on("vanished", ({ peer }) => presence.suspect(peer.incarnation));
    this.channel.on("reachability", ({ peer, connected }) => {
      if (connected) presence.absolve(peer.incarnation);
    });
    presence.events.on("ended", ({ cause }) => {
      if (cause === "dead") void this.#end();
    });
    presence.events.on("trusted", () => void (this.#isStarted && this.#refreshStates(presence.incarnation)));
  }

  /** The keys, once there is a connection to the store. Rejects as `StoreKeyRing.start` does. */
  async start(): Promise<void> {
    await this.#readKeys();
    this.#hasKeys = true;
    this.#passView();
  }

  /** What passes is waited out for as long as the start goes on trying to reach the store. */
  async #readKeys(): Promise<void> {
    const { clock, random, stopping, startTimeoutMs } = this.#ports;
    const giveUpAtMs = clock.monotonicMs() + startTimeoutMs;
    for (let failures = 0; ; failures++) {
      try {
        return await this.#keys?.start(stopping);
      } catch (error) {
        if (stopping.aborted || !isTribuneError(error) || !error.retryable || clock.monotonicMs() >= giveUpAtMs) throw error;
        await sleep(clock, backoffMs(failures, RETRY, random), stopping);
      }
    }
  }

  /** The states, once this node is in a view. Rejects with `STATE_UNAVAILABLE`, `ABORTED`, and what a state's `apply` throws. */
  async obtainStates(): Promise<void> {
    await this.#obtainStates();
    this.#isStarted = true;
  }

  async #obtainStates(): Promise<void> {
    const reports = await this.channel.obtainStates({ deadlineMs: this.#ports.options.statesTimeoutMs, signal: this.#ports.stopping });
    for (const room of this.#rooms) await room.begin(reports);
  }

  /** Lets what stands on the channel end, while members can be talked to. */
  async stopRooms(): Promise<void> {
    for (const room of this.#rooms) await room.stop();
  }

  /** Says goodbye to the members, and closes the port. */
  async stop(deadlineMs: number): Promise<void> {
    this.#keys?.stop();
    this.#reporter?.stop();
    await this.channel.end({ deadlineMs });
  }

  get #present(): Presence {
    if (this.#presence === undefined) throw new Error("the channel is not connected to the presence yet");
    return this.#presence;
  }

  #passView(): void {
    const { view } = this.#present.facts;
    if (view === null) return;
    this.#compareSettings(view);
    const members = channelView(view);
    this.channel.setView(members);
    for (const room of this.#rooms) room.setView(members);
    this.#reporter?.setView(members);
  }

  /** Not a reason to refuse a join: then no topic could be put into the order of a group that runs, node by node. */
  #compareSettings({ members }: StoredView): void {
    const { differs } = this.#ports;
    for (const { node, incarnation, metadata } of members) {
      const annex = annexOf(metadata);
      if (typeof annex["channel"] !== "string" || this.#compared.has(incarnation)) continue;
      this.#compared.add(incarnation);
      if (annex["settings"] !== this.#settings) {
        differs(new TribuneError("SETTINGS_MISMATCH", `${node} has another totalOrder than ${this.#ports.node}: topics that are in only one of both are refused between them`, { about: node, next: "give all members the same totalOrder; while they are restarted one by one with a new one, send nothing on its topics" }));
      }
      for (const { name, compare } of this.#agreements) {
        const theirs = annex[name];
        if (theirs === undefined) continue; // it has no such room
        for (const { setting, what } of compare(theirs)) differs(new TribuneError("SETTINGS_MISMATCH", `the ${name} of ${node} have ${what}`, { about: node, next: `give all members the same ${setting}` }));
      }
    }
    for (const incarnation of this.#compared) if (!members.some((member) => member.incarnation === incarnation)) this.#compared.delete(incarnation);
  }

  // ---- one endpoint for each incarnation

  /** At the first start a port that cannot be had is a failure. Later it keeps nobody from being a member. */
  async #prepare(incarnation: string): Promise<void> {
    this.#ports.stopping.throwIfAborted(); // a port that is opened now, nobody would close
    this.#incarnation = incarnation;
    for (const room of this.#rooms) room.join(incarnation);
    try {
      await this.#begin(incarnation);
    } catch (error) {
      if (!this.#isStarted) throw error;
      void this.#beginLater(incarnation, error);
    }
  }

  async #begin(incarnation: string): Promise<void> {
    this.#address = undefined;
    await this.channel.begin(incarnation, { deadlineMs: ENDPOINT_DEADLINE_MS, signal: this.#ports.stopping });
    this.#address = this.channel.address;
  }

  async #beginLater(incarnation: string, firstError: unknown): Promise<void> {
    const { clock, random, stopping, trouble } = this.#ports;
    let error = firstError;
    for (let failures = 0; ; failures++) {
      trouble(toTribuneError(error, "INTERNAL", "the channel could not be opened"));
      await sleep(clock, backoffMs(failures, RETRY, random), stopping);
      if (stopping.aborted || this.#incarnation !== incarnation) return;
      try {
        if (this.#address === undefined) await this.#begin(incarnation);
        return await this.#present.updateAnnex();
      } catch (again) {
        error = again;
      }
    }
  }

  async #end(): Promise<void> {
    this.#address = undefined;
    for (const room of this.#rooms) room.leave();
    await this.channel.end({ deadlineMs: ENDPOINT_DEADLINE_MS });
  }

  #attach(metadata: string): string {
    const agreed = Object.fromEntries(this.#agreements.map(({ name, settings }) => [name, settings]));
    return this.#address === undefined ? metadata : withAnnex(metadata, { channel: this.#address, settings: this.#settings, ...agreed });
  }

  /** What this incarnation missed since the one before it: as at the start, but nobody waits for it. */
  async #refreshStates(incarnation: string): Promise<void> {
    if (this.#refreshing === incarnation) return;
    this.#refreshing = incarnation;
    const { clock, random, stopping, trouble } = this.#ports;
    for (let failures = 0; !stopping.aborted && this.#incarnation === incarnation; failures++) {
      try {
        await this.#obtainStates();
        return;
      } catch (error) {
        if (stopping.aborted || this.#incarnation !== incarnation) return;
        trouble(toTribuneError(error, "HANDLER_FAILED", "a state could not be obtained"));
        await sleep(clock, backoffMs(failures, RETRY, random), stopping);
      }
    }
  }
}

/** What all members have to have alike, as a short text: only the topics in one order of all. The rest either travels with what is sent, or is agreed upon by each connection, or is each member's own affair. */
export function settingsPrint({ totalOrder = [] }: ChannelOptions): string | undefined {
  return totalOrder.length === 0 ? undefined : createHash("sha256").update([...new Set(totalOrder)].sort().join(" ")).digest("hex").slice(0, 16);
}

/** The members of a view that have a channel, and where. */
export function channelView(view: StoredView): ChannelView {
  const members = view.members.flatMap(({ node, incarnation, metadata }) => {
    const { channel } = annexOf(metadata);
    return typeof channel === "string" ? [{ node, incarnation, address: channel }] : [];
  });
  return { version: view.version, members, coordinator: view.coordinator?.incarnation ?? null };
}
