import { backoffMs, TribuneError } from "../kernel/index.ts";
import type { Clock, Random, Timer } from "../kernel/index.ts";
import { OLDEST_VERSION, recognize } from "./admission.ts";
import type { Standing } from "./admission.ts";
import { Connection } from "./connection.ts";
import type { MutableCounts } from "./connection.ts";
import { hear } from "./exchange.ts";
import { FORMAT_VERSION } from "./frames.ts";
import { encodeHello, readAnswer } from "./hello.ts";
import type { Introduction, PeerLimits } from "./hello.ts";
import type { LinkSettings } from "./options.ts";
import type { ConnectionUp, DownReason, Frame, KnownPeer, Link, LinkCounts, PeerIdentity, SendOutcome, UnreachableReason, Wait } from "./transport.ts";
import { DialFailure } from "./wire.ts";
import type { Wire, WireNetwork } from "./wire.ts";

/** What a link needs of its endpoint. */
export interface LinkPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: LinkSettings;
  readonly network: WireNetwork;
  /** What this side says of itself. */
  readonly introduction: Introduction;
  known(incarnation: string): KnownPeer | undefined;
  /** Whether what a peer proved itself with still counts. */
  isAccepted(provedBy: string | null): boolean;
  nextConnection(): number;
  /** Calls back when a dial may begin: from a call stack of its own, and not with too many others at once. */
  beginDial(begin: () => void): void;
  /** Events, in order; never from inside of a call of the port. */
  up(event: ConnectionUp): void;
  down(link: Link, connection: number, reason: DownReason, detail: string): void;
  unreachable(link: Link, reason: UnreachableReason, detail: string, attempts: number): void;
  frame(frame: Frame): void;
  /** The link will not come back; its last connection, if any, still says goodbye. */
  closed(link: PeerLink, leaving: Connection | undefined): void;
}

/** After these the peer may let us in with its next view: it is asked again soon. */
const SOON: readonly UnreachableReason[] = ["unknown-peer", "duplicate"];

/** The longest pause after those, in milliseconds. */
const SOON_MS = 500;

/** An attempt to connect that is under way. */
interface Dial {
  readonly abort: AbortController;
  saidHello: boolean;
}

/** A frame as it is handed on; remembers whether it was consumed. */
class ReceivedFrame implements Frame {
  readonly link: Link;
  readonly connection: number;
  readonly stream: number;
  readonly bytes: Uint8Array;
  consumed = false;

  constructor(link: Link, connection: number, stream: number, bytes: Uint8Array) {
    this.link = link;
    this.connection = connection;
    this.stream = stream;
    this.bytes = bytes;
  }
}

/** One peer: dials it until there is a connection, and again when that ended. */
export class PeerLink implements Link {
  readonly peer: PeerIdentity;
  readonly #ports: LinkPorts;
  readonly #counts: MutableCounts = { framesSent: 0, framesReceived: 0, bytesSent: 0, bytesReceived: 0, connections: 0 };
  #state: Link["state"] = "connecting";
  #sinceMs: number;
  #connection: Connection | undefined;
  /** The last connection that was seen to end. */
  #lostId = "";
  #dial: Dial | undefined;
  #pause: Timer | undefined;
  #attempts = 0;
  #lastFailure: UnreachableReason | undefined;
  #wasKnown = false;

  constructor(peer: PeerIdentity, ports: LinkPorts) {
    this.peer = peer;
    this.#ports = ports;
    this.#sinceMs = ports.clock.monotonicMs();
  }

  get state(): Link["state"] {
    return this.#state;
  }

  get connection(): number {
    return this.#connection?.number ?? 0;
  }

  get sinceMs(): number {
    return this.#sinceMs;
  }

  get counts(): LinkCounts {
    return { ...this.#counts, queuedBytes: this.#connection?.queuedBytes ?? 0 };
  }

  /** For the decision about a dial of the peer's. */
  get standing(): Standing {
    if (this.#connection !== undefined) return { kind: "up", connectionId: this.#connection.id };
    return this.#dial === undefined ? { kind: "none" } : { kind: "dialling", saidHello: this.#dial.saidHello };
  }

  /** What the peer proved itself with. */
  get provedBy(): string | null {
    return this.#connection?.wire.security.provedBy ?? null;
  }

  send(stream: number, payload: Uint8Array, head?: Uint8Array): SendOutcome {
    return this.#connection === undefined ? "down" : this.#connection.send(stream, payload, head);
  }

  writable(stream: number, wait: Wait): Promise<void> {
    if (this.#state === "closed") return Promise.reject(new TribuneError("TRANSPORT_CLOSED", `the link to ${this.peer.node} is closed`, { about: this.peer.node, next: "ask the endpoint for a new link, if the peer is a member" }));
    return this.#connection?.writable(stream, wait) ?? Promise.resolve();
  }

  consumed(frame: Frame): void {
    if (!(frame instanceof ReceivedFrame) || frame.consumed) return;
    frame.consumed = true;
    if (this.#connection?.number === frame.connection) this.#connection.consumed(frame.stream, frame.bytes.length);
  }

  ping(wait: Wait): Promise<number> {
    return this.#connection?.ping(wait) ?? Promise.reject(new TribuneError("PEER_UNREACHABLE", `there is no connection to ${this.peer.node}`, { about: this.peer.node, next: "try again when the link is up" }));
  }

  close(): void {
    this.#close("closed", "this side closed the link");
  }

  // ---- what the endpoint calls -------------------------------------------------------------------------------

  /** Once in each `beatMs`. */
  tick(late: boolean): void {
    this.#connection?.tick(late);
  }

  /** The view may have changed: ends if the peer is no member any more, dials if it can be reached only now. Returns whether the link goes on. */
  review(): boolean {
    const known = this.#ports.known(this.peer.incarnation);
    if (known === undefined || known.node !== this.peer.node) {
      if (!this.#wasKnown) return true;
      this.#close("not-a-member", `${this.peer.node} is no member any more`);
      return false;
    }
    const worthTrying = !this.#wasKnown || this.#lastFailure === "no-address" || (this.#lastFailure !== undefined && SOON.includes(this.#lastFailure));
    this.#wasKnown = true;
    if (worthTrying) this.#cancelPause();
    this.wake();
    return true;
  }

  /** Dials, unless there is a connection, a dial, or a pause between two. */
  wake(): void {
    if (this.#state !== "connecting" || this.#dial !== undefined || this.#pause !== undefined) return;
    const dial = { abort: new AbortController(), saidHello: false };
    this.#dial = dial;
    this.#ports.beginDial(() => void this.#attempt(dial));
  }

  /** A connection that was agreed upon, by either side. Ends what was there before. */
  adopt(wire: Wire, agreed: { readonly id: string; readonly version: number; readonly limits: PeerLimits; readonly rest: Uint8Array; readonly replaces: string }): void {
    this.#wasKnown = true;
    this.#abandonDial();
    this.#cancelPause();
    this.#connection?.end("replaced", agreed.replaces);
    this.#abandonDial(); // the end of the old one began another
    this.#cancelPause();
    const number = this.#ports.nextConnection();
    const connection = new Connection({
      wire,
      number,
      id: agreed.id,
      peerLimits: agreed.limits,
      settings: this.#ports.settings,
      clock: this.#ports.clock,
      counts: this.#counts,
      hooks: {
        frame: (stream, bytes) => this.#ports.frame(new ReceivedFrame(this, number, stream, bytes)),
        ended: (reason, detail) => this.#connectionEnded(connection, reason, detail),
      },
    });
    this.#connection = connection;
    this.#counts.connections++;
    this.#lastFailure = undefined;
    this.#become("up");
    this.#ports.up({ link: this, connection: number, security: { ...wire.security, version: agreed.version } });
    connection.begin(agreed.rest);
  }

  /** A dial that failed for its key is tried again at once. */
  keysChanged(): void {
    if (this.#lastFailure !== "unauthenticated") return;
    this.#cancelPause();
    this.wake();
  }

  /** Ends the connection, and makes another one. */
  renew(reason: DownReason, detail: string): void {
    this.#connection?.end(reason, detail);
  }

  /** Ends everything at once. */
  destroy(detail: string): void {
    const connection = this.#connection;
    this.#close("closed", detail);
    connection?.end("closed", detail);
  }

  // ---- dialling ----------------------------------------------------------------------------------------------

  async #attempt(dial: Dial): Promise<void> {
    const { settings, network, clock } = this.#ports;
    const known = this.#ports.known(this.peer.incarnation);
    if (this.#dial !== dial) return;
    if (known === undefined || known.node !== this.peer.node) {
      this.#dial = undefined; // until `review`
      return;
    }
    this.#wasKnown = true;
    if (known.address === undefined) return this.#failed(dial, "no-address", `the view has no address of ${this.peer.node}`);
    const beganMs = clock.monotonicMs();
    let wire: Wire;
    try {
      wire = await network.dial(known.address, { deadlineMs: settings.connectMs, signal: dial.abort.signal });
    } catch (error) {
      const failure = error instanceof DialFailure ? error : new DialFailure("reset", error instanceof Error ? error.message : String(error), error);
      return this.#failed(dial, failure.reason, failure.message);
    }
    if (this.#dial !== dial) return wire.destroy();
    this.#sayHello(dial, wire, settings.connectMs - (clock.monotonicMs() - beganMs));
  }

  #sayHello(dial: Dial, wire: Wire, deadlineMs: number): void {
    const { introduction, clock, random } = this.#ports;
    const connectionId = random.id();
    const giveUp = hear(wire, readAnswer, { clock, deadlineMs }, (heard) => {
      dial.abort.signal.removeEventListener("abort", abandoned);
      if (this.#dial !== dial) return wire.destroy();
      if (!this.#ports.isAccepted(wire.security.provedBy)) {
        wire.destroy();
        return this.#failed(dial, "unauthenticated", "the key was retired during the handshake");
      }
      if (heard.kind === "heard" && !("refused" in heard.value)) {
        const stranger = recognize(heard.value, this.peer, introduction.group, wire.speaksFor);
        if (stranger === undefined) return this.adopt(wire, { id: connectionId, version: heard.value.version, limits: heard.value.limits, rest: heard.rest, replaces: "this side dialled again" });
        wire.destroy();
        return this.#failed(dial, "not-here", stranger);
      }
      wire.destroy();
      if (heard.kind === "heard") return this.#failed(dial, ...refusedAs("refused" in heard.value ? heard.value.refused : "version"));
      return this.#failed(dial, heard.kind === "timeout" ? "timeout" : heard.kind === "closed" ? "reset" : "incompatible", heard.detail);
    });
    const abandoned = () => {
      giveUp();
      wire.destroy();
    };
    dial.abort.signal.addEventListener("abort", abandoned, { once: true });
    dial.saidHello = true;
    wire.write(encodeHello({ ...introduction, newestVersion: FORMAT_VERSION, oldestVersion: OLDEST_VERSION, to: this.peer.incarnation, connectionId, lostId: this.#lostId }));
  }

  #failed(dial: Dial, reason: UnreachableReason, detail: string): void {
    if (this.#dial !== dial) return;
    this.#dial = undefined;
    this.#attempts++;
    const told = reason !== "no-address" || this.#lastFailure !== "no-address";
    this.#lastFailure = reason;
    if (reason !== "no-address") this.#pauseThenDial(); // without an address only a new view helps
    if (told) this.#ports.unreachable(this, reason, detail, this.#attempts);
  }

  #pauseThenDial(): void {
    const { clock, random, settings } = this.#ports;
    if (this.#state !== "connecting") return;
    const soon = this.#lastFailure !== undefined && SOON.includes(this.#lastFailure);
    const longestMs = soon ? Math.max(settings.firstPauseMs, Math.min(SOON_MS, settings.longestPauseMs)) : settings.longestPauseMs;
    this.#cancelPause();
    this.#pause = clock.setTimer(backoffMs(Math.max(0, this.#attempts - 1), { firstMs: settings.firstPauseMs, longestMs }, random), () => {
      this.#pause = undefined;
      this.wake();
    });
  }

  #abandonDial(): void {
    const dial = this.#dial;
    this.#dial = undefined;
    dial?.abort.abort(new TribuneError("ABORTED", `the dial to ${this.peer.node} was given up`, { about: this.peer.node }));
  }

  #cancelPause(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
  }

  // ---- ending ------------------------------------------------------------------------------------------------

  #connectionEnded(connection: Connection, reason: DownReason, detail: string): void {
    if (this.#connection !== connection) return; // it was said goodbye to, and that was told
    const { clock, settings } = this.#ports;
    // A connection that stood for a while was a good one; one that breaks at once again and again must not be made in a busy loop.
    const wasGood = clock.monotonicMs() - this.#sinceMs > settings.longestPauseMs;
    if (wasGood) this.#attempts = 0;
    this.#attempts++;
    this.#connection = undefined;
    this.#lostId = connection.id;
    this.#become("connecting");
    this.#ports.down(this, connection.number, reason, detail);
    if (this.#connection !== undefined) return;
    // Whether somebody still listens there tells a process that is gone from a connection that is, and who wants to know does not want to wait.
    if (wasGood && reason === "reset") this.wake();
    else this.#pauseThenDial();
  }

  #close(reason: DownReason, detail: string): void {
    if (this.#state === "closed") return;
    const connection = this.#connection;
    this.#connection = undefined;
    this.#abandonDial();
    this.#cancelPause();
    this.#become("closed");
    if (connection !== undefined) {
      if (reason === "closed") connection.finish();
      else connection.end(reason, detail);
      this.#ports.down(this, connection.number, reason, detail);
    }
    this.#ports.closed(this, connection);
  }

  #become(state: Link["state"]): void {
    this.#state = state;
    this.#sinceMs = this.#ports.clock.monotonicMs();
  }
}

function refusedAs(reason: string): [UnreachableReason, string] {
  if (reason === "duplicate") return ["duplicate", "the peer has, or is making, a connection with this side"];
  if (reason === "unknown-peer" || reason === "wrong-identity") return ["unknown-peer", "the peer's view does not have this member, or has it otherwise"];
  if (reason === "not-here") return ["not-here", "another incarnation listens there"];
  return ["incompatible", reason === "version" ? "the peer speaks no version that this side speaks" : "another group listens there"];
}
