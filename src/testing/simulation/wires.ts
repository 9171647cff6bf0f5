import type { Random } from "../../kernel/index.ts";
import { DialFailure, NO_HANDLERS, openEndpoint } from "../../transport/index.ts";
import type { LinkSettings, ListenHooks, Listener, Transport, Wait, Wire, WireHandlers, WireNetwork } from "../../transport/index.ts";
import type { Flow, Network } from "./network.ts";
import type { SimulatedProcess } from "./process.ts";
import type { Schedule } from "./schedule.ts";
import { between } from "./streams.ts";

/** What may be on its way on one wire before the writer is to wait: as much as a socket's buffers hold. */
const CAPACITY_BYTES = 256 * 1024;

/** How long the network takes to tell of a reset. */
const RESET_TOLD_MS = { from: 0.1, to: 3 };

/** One process as the wires have it. */
export interface Site {
  /** The place in the network. */
  readonly node: string;
  readonly process: SimulatedProcess;
}

/** How the network resets a connection: who is told, and whether what is on its way arrives before that. */
export interface Reset {
  readonly told: "both" | "one" | "other";
  readonly onTheirWay: "lost" | "arrive";
}

/**
 * Connections between processes, over the links of the simulated network: what TCP is to production. Everything above is production code, encoding and handshakes included. Bytes of one connection arrive in order, late, or not at all because it broke; a
 * process that stands still reads nothing, and one that was killed is told of to its peers or not, as an operating system or a power cut does it.
 */
export class SimulatedWires {
  readonly #schedule: Schedule;
  readonly #network: Network;
  readonly #random: Random;
  readonly #listeners = new Map<string, { readonly site: Site; readonly hooks: ListenHooks }>();
  readonly #ends = new Set<WireEnd>();
  /** How often the way between two nodes is barred. */
  readonly #barred = new Map<string, number>();
  /** What waits for the next bytes between two nodes. */
  readonly #traps = new Map<string, () => void>();
  /** Connections that were reset by the network. */
  resets = 0;

  constructor(schedule: Schedule, network: Network, random: Random) {
    this.#schedule = schedule;
    this.#network = network;
    this.#random = random;
  }

  /** The transport as a process has it. Its address is the name of the process. */
  transport(site: Site, settings: LinkSettings): Transport {
    return { kind: "simulated", open: (context) => openEndpoint(this.#at(site), settings, context) };
  }

  /** The network resets what connections there are between two nodes. */
  reset(one: string, other: string, how: Reset): void {
    for (const end of [...this.#ends]) {
      if (end.site.node !== one || end.peer?.site.node !== other) continue;
      this.resets += 1;
      const [near, far] = [end, end.peer];
      if (how.onTheirWay === "lost") for (const each of [near, far]) each.loseWhatTravels();
      near.cutOff(how.told !== "other", how.onTheirWay);
      far.cutOff(how.told !== "one", how.onTheirWay);
      near.peer = far.peer = undefined;
    }
  }

  /** Resets what connections there are between two nodes, and refuses those that they dial, as a rule in between does that refuses in their names; until what is returned is called. */
  bar(one: string, other: string): () => void {
    const key = pairKey(one, other);
    this.#barred.set(key, (this.#barred.get(key) ?? 0) + 1);
    this.reset(one, other, { told: "both", onTheirWay: "lost" });
    return () => void this.#barred.set(key, (this.#barred.get(key) ?? 1) - 1);
  }

  /** Calls `spring` once, a moment after one of the two nodes has written something to the other; until what is returned is called. */
  trap(one: string, other: string, afterMs: number, spring: () => void): () => void {
    const key = pairKey(one, other);
    this.#traps.set(key, () => {
      this.#traps.delete(key);
      this.#schedule.in(afterMs, spring);
    });
    return () => this.#traps.delete(key);
  }

  /** A process is gone. Either its machine tells its peers, or nobody ever hears of its connections again. */
  gone(process: SimulatedProcess): void {
    const isTold = this.#random.next() < 0.5;
    for (const [address, { site }] of this.#listeners) if (site.process === process) this.#listeners.delete(address);
    for (const end of [...this.#ends]) {
      if (end.site.process !== process) continue;
      if (isTold) end.destroy();
      else end.vanish();
    }
  }

  written(from: string, to: string): void {
    if (this.#traps.size > 0) this.#traps.get(pairKey(from, to))?.();
  }

  over(end: WireEnd): void {
    this.#ends.delete(end);
  }

  /** Calls `tell` in a process, soon. */
  tellSoon(site: Site, tell: () => void): void {
    this.#schedule.in(between(this.#random, RESET_TOLD_MS.from, RESET_TOLD_MS.to), () => site.process.deliver(tell));
  }

  /** Where a chunk is cut: what was written at once may be read in pieces. */
  readLength(length: number): number {
    return length > 1 && this.#random.next() < 0.1 ? 1 + Math.floor(this.#random.next() * (length - 1)) : length;
  }

  #at(site: Site): WireNetwork {
    return {
      listen: (hooks) => Promise.resolve(this.listen(site, hooks)),
      dial: (address, wait) => this.dial(site, address, wait),
    };
  }

  /** Tells `hooks` of each wire that others make to a process. */
  listen(site: Site, hooks: ListenHooks): Listener {
    const address = site.process.name;
    const listener = { site, hooks };
    this.#listeners.set(address, listener);
    return { address, halfOpen: 0, close: async () => void (this.#listeners.get(address) === listener && this.#listeners.delete(address)) };
  }

  /** A wire for whoever speaks bytes of its own. Rejects with a `DialFailure`. */
  dial(site: Site, address: string, wait: Wait): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const to = address.split("#")[0] ?? "";
      let isOver = false;
      const finish = (settle: () => void) => {
        if (isOver) return;
        isOver = true;
        deadline.cancel();
        wait.signal?.removeEventListener("abort", aborted);
        settle();
      };
      const fail = (reason: DialFailure["reason"], detail: string) => finish(() => reject(new DialFailure(reason, detail)));
      const aborted = () => fail("timeout", "the dial was given up");
      const deadline = site.process.setTimer(wait.deadlineMs, () => fail("timeout", `${address} did not answer`));
      if (wait.signal?.aborted === true) return aborted();
      wait.signal?.addEventListener("abort", aborted);
      const [there, back] = [this.#network.flow(site.node, to), this.#network.flow(to, site.node)];
      // The system takes a connection, also for a process that stands still.
      there.send(() => {
        const listener = (this.#barred.get(pairKey(site.node, to)) ?? 0) > 0 ? undefined : this.#listeners.get(address);
        const pair = listener === undefined ? undefined : this.#pair({ site, flow: there }, { site: listener.site, flow: back });
        if (pair !== undefined) listener?.site.process.deliver(() => listener.hooks.accept(pair[1]));
        back.send(() =>
          site.process.deliver(() => {
            if (pair === undefined) fail("refused", `nobody listens at ${address}`);
            else if (isOver) pair[0].destroy();
            else finish(() => resolve(pair[0]));
          }),
        );
      });
    });
  }

  #pair(near: Side, far: Side): [WireEnd, WireEnd] {
    const ends: [WireEnd, WireEnd] = [new WireEnd(this, near), new WireEnd(this, far)];
    ends[0].peer = ends[1];
    ends[1].peer = ends[0];
    for (const end of ends) this.#ends.add(end);
    return ends;
  }
}

interface Side {
  readonly site: Site;
  /** To the other one. */
  readonly flow: Flow;
}

/** One end of a connection. */
class WireEnd implements Wire {
  readonly site: Site;
  readonly security = { protocol: "simulated", provedBy: null, version: 0 };
  handlers: WireHandlers = NO_HANDLERS;
  /** The other end; `undefined` when nothing reaches it any more. */
  peer: WireEnd | undefined;
  readonly #wires: SimulatedWires;
  readonly #flow: Flow;
  /** Written, and not read yet. */
  #travelling = 0;
  #isBlocked = false;
  /** Grows when what was written before is not to arrive any more. */
  #journey = 0;
  #isOpen = true;
  #saidEnd = false;

  constructor(wires: SimulatedWires, { site, flow }: Side) {
    this.#wires = wires;
    this.site = site;
    this.#flow = flow;
  }

  get remote(): string {
    return this.peer?.site.node ?? "nowhere";
  }

  // ---- what the process does

  write(buffer: Uint8Array, release?: () => void): boolean {
    if (!this.#isOpen || this.#saidEnd) return true;
    const bytes = new Uint8Array(buffer);
    release?.();
    this.#travelling += bytes.length;
    this.#send((peer) => {
      peer.#receive(bytes);
      this.#travelling -= bytes.length;
      if (!this.#isBlocked || this.#travelling > CAPACITY_BYTES / 2) return;
      this.#isBlocked = false;
      this.site.process.deliver(() => this.#isOpen && this.handlers.drained());
    });
    if (this.#travelling > CAPACITY_BYTES) this.#isBlocked = true;
    if (this.peer !== undefined) this.#wires.written(this.site.node, this.peer.site.node);
    return !this.#isBlocked;
  }

  end(): void {
    if (!this.#isOpen || this.#saidEnd) return;
    this.#saidEnd = true;
    this.#send((peer) => peer.#hearEnd("ended", "the peer ended it"));
  }

  destroy(): void {
    if (!this.#isOpen) return;
    this.#leave();
    this.#send((peer) => peer.#hearEnd("reset", "the peer is gone"));
    this.#flow.end();
  }

  // ---- what happens to it

  /** Nothing of it, and nothing about it, arrives any more. */
  vanish(): void {
    this.loseWhatTravels();
    this.#leave();
    this.#flow.drop();
  }

  loseWhatTravels(): void {
    this.#journey += 1;
  }

  /** The network carries nothing from here or to here any more, once what is to arrive has. */
  cutOff(isTold: boolean, onTheirWay: Reset["onTheirWay"]): void {
    const { peer } = this;
    const tell = () => this.#hearEnd("reset", "the network reset it");
    if (isTold && onTheirWay === "arrive" && peer !== undefined) peer.#send(tell); // behind what still comes
    else if (isTold) this.#wires.tellSoon(this.site, tell);
    this.#saidEnd = isTold; // who is not told goes on writing, into nothing
  }

  #send(arrive: (peer: WireEnd) => void): void {
    const journey = this.#journey;
    const { peer } = this;
    if (peer === undefined) return;
    this.#flow.send(() => {
      if (journey === this.#journey) peer.site.process.deliver(() => journey === this.#journey && arrive(peer));
    });
  }

  #receive(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#isOpen; ) {
      const length = this.#wires.readLength(bytes.length - at);
      this.handlers.data(bytes.subarray(at, at + length));
      at += length;
    }
  }

  #hearEnd(reason: "ended" | "reset", detail: string): void {
    if (!this.#isOpen) return;
    this.#leave();
    this.handlers.closed(reason, detail);
  }

  #leave(): void {
    this.#isOpen = false;
    this.#wires.over(this);
  }
}

function pairKey(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}
