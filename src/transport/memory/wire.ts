import type { Clock, Random } from "../../kernel/index.ts";
import { NO_HANDLERS } from "../wire.ts";
import type { Wire, WireHandlers } from "../wire.ts";

/** What may be on its way on one wire before the writer is to wait: as much as a socket's buffers hold. */
const CAPACITY_BYTES = 256 * 1024;

/** The way from one node to another, which all connections between them share. Things arrive in the order in which they set out. */
export class Way {
  /** Added to each journey. */
  extraMs = 0;
  /** That arrived. */
  bytes = 0;
  readonly #clock: Clock;
  readonly #latencyMs: () => number;
  #lastDueMs = 0;
  #isCut = false;
  readonly #stuck: Array<() => void> = [];

  constructor(clock: Clock, latencyMs: () => number) {
    this.#clock = clock;
    this.#latencyMs = latencyMs;
  }

  /** Calls `arrive` when the way was travelled. */
  travel(arrive: () => void): void {
    const nowMs = this.#clock.monotonicMs();
    this.#lastDueMs = Math.max(this.#lastDueMs, nowMs + this.#latencyMs() + this.extraMs);
    this.#clock.setTimer(this.#lastDueMs - nowMs, () => {
      if (this.#isCut || this.#stuck.length > 0) this.#stuck.push(arrive);
      else arrive();
    });
  }

  cut(): void {
    this.#isCut = true;
  }

  heal(): void {
    this.extraMs = 0;
    if (!this.#isCut) return;
    this.#isCut = false;
    this.#clock.setTimer(0, () => this.#release());
  }

  #release(): void {
    while (!this.#isCut && this.#stuck.length > 0) this.#stuck.shift()?.();
  }
}

/** What a wire is made of. */
export interface MemoryWireParts {
  readonly from: string;
  readonly to: string;
  readonly way: Way;
  readonly random: Random;
  readonly splits: boolean;
  over(wire: MemoryWire): void;
}

/** One end of a connection in memory. */
export class MemoryWire implements Wire {
  readonly from: string;
  readonly to: string;
  readonly security = { protocol: "memory", provedBy: null, version: 0 };
  handlers: WireHandlers = NO_HANDLERS;
  /** The other end. */
  peer: MemoryWire | undefined;
  readonly #way: Way;
  readonly #random: Random;
  readonly #splits: boolean;
  readonly #over: (wire: MemoryWire) => void;
  /** On their way to the peer. */
  #travelling = 0;
  #blocked = false;
  /** Set when bytes of before are not to arrive any more. */
  #journey = 0;
  #open = true;
  #saidEnd = false;

  constructor(parts: MemoryWireParts) {
    this.from = parts.from;
    this.to = parts.to;
    this.#way = parts.way;
    this.#random = parts.random;
    this.#splits = parts.splits;
    this.#over = (wire) => parts.over(wire);
  }

  get remote(): string {
    return this.to;
  }

  write(buffer: Uint8Array, release?: () => void): boolean {
    if (!this.#open || this.#saidEnd) return true;
    const bytes = new Uint8Array(buffer);
    release?.();
    this.#travelling += bytes.length;
    const journey = this.#journey;
    this.#way.travel(() => {
      this.#travelling -= bytes.length;
      if (journey !== this.#journey) return; // lost: what carries nothing drains no more either
      this.#way.bytes += bytes.length;
      this.peer?.receive(bytes);
      if (!this.#blocked || this.#travelling > CAPACITY_BYTES / 2) return;
      this.#blocked = false;
      if (this.#open) this.handlers.drained();
    });
    if (this.#travelling > CAPACITY_BYTES) this.#blocked = true;
    return !this.#blocked;
  }

  end(): void {
    if (!this.#open || this.#saidEnd) return;
    this.#saidEnd = true;
    const journey = this.#journey;
    this.#way.travel(() => journey === this.#journey && this.peer?.hearEnd("ended", "the peer ended it"));
  }

  destroy(): void {
    if (!this.#open) return;
    this.#leave();
    const [journey, peer] = [this.#journey, this.peer];
    this.#way.travel(() => journey === this.#journey && peer?.hearEnd("reset", "the peer is gone"));
  }

  /** The network ends the connection, for both ends. */
  breakBy(detail: string, onTheirWay: "lost" | "arrive"): void {
    for (const end of [this, this.peer]) {
      if (end === undefined) continue;
      if (onTheirWay === "lost") end.#journey++;
    }
    for (const end of [this, this.peer]) {
      if (end === undefined) continue;
      // From the event loop, as a socket would say it; behind what still arrives.
      if (onTheirWay === "arrive") end.peer?.afterWhatTravels(() => end.hearEnd("reset", detail));
      else end.#way.travel(() => end.hearEnd("reset", detail));
    }
  }

  /** The network ends the connection, and tells this end alone. */
  breakHere(detail: string): void {
    this.#journey++;
    if (this.peer !== undefined) this.peer.#journey++;
    this.peer = undefined;
    this.#way.travel(() => this.hearEnd("reset", detail));
  }

  /** Nobody hears of this end any more. */
  vanish(): void {
    this.#journey++;
    this.#leave();
  }

  afterWhatTravels(callback: () => void): void {
    this.#saidEnd = true;
    this.#way.travel(callback);
  }

  receive(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && this.#open) {
      const length = this.#splits && this.#random.next() < 0.5 ? 1 + Math.floor(this.#random.next() * (bytes.length - at)) : bytes.length - at;
      this.handlers.data(bytes.subarray(at, at + length));
      at += length;
    }
  }

  hearEnd(reason: "ended" | "reset", detail: string): void {
    if (!this.#open) return;
    this.#leave();
    this.handlers.closed(reason, detail);
  }

  #leave(): void {
    this.#open = false;
    this.#over(this);
  }
}
