import assert from "node:assert/strict";
import { sleep, TribuneError, withDeadline } from "../../kernel/index.ts";
import type { Clock, LogFields, Logger, Random } from "../../kernel/index.ts";
import type { ConnectionDown, ConnectionUp, Endpoint, Frame, KnownPeer, Link, LinkOptions, PeerIdentity, PeerUnreachable, TransportContext } from "../../transport/index.ts";
import type { RawPeer, TransportPlace } from "./place.ts";

/** One behaviour that a transport must show. `run` rejects where it does not. */
export interface TransportCase {
  readonly title: string;
  readonly run: (scene: TransportScene) => Promise<void>;
}

/** Thrown where a case cannot be tried in this place. */
export class NotOffered extends Error {}

/** Long enough for any healthy network, short enough to end a case that hangs. */
const PATIENCE_MS = 20_000;

/** A wait that is long enough. */
export const PATIENTLY = { deadlineMs: PATIENCE_MS };

let scenes = 0;

/** What one case plays in: a group of its own, a view that the case changes, and endpoints that write down what they are told. */
export class TransportScene {
  readonly place: TransportPlace;
  readonly clock: Clock;
  readonly random: Random;
  readonly group: string;
  readonly nodes: TestNode[] = [];
  readonly #raw: RawPeer[] = [];
  readonly #number = ++scenes;

  constructor(options: { readonly place: TransportPlace; readonly clock: Clock; readonly random: Random }) {
    this.place = options.place;
    this.clock = options.clock;
    this.random = options.random;
    this.group = `conformance-${this.#number}-${this.random.id().slice(0, 12)}`;
  }

  /** What the place offers under `name`; without it the case is skipped. */
  need<Name extends "reset" | "cut" | "dial">(name: Name): NonNullable<TransportPlace[Name]> {
    const offered = this.place[name];
    if (offered === undefined) throw new NotOffered(`the place offers no ${name}`);
    return offered.bind(this.place) as NonNullable<TransportPlace[Name]>;
  }

  /** Opens an endpoint, and puts it into everybody's view unless `hidden`. */
  async node(over: { readonly options?: LinkOptions; readonly hidden?: boolean; readonly context?: Partial<TransportContext> } = {}): Promise<TestNode> {
    const node = new TestNode(this, `node-${this.#number}-${this.nodes.length + 1}`);
    await node.open(over.options ?? {}, over.context ?? {});
    this.nodes.push(node);
    if (over.hidden !== true) this.everybodyKnows(node);
    return node;
  }

  /** Two nodes that are connected. */
  async pair(options: LinkOptions = {}): Promise<[TestNode, TestNode]> {
    const [a, b] = [await this.node({ options }), await this.node({ options })];
    await a.connect(b);
    return [a, b];
  }

  everybodyKnows(node: TestNode): void {
    for (const each of this.nodes) {
      if (each === node) continue;
      each.view.set(node.identity.incarnation, node.known);
      node.view.set(each.identity.incarnation, each.known);
    }
    for (const each of this.nodes) each.endpoint.review();
  }

  nobodyKnows(incarnation: string): void {
    for (const each of this.nodes) each.view.delete(incarnation);
    for (const each of this.nodes) each.endpoint.review();
  }

  async raw(address: string): Promise<RawPeer> {
    const raw = await this.need("dial")(address);
    this.#raw.push(raw);
    return raw;
  }

  async until(what: string, condition: () => boolean, source: { changed(): Promise<void> }): Promise<void> {
    const ended = new AbortController();
    const waiting = async () => {
      while (!condition() && !ended.signal.aborted) await Promise.race([source.changed(), sleep(this.clock, 20, ended.signal)]);
    };
    await withDeadline(waiting(), { clock: this.clock, ms: PATIENCE_MS, operation: `waiting until ${what}`, code: "TRANSPORT_TIMEOUT" }).finally(() => ended.abort());
  }

  async end(): Promise<void> {
    for (const raw of this.#raw) raw.destroy();
    for (const node of this.nodes) node.endpoint.destroy(new TribuneError("TRANSPORT_CLOSED", "the case is over"));
    await this.place.close?.();
  }
}

/** What a node was told, in order. */
export type Told =
  | ({ readonly kind: "up" } & ConnectionUp)
  | ({ readonly kind: "down" } & ConnectionDown)
  | ({ readonly kind: "unreachable" } & PeerUnreachable)
  | ({ readonly kind: "frame" } & Frame);

/** An endpoint with its own view of the group. */
export class TestNode {
  readonly identity: PeerIdentity;
  readonly view = new Map<string, KnownPeer>();
  readonly told: Told[] = [];
  readonly logged: Array<{ readonly level: string; readonly fields: LogFields }> = [];
  /** Whether frames are consumed as they come; what is not, is for the case to consume. */
  consumes = true;
  /** Called with each event, before anything else. */
  onTold: (told: Told) => void = () => {};
  endpoint!: Endpoint;
  readonly #scene: TransportScene;
  #waiting: Array<() => void> = [];

  constructor(scene: TransportScene, name: string) {
    this.#scene = scene;
    this.identity = { node: name, incarnation: scene.random.id() };
  }

  get known(): KnownPeer {
    return { ...this.identity, address: this.endpoint.address };
  }

  get frames(): Array<Told & { kind: "frame" }> {
    return this.told.filter((each) => each.kind === "frame");
  }

  async open(options: LinkOptions, over: Partial<TransportContext>): Promise<void> {
    const scene = this.#scene;
    const transport = await scene.place.transport(this.identity.node, options);
    const tell = (told: Told) => {
      this.told.push(told);
      for (const wake of this.#waiting.splice(0)) wake();
      this.onTold(told);
      if (told.kind === "frame" && this.consumes) told.link.consumed(told);
    };
    const log = (level: string) => (fields: LogFields) => void this.logged.push({ level, fields });
    const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
    this.endpoint = await transport.open({
      group: scene.group,
      ...this.identity,
      known: (incarnation) => this.view.get(incarnation),
      handlers: {
        up: (event) => tell({ kind: "up", ...event }),
        down: (event) => tell({ kind: "down", ...event }),
        unreachable: (event) => tell({ kind: "unreachable", ...event }),
        frame: (frame) => tell(Object.assign(frame, { kind: "frame" as const })),
      },
      ...(scene.place.keys === undefined ? {} : { keys: scene.place.keys }),
      clock: scene.clock,
      random: scene.random,
      logger,
      ...PATIENTLY,
      ...over,
    });
  }

  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return this.#scene.until(`${what} (at ${this.identity.node})`, condition, this);
  }

  link(peer: TestNode): Link {
    return this.endpoint.link(peer.identity);
  }

  /** Waits until both have one connection with each other. */
  async connect(peer: TestNode): Promise<Link> {
    const link = this.link(peer);
    await this.until("the link is up", () => link.state === "up");
    await peer.until("the link is up", () => peer.endpoint.links.some((each) => each.peer.incarnation === this.identity.incarnation && each.state === "up"));
    return link;
  }

  /** What happened with connections, as short words: "up 1", "down 1 reset". */
  connections(): string[] {
    return this.told.flatMap((each) => (each.kind === "up" ? [`up ${each.connection}`] : each.kind === "down" ? [`down ${each.connection} ${each.reason}`] : []));
  }

  /** Coded lines of the log, from warnings on. */
  codes(): unknown[] {
    return this.logged.filter(({ level }) => level === "warn" || level === "error").map(({ fields }) => fields["code"]);
  }
}

/** Sends until it was queued, waiting for room where there is none. */
export async function sendAll(link: Link, stream: number, payload: Uint8Array): Promise<void> {
  for (;;) {
    const outcome = link.send(stream, payload);
    if (outcome === "queued") return;
    assert.equal(outcome, "full", "the connection stays");
    await link.writable(stream, PATIENTLY);
  }
}

/** Bytes that differ from place to place and from number to number. */
export function bytesOf(length: number, number = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >> 8) * 7 + number) & 0xff;
  return bytes;
}
