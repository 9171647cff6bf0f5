import { Complaints } from "../../kernel/index.ts";
import type { Clock, Random } from "../../kernel/index.ts";
import { openEndpoint } from "../endpoint.ts";
import { linkSettings } from "../options.ts";
import type { LinkOptions } from "../options.ts";
import type { Transport, Wait } from "../transport.ts";
import { DialFailure } from "../wire.ts";
import type { ListenHooks, Listener, Wire, WireNetwork } from "../wire.ts";
import { MemoryWire, Way } from "./wire.ts";

/** What a simulated network goes by. */
export interface MemoryNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** How long bytes travel, in milliseconds: a number drawn between these for each write. Default 0.1 to 0.5. */
  readonly latencyMs?: { readonly min: number; readonly max: number };
  /** Whether what was written at once arrives in pieces of any size, as it may with TCP. Default true. */
  readonly splits?: boolean;
}

/** What becomes of bytes that are on their way when a connection breaks: they are lost; or they arrive, and only the answers to them are lost. */
export type BreakLoss = "lost" | "arrive";

const DEFAULT_LATENCY_MS = { min: 0.1, max: 0.5 };

/**
 * A network in one process, on any clock: every byte that TCP would carry is encoded, travels, and is decoded. It behaves as TCP does: on a connection bytes arrive in order, late, or not at all because the connection broke; never twice. What a sender
 * repeats after that on the next connection is what arrives twice.
 *
 *     const network = new MemoryNetwork({ clock, random: seededRandom(7) });
 *     const transport = network.transport();
 *     network.cut("node-1", "node-2");
 *
 * Places are named by node: whoever opens an endpoint for `node-1` is at `node-1`.
 */
export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #latencyMs: { readonly min: number; readonly max: number };
  readonly #splits: boolean;
  readonly #listeners = new Map<string, { readonly node: string; readonly hooks: ListenHooks }>();
  readonly #ways = new Map<string, Way>();
  readonly #wires = new Set<MemoryWire>();
  readonly #barred = new Set<string>();
  readonly #vanished = new Set<string>();
  #ports = 0;

  constructor(options: MemoryNetworkOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#latencyMs = options.latencyMs ?? DEFAULT_LATENCY_MS;
    this.#splits = options.splits ?? true;
  }

  /** The transport on this network. Throws `INVALID_OPTIONS`. */
  transport(options: LinkOptions = {}): Transport {
    const complaints = new Complaints("memory transport");
    const settings = linkSettings(options, complaints);
    complaints.throwIfAny();
    return { kind: "memory", open: (context) => openEndpoint(this.#at(context.node), settings, context) };
  }

  /** From now on nothing gets from one node to the other: it waits, as TCP's retransmissions do, and arrives when the cut is healed, if the connection is still there then. */
  cut(from: string, to: string): void {
    this.#way(from, to).cut();
  }

  /** Undoes `cut`, and `delay`. */
  heal(from: string, to: string): void {
    this.#way(from, to).heal();
  }

  /** Adds to the time that bytes travel one way. */
  delay(from: string, to: string, ms: number): void {
    this.#way(from, to).extraMs = ms;
  }

  /** Every connection between two nodes is reset, for both sides at once. */
  break(a: string, b: string, onTheirWay: BreakLoss = "lost"): void {
    for (const wire of [...this.#wires]) if ((wire.from === a && wire.to === b) || (wire.from === b && wire.to === a)) wire.breakBy("the network reset it", onTheirWay);
  }

  /** Every connection between two nodes is reset, and only one of them is told: the other one's end stays open and carries nothing any more. */
  breakFor(told: string, untold: string): void {
    for (const wire of [...this.#wires]) if (wire.from === told && wire.to === untold) wire.breakHere("the network reset it");
  }

  /** From now on each connection from one node to the other is refused or reset, as a firewall does it. */
  bar(from: string, to: string): void {
    this.#barred.add(key(from, to));
    this.break(from, to);
  }

  /** Undoes `bar`. */
  unbar(from: string, to: string): void {
    this.#barred.delete(key(from, to));
  }

  /** A machine goes away for good, without a word: nothing that it sent arrives any more, nobody is told, and who dials it has no answer. */
  vanish(node: string): void {
    this.#vanished.add(node);
    for (const wire of [...this.#wires]) if (wire.from === node || wire.to === node) wire.vanish();
  }

  /** A process ends at once: its kernel resets its connections, and nobody listens there any more. */
  crash(node: string): void {
    for (const [address, listener] of this.#listeners) if (listener.node === node) this.#listeners.delete(address);
    for (const wire of [...this.#wires]) if (wire.from === node) wire.destroy();
  }

  /** How many bytes have arrived one way. */
  bytes(from: string, to: string): number {
    return this.#way(from, to).bytes;
  }

  /** A wire for tests that speak bytes themselves, made from a place of any name. */
  dial(from: string, address: string, wait: Wait): Promise<Wire> {
    return this.#at(from).dial(address, wait);
  }

  #at(node: string): WireNetwork {
    return {
      listen: async (hooks): Promise<Listener> => {
        const address = `memory:${++this.#ports}`;
        this.#listeners.set(address, { node, hooks });
        return { address, halfOpen: 0, close: async () => void this.#listeners.delete(address) };
      },
      dial: (address, wait) => this.#dial(node, address, wait),
    };
  }

  #dial(from: string, address: string, wait: Wait): Promise<Wire> {
    return new Promise((resolve, reject) => {
      let over = false;
      const finish = (settle: () => void) => {
        if (over) return;
        over = true;
        deadline.cancel();
        wait.signal?.removeEventListener("abort", aborted);
        settle();
      };
      const fail = (reason: DialFailure["reason"], detail: string) => finish(() => reject(new DialFailure(reason, detail)));
      const aborted = () => fail("timeout", "the dial was given up");
      const deadline = this.#clock.setTimer(wait.deadlineMs, () => fail("timeout", `${address} did not answer`));
      if (wait.signal?.aborted === true) return aborted();
      wait.signal?.addEventListener("abort", aborted);
      const to = this.#listeners.get(address)?.node ?? address;
      if (this.#vanished.has(from) || this.#vanished.has(to)) return; // until the deadline
      // There, and back: a cut either way makes it wait.
      this.#way(from, to).travel(() => {
        const listener = this.#listeners.get(address);
        const barred = this.#barred.has(key(from, to));
        const pair = listener === undefined || barred || over ? undefined : this.#pair(from, listener.node);
        if (pair !== undefined) listener?.hooks.accept(pair[1]);
        this.#way(to, from).travel(() => {
          if (pair === undefined) return fail(barred ? "reset" : "refused", barred ? "the network reset it" : `nobody listens at ${address}`);
          if (over) return pair[0].destroy();
          finish(() => resolve(pair[0]));
        });
      });
    });
  }

  #pair(from: string, to: string): [MemoryWire, MemoryWire] {
    const near = new MemoryWire({ from, to, way: this.#way(from, to), random: this.#random, splits: this.#splits, over: (wire) => this.#wires.delete(wire) });
    const far = new MemoryWire({ from: to, to: from, way: this.#way(to, from), random: this.#random, splits: this.#splits, over: (wire) => this.#wires.delete(wire) });
    near.peer = far;
    far.peer = near;
    this.#wires.add(near).add(far);
    return [near, far];
  }

  #way(from: string, to: string): Way {
    let way = this.#ways.get(key(from, to));
    if (way === undefined) {
      const { min, max } = this.#latencyMs;
      this.#ways.set(key(from, to), (way = new Way(this.#clock, () => min + this.#random.next() * (max - min))));
    }
    return way;
  }
}

function key(from: string, to: string): string {
  return JSON.stringify([from, to]);
}
