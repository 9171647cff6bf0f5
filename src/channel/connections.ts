import { abortError, isoTime, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock, Events, Logger, Random } from "../kernel/index.ts";
import type { ConnectionDown, ConnectionSecurity, Endpoint, Frame, KeyRing, KnownPeer, Link, PeerIdentity, PeerUnreachable, Transport, Wait } from "../transport/index.ts";
import type { ChannelEvents, Pong, Reachability } from "./events.ts";

/** Who this member is, and what it is given. */
export interface MemberPorts {
  readonly group: string;
  readonly node: string;
  readonly incarnation: string;
  readonly transport: Transport;
  readonly keys?: KeyRing | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What connections stand on. */
export interface ConnectionsPorts extends MemberPorts {
  /** Where `reachability` and `vanished` are told. */
  readonly events: Events<ChannelEvents>;
  /** A connection with a member began. */
  up(link: Link): void;
  frame(frame: Frame): void;
}

/** What is found later than this after a connection broke may have another reason. */
const VANISHED_WITHIN_MS = 500;

/** The members that this one knows, and its connections with them. */
export class Connections {
  readonly #ports: ConnectionsPorts;
  #known: ReadonlyMap<string, KnownPeer> = new Map();
  /** When the connections broke that are to be made again. */
  readonly #brokeMs = new Map<string, number>();
  /** Of the connections that there are, by incarnation. */
  readonly #security = new Map<string, ConnectionSecurity>();
  #endpoint: Endpoint | undefined;
  #isStopped = false;

  constructor(ports: ConnectionsPorts) {
    this.#ports = ports;
  }

  /** Begins to listen. Rejects as `Transport.open` does. */
  async start(wait: Wait): Promise<void> {
    const { group, node, incarnation, transport, keys, clock, random, logger, events } = this.#ports;
    this.#endpoint = await transport.open({
      group,
      node,
      incarnation,
      known: (each) => this.#known.get(each),
      handlers: {
        up: ({ link, security }) => {
          this.#security.set(link.peer.incarnation, security);
          this.#brokeMs.delete(link.peer.incarnation);
          this.#ports.up(link);
          events.emit("reachability", { peer: link.peer, connected: true, since: this.#since(link), detail: "a connection began" });
        },
        down: (event) => {
          if (event.reason === "reset") this.#brokeMs.set(event.link.peer.incarnation, clock.monotonicMs());
          this.#down(event);
        },
        unreachable: (event) => {
          this.#down(event);
          this.#considerVanished(event);
        },
        frame: (frame) => this.#ports.frame(frame),
      },
      keys,
      clock,
      random,
      logger,
      ...wait,
    });
  }

  get isOpen(): boolean {
    return this.#endpoint !== undefined && !this.#isStopped;
  }

  /** Throws `TRANSPORT_CLOSED`. */
  checkOpen(): void {
    this.#open();
  }

  /** For others to dial. */
  get address(): string {
    return this.#open().address;
  }

  knows(incarnation: string): boolean {
    return this.#known.has(incarnation);
  }

  /** The other members of a new view, which `review` then goes by. */
  know(members: readonly KnownPeer[]): void {
    this.#known = new Map(members.map((member) => [member.incarnation, member]));
    for (const incarnation of this.#brokeMs.keys()) if (!this.#known.has(incarnation)) this.#brokeMs.delete(incarnation);
  }

  /** Ends the connections with who is no member any more, and dials who is new. */
  review(): void {
    const endpoint = this.#open();
    endpoint.review();
    for (const member of this.#known.values()) endpoint.link(member);
  }

  /** `undefined` before the start, and after the end. */
  link(peer: PeerIdentity): Link | undefined {
    return this.#isStopped || this.#endpoint?.ended.aborted === true ? undefined : this.#endpoint?.link(peer);
  }

  /** Whether a member can be talked to now; `undefined` for who is no member. */
  reachability(incarnation: string): Reachability | undefined {
    const link = this.#endpoint?.links.find((each) => each.peer.incarnation === incarnation);
    return link === undefined ? undefined : { connected: link.state === "up", since: this.#since(link), security: this.#security.get(incarnation) };
  }

  /** Measures the way to a member and back, once there is a connection. Rejects with `NODE_UNKNOWN`, `PEER_UNREACHABLE`, `TRANSPORT_TIMEOUT`, `ABORTED`, `TRANSPORT_CLOSED`. */
  async ping(node: string, wait: Wait): Promise<Pong> {
    const { clock } = this.#ports;
    const endpoint = this.#open();
    const member = [...this.#known.values()].find((each) => each.node === node);
    if (member === undefined) throw new TribuneError("NODE_UNKNOWN", `${node} is no other member with a channel`, { about: node, next: "see tribune members" });
    const dueMs = clock.monotonicMs() + wait.deadlineMs;
    const link = endpoint.link(member);
    if (link.state !== "up") await this.#connected(member, wait);
    const roundTripMs = await link.ping({ ...wait, deadlineMs: Math.max(1, dueMs - clock.monotonicMs()) });
    return { node, incarnation: member.incarnation, roundTripMs, security: this.#security.get(member.incarnation) };
  }

  /** The peer broke the protocol: its connection ends. It may come again, with the next thing that is sent to it. */
  broken(peer: PeerIdentity, detail: string): void {
    this.#ports.logger.warn({ code: "PROTOCOL_VIOLATION", node: peer.node, detail }, "a connection was ended: the peer broke the protocol of the channel");
    if (this.#known.has(peer.incarnation)) this.#endpoint?.link(peer).close();
  }

  /** From now on nothing is sent. */
  end(): void {
    this.#isStopped = true;
  }

  /** Says goodbye to everybody, and closes. */
  async close(wait: Wait): Promise<void> {
    await this.#endpoint?.close(wait);
  }

  /** Resolves with the next connection to that member. */
  async #connected({ node, incarnation }: PeerIdentity, wait: Wait): Promise<void> {
    let off: (() => void) | undefined;
    let detail = "no connection was made";
    const connected = new Promise<void>((resolve) => {
      off = this.#ports.events.on("reachability", (event) => {
        if (event.peer.incarnation !== incarnation) return;
        if (event.connected) resolve();
        else ({ detail } = event);
      });
    });
    try {
      await withDeadline(connected, { clock: this.#ports.clock, ms: wait.deadlineMs, operation: `connecting to ${node}`, signal: wait.signal });
    } catch (error) {
      if (wait.signal?.aborted === true) throw abortError(wait.signal, "pinging");
      throw new TribuneError("PEER_UNREACHABLE", `${node} could not be reached within ${wait.deadlineMs} ms: ${detail}`, { about: node, next: "see whether the network lets members talk to each other, and what address it advertises", retryable: true, cause: error });
    } finally {
      off?.();
    }
  }

  /** The moment at which a link's state began, for people. */
  #since({ sinceMs }: Link): string {
    const { clock } = this.#ports;
    return isoTime(clock.wallMs() - (clock.monotonicMs() - sinceMs));
  }

  #down({ link, detail }: ConnectionDown | PeerUnreachable): void {
    this.#security.delete(link.peer.incarnation);
    this.#ports.events.emit("reachability", { peer: link.peer, connected: false, since: this.#since(link), detail });
  }

  /** The first dial after a connection broke finds nobody. */
  #considerVanished({ link: { peer }, reason }: PeerUnreachable): void {
    const brokeMs = this.#brokeMs.get(peer.incarnation);
    this.#brokeMs.delete(peer.incarnation);
    if (brokeMs === undefined || reason !== "refused" || this.#ports.clock.monotonicMs() - brokeMs > VANISHED_WITHIN_MS) return;
    this.#ports.events.emit("vanished", { peer });
  }

  #open(): Endpoint {
    if (this.#endpoint !== undefined && !this.#isStopped) return this.#endpoint;
    const { node } = this.#ports;
    throw new TribuneError("TRANSPORT_CLOSED", `the channel of ${node} is not open`, { about: node, next: this.#isStopped ? "begin again as a new incarnation" : "start it first" });
  }
}
