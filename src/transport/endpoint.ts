import { guardedLogger, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Timer } from "../kernel/index.ts";
import { admit } from "./admission.ts";
import type { Connection } from "./connection.ts";
import { hear } from "./exchange.ts";
import { whoGivesWay } from "./giving-way.ts";
import { encodeRefusal, encodeWelcome, readHello } from "./hello.ts";
import type { Hello, Introduction, ToldRefusal } from "./hello.ts";
import { PeerLink } from "./link.ts";
import type { LinkPorts } from "./link.ts";
import type { LinkSettings } from "./options.ts";
import { RareLines } from "./rare-lines.ts";
import { Refusals } from "./refusals.ts";
import type { DownReason, Endpoint, EndpointCounts, Link, PeerIdentity, TransportContext, Wait } from "./transport.ts";
import { NO_HANDLERS } from "./wire.ts";
import type { Listener, Wire, WireNetwork } from "./wire.ts";

/** How long a dialler that was refused may take to hear it, in milliseconds. */
const LEAVE_TAKING_MS = 1_000;

/** A timer of this process that comes later than this many beats says that the process stood still. */
const LATE_BEATS = 2;

/** So many dials begin in one turn, and so many more each time after as many milliseconds: a thousand at once would hold up all else that this process does, beats of its session with the store among it, for longer than a second. */
const DIALS_AT_ONCE = 16;
const DIALS_EVERY_MS = 10;

/** Opens an endpoint on a network of wires: the same for sockets and for the simulated network. */
export async function openEndpoint(network: WireNetwork, settings: LinkSettings, context: TransportContext): Promise<Endpoint> {
  const endpoint = new WireEndpoint(network, settings, context);
  await endpoint.listen(context);
  return endpoint;
}

class WireEndpoint implements Endpoint {
  readonly #network: WireNetwork;
  readonly #settings: LinkSettings;
  readonly #context: TransportContext;
  readonly #lines: RareLines;
  readonly #refusals: Refusals;
  readonly #ended = new AbortController();
  readonly #links = new Map<string, PeerLink>();
  /** Connections that still say goodbye. */
  readonly #leaving = new Map<Connection, Timer>();
  /** Wires that have proved their right to be here, not yet whose they are, or that are being refused; the oldest first. */
  readonly #strangers = new Map<Wire, () => void>();
  #listener: Listener | undefined;
  #ports: LinkPorts | undefined;
  #connections = 0;
  #ticker: Timer | undefined;
  /** Dials that are to begin. */
  readonly #dialsDue: Array<() => void> = [];
  #dialPause: Timer | undefined;
  #forgetKeys: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  readonly #untold: Array<() => void> = [];
  readonly #gone = new Set<() => void>();

  constructor(network: WireNetwork, settings: LinkSettings, context: TransportContext) {
    this.#network = network;
    this.#settings = settings;
    this.#context = context;
    this.#lines = new RareLines(context.clock, guardedLogger(context.logger));
    this.#refusals = new Refusals(this.#lines);
  }

  async listen(wait: Wait): Promise<void> {
    const listener = await this.#network.listen(
      {
        accept: (wire) => this.#accept(wire),
        refused: (reason, remote, detail) => this.#refusals.add(reason, remote, detail),
      },
      wait,
    );
    this.#listener = listener;
    this.#ports = this.#portsFor(listener.address);
    this.#forgetKeys = this.#context.keys?.onChange(() => this.#keysChanged());
    this.#tickLater();
  }

  get address(): string {
    return this.#listener?.address ?? "";
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  get links(): readonly Link[] {
    return [...this.#links.values()];
  }

  get counts(): EndpointCounts {
    return { refused: { ...this.#refusals.counts }, halfOpen: this.#strangers.size + (this.#listener?.halfOpen ?? 0) };
  }

  link(peer: PeerIdentity): Link {
    if (this.#ended.signal.aborted || this.#closing !== undefined) throw closedError(this.#context.node);
    if (peer.incarnation === this.#context.incarnation) throw new TribuneError("INVALID_OPTIONS", "a link to itself was asked for", { about: peer.node, next: "hand what is for this member to it directly" });
    const link = this.#linkFor(peer);
    link.wake();
    return link;
  }

  review(): void {
    for (const link of this.#links.values()) link.review();
  }

  close(wait: Wait): Promise<void> {
    this.#closing ??= this.#close(wait);
    return this.#closing;
  }

  destroy(reason: Error): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(reason);
    this.#ticker?.cancel();
    this.#dialPause?.cancel();
    this.#forgetKeys?.();
    for (const link of this.#links.values()) link.destroy("the endpoint ended");
    for (const connection of this.#leaving.keys()) connection.end("closed", "the endpoint ended");
    for (const forget of this.#strangers.values()) forget();
    void this.#listener?.close().catch(() => undefined); // it ends with the process at the latest
  }

  async #close(wait: Wait): Promise<void> {
    const { clock } = this.#context;
    this.#ticker?.cancel();
    await this.#listener?.close().catch(() => undefined);
    for (const forget of this.#strangers.values()) forget();
    for (const link of this.#links.values()) link.close();
    const gone = new Promise<void>((resolve) => {
      const look = () => this.#leaving.size === 0 && resolve();
      this.#gone.add(look);
      look();
    });
    await withDeadline(gone, { clock, ms: wait.deadlineMs, operation: "saying goodbye to members", signal: wait.signal }).catch(() => undefined); // who does not hear it sees the end
    this.destroy(closedError(this.#context.node));
  }

  // ---- connections of others ---------------------------------------------------------------------------------

  #accept(wire: Wire): void {
    // Before it is open nobody knows this incarnation's address: whoever comes looks for an earlier one.
    if (this.#ports === undefined || this.#ended.signal.aborted || this.#closing !== undefined) return wire.destroy();
    this.#makeRoom();
    const giveUp = hear(wire, readHello, { clock: this.#context.clock, deadlineMs: this.#settings.connectMs }, (heard) => {
      this.#strangers.delete(wire);
      if (heard.kind === "heard") return this.#greet(wire, heard.value, heard.rest);
      wire.destroy();
      this.#refusals.add(heard.kind === "timeout" ? "slow" : "malformed", wire.remote, heard.detail);
    });
    this.#strangers.set(wire, () => {
      this.#strangers.delete(wire);
      giveUp();
      wire.destroy();
    });
  }

  #makeRoom(): void {
    if (this.#strangers.size < this.#settings.maxHalfOpen) return;
    const wire = whoGivesWay(Array.from(this.#strangers.keys(), (each) => [each, each.remote] as const));
    if (wire === undefined) return;
    this.#strangers.get(wire)?.();
    this.#refusals.add("crowded", wire.remote, `more than ${this.#settings.maxHalfOpen} connections had not said whose they are`);
  }

  #greet(wire: Wire, hello: Hello, rest: Uint8Array): void {
    if (rest.length > 0) {
      wire.destroy();
      return this.#refusals.add("malformed", wire.remote, "something came before the welcome");
    }
    if (!this.#isAccepted(wire.security.provedBy)) {
      wire.destroy();
      return this.#refusals.add("unauthenticated", wire.remote, "its key was retired before it said hello");
    }
    const standing = this.#links.get(hello.incarnation)?.standing ?? { kind: "none" as const };
    const admission = admit(hello, this.#context, this.#context.known(hello.incarnation), standing, wire.speaksFor);
    if (admission.refuse !== undefined) return this.#refuse(wire, admission.refuse, hello);
    wire.write(encodeWelcome({ ...this.#introduction(this.address), version: admission.version }));
    this.#linkFor(hello).adopt(wire, { id: hello.connectionId, version: admission.version, limits: hello.limits, rest, replaces: "the peer had lost it and dialled again" });
  }

  #refuse(wire: Wire, reason: ToldRefusal, hello: Hello): void {
    this.#refusals.add(reason, wire.remote, hello.node === "" ? "a later version" : `${hello.node} (${hello.incarnation})`);
    this.#makeRoom();
    const timer = this.#context.clock.setTimer(LEAVE_TAKING_MS, () => leave());
    const leave = () => {
      timer.cancel();
      this.#strangers.delete(wire);
      wire.destroy();
    };
    this.#strangers.set(wire, leave);
    wire.handlers = { ...NO_HANDLERS, closed: leave };
    wire.write(encodeRefusal(reason));
    wire.end();
  }

  // ---- links -------------------------------------------------------------------------------------------------

  #linkFor(peer: PeerIdentity): PeerLink {
    let link = this.#links.get(peer.incarnation);
    if (link === undefined) {
      if (this.#ports === undefined) throw closedError(this.#context.node);
      link = new PeerLink({ node: peer.node, incarnation: peer.incarnation }, this.#ports);
      this.#links.set(peer.incarnation, link);
    }
    return link;
  }

  #portsFor(address: string): LinkPorts {
    const { clock, random, handlers } = this.#context;
    return {
      clock,
      random,
      settings: this.#settings,
      network: this.#network,
      introduction: this.#introduction(address),
      known: (incarnation) => this.#context.known(incarnation),
      isAccepted: (provedBy) => this.#isAccepted(provedBy),
      nextConnection: () => ++this.#connections,
      beginDial: (begin) => this.#beginDial(begin),
      up: (event) => this.#tell(() => handlers.up(event)),
      down: (link, connection, reason, detail) => this.#down(link, connection, reason, detail),
      unreachable: (link, reason, detail, attempts) => this.#tell(() => handlers.unreachable({ link, reason, detail, attempts })),
      frame: (frame) => {
        if (this.#untold.length > 0) this.#tell(() => handlers.frame(frame));
        else this.#run(() => handlers.frame(frame));
      },
      closed: (link, leaving) => this.#linkClosed(link, leaving),
    };
  }

  #beginDial(begin: () => void): void {
    this.#dialsDue.push(begin);
    if (this.#dialsDue.length === 1 && this.#dialPause === undefined) queueMicrotask(() => this.#beginDials());
  }

  #beginDials(): void {
    this.#dialPause = undefined;
    if (this.#ended.signal.aborted) return;
    const { length } = this.#dialsDue;
    for (const begin of this.#dialsDue.splice(0, DIALS_AT_ONCE)) begin();
    if (length > DIALS_AT_ONCE) this.#dialPause = this.#context.clock.setTimer(DIALS_EVERY_MS, () => this.#beginDials());
  }

  #introduction(address: string): Introduction {
    const { group, node, incarnation } = this.#context;
    const { maxFrameBytes, windowBytes, assemblyBytes, beatMs } = this.#settings;
    return { group, node, incarnation, address, limits: { maxFrameBytes, windowBytes, assemblyBytes, beatMs } };
  }

  #down(link: Link, connection: number, reason: DownReason, detail: string): void {
    if (reason === "protocol") this.#lines.say(`protocol ${link.peer.node}`, "warn", { code: "PROTOCOL_VIOLATION", node: link.peer.node, detail }, "a connection ended: the peer broke the protocol");
    this.#tell(() => this.#context.handlers.down({ link, connection, reason, detail }));
  }

  #linkClosed(link: PeerLink, leaving: Connection | undefined): void {
    if (this.#links.get(link.peer.incarnation) === link) this.#links.delete(link.peer.incarnation);
    if (leaving === undefined) return;
    const timer = this.#context.clock.setTimer(this.#settings.connectMs, () => leaving.end("closed", "the peer did not take leave"));
    this.#leaving.set(leaving, timer);
    leaving.whenEnded(() => {
      timer.cancel();
      this.#leaving.delete(leaving);
      for (const look of this.#gone) look();
    });
  }

  #keysChanged(): void {
    for (const link of this.#links.values()) {
      const id = link.provedBy;
      if (this.#isAccepted(id)) link.keysChanged();
      else link.renew("key-retired", `the key ${id} is not accepted any more`);
    }
  }

  /** Whether what a peer proved itself with still counts: a key may be retired at any moment, also between TLS and the handshake behind it. */
  #isAccepted(provedBy: string | null): boolean {
    return provedBy === null || provedBy === "certificate" || this.#context.keys?.find(provedBy) !== undefined;
  }

  #tickLater(): void {
    const { clock } = this.#context;
    const dueMs = clock.monotonicMs() + this.#settings.beatMs;
    this.#ticker = clock.setTimer(this.#settings.beatMs, () => {
      const late = clock.monotonicMs() - dueMs > (LATE_BEATS - 1) * this.#settings.beatMs;
      this.#tickLater();
      for (const link of this.#links.values()) link.tick(late);
    });
  }

  // ---- telling -----------------------------------------------------------------------------------------------

  /** Events are told one after the other and from a call stack of their own: whoever called the port has its answer first. */
  #tell(event: () => void): void {
    this.#untold.push(event);
    if (this.#untold.length === 1) queueMicrotask(() => this.#tellAll());
  }

  #tellAll(): void {
    for (let at = 0; at < this.#untold.length; at++) this.#run(this.#untold[at] ?? (() => {}));
    this.#untold.length = 0;
  }

  #run(event: () => void): void {
    try {
      event();
    } catch (error) {
      this.#lines.say("a handler", "error", { code: "LISTENER_FAILED", error: error instanceof Error ? error.message : String(error) }, "a handler of the transport threw");
    }
  }
}

function closedError(node: string): TribuneError {
  return new TribuneError("TRANSPORT_CLOSED", `the endpoint of ${node} is closed`, { about: node, next: "open a new one, for a new incarnation" });
}
