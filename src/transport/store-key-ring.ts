import { sleep, toTribuneError, TribuneError } from "../kernel/index.ts";
import type { Clock, Logger, Random, Timer } from "../kernel/index.ts";
import { activateKey, decodeRing, encodeRing, HeldKeys, introduceKey, newRing, retireKey } from "./key-ring.ts";
import type { KeyRecord, RingDocument } from "./key-ring.ts";
import type { KeyRing, TransportKey } from "./keys.ts";
import { RareLines } from "./rare-lines.ts";

/** Where the ring is kept: one document of a store, {@link KEY_RING_DOCUMENT} by name. Each call ends by itself, in time. */
export interface KeyRingStore {
  read(): Promise<{ readonly version: number; readonly text: string } | null>;
  /** Writes where the document has that version, 0 for none; answers whether it did. */
  write(input: { readonly expectedVersion: number; readonly text: string }): Promise<boolean>;
  /** Calls `listener` when the document may have changed. Only saves time. The returned function removes it. */
  onHint?(listener: () => void): () => void;
}

/** What a ring in a store goes by. */
export interface StoreKeyRingOptions {
  readonly store: KeyRingStore;
  readonly clock: Clock;
  /** The operating system's: keys are made with it. */
  readonly random: Random;
  readonly logger: Logger;
  /** Between two readings, in milliseconds. A beat is a good time: sooner costs the store, later makes each step of a rotation wait. */
  readonly pollMs: number;
  /** How long `start` tries to get a ring, in milliseconds. Default 10 s. */
  readonly patienceMs?: number;
}

/** A key as people may see it: everything but the secret. */
export type KeyDescription = Omit<KeyRecord, "secret">;

const PATIENCE_MS = 10_000;

/** Between two attempts while the store takes no ring: it has another epoch, which the next beat adopts, or somebody else is faster. */
const BETWEEN_ATTEMPTS_MS = 50;

/** How often a step is tried on a ring that others change meanwhile. */
const ATTEMPTS = 10;

/**
 * The group's keys, kept up to date from a store: the first member makes the ring, everybody reads it at the start, when hinted, and every `pollMs`. What was read last stands while the store
 * is away. Where the ring is gone, it is put back as it was read last, so that members who are there and members who come have the same keys.
 *
 *     const keys = new StoreKeyRing({ store, clock, random, logger, pollMs });
 *     await keys.start();
 *     const id = await keys.introduce();   // then wait until everybody has read it: a few times pollMs
 *     await keys.activate(id);             // again
 *     await keys.retire(formerId);
 */
export class StoreKeyRing implements KeyRing {
  readonly #options: StoreKeyRingOptions;
  readonly #held = new HeldKeys();
  readonly #lines: RareLines;
  readonly #stop = new AbortController();
  #known: { readonly version: number; readonly ring: RingDocument } | undefined;
  /** Readings and writings take turns, so that no answer overtakes a later one. */
  #turn: Promise<unknown> = Promise.resolve();
  #refreshing: Promise<void> | undefined;
  #isFollowing = false;
  #timer: Timer | undefined;
  #stopHints: (() => void) | undefined;

  constructor(options: StoreKeyRingOptions) {
    this.#options = options;
    this.#lines = new RareLines(options.clock, options.logger);
  }

  current(): TransportKey | undefined {
    return this.#held.current();
  }

  find(id: string): TransportKey | undefined {
    return this.#held.find(id);
  }

  onChange(listener: () => void): () => void {
    return this.#held.onChange(listener);
  }

  /**
   * Reads the ring, or makes the first one, and follows it from now on. Rejects with what the store rejects with, with `KEYS_MISSING` if it holds something else or takes no ring within `patienceMs`,
   * with `ABORTED` when `signal` aborts; then it may be called again. Once stopped it does nothing.
   */
  async start(signal?: AbortSignal): Promise<void> {
    const { clock, patienceMs = PATIENCE_MS } = this.#options;
    const over = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    const endMs = clock.monotonicMs() + patienceMs;
    while (!over.aborted && !(await this.#inTurn(() => this.#load()))) {
      if (clock.monotonicMs() >= endMs) throw keysMissing(`the store took no ring of keys within ${patienceMs} ms`, "see whether this node can write to the store");
      await sleep(clock, BETWEEN_ATTEMPTS_MS, over);
    }
    if (signal?.aborted === true) throw new TribuneError("ABORTED", "reading the group's keys was called off", { about: "keys", cause: signal.reason });
    this.#follow();
  }

  /** Ends the following; the keys stay as they are. May be called twice, and before `start`. */
  stop(): void {
    this.#stop.abort();
    this.#timer?.cancel();
    this.#stopHints?.();
  }

  /** The keys that the ring had when it was read last, the oldest first. */
  describe(): readonly KeyDescription[] {
    return (this.#known?.ring.keys ?? []).map(({ id, createdAtMs, state }) => ({ id, createdAtMs, state }));
  }

  /**
   * Adds a key that is accepted from others and not used yet; answers its id. Rejects with what the store rejects with: then it may have been added all the same, which `refresh` and `describe` tell. Throws `KEYS_MISSING` if there are too many, `STORE_BUSY` if others change the ring again and again.
   */
  async introduce(): Promise<string> {
    const { random, clock } = this.#options;
    const ring = await this.#change((before) => introduceKey(before, random, clock.wallMs()));
    return ring.keys.at(-1)?.id ?? "";
  }

  /** From now on members dial with this key, as soon as each has read the ring. Throws `KEYS_MISSING` if there is no such key or it is retired. */
  async activate(id: string): Promise<void> {
    await this.#change((before) => activateKey(before, id));
  }

  /** From now on this key is refused. Throws `KEYS_MISSING` if it is in use, or there is none. */
  async retire(id: string): Promise<void> {
    await this.#change((before) => retireKey(before, id));
  }

  /** Reads the ring now; resolves when that is done, also if it failed, which the log tells. */
  refresh(): Promise<void> {
    // One that waits for its turn will see whatever this one would.
    this.#refreshing ??= this.#inTurn(async () => {
      this.#refreshing = undefined;
      if (this.#stop.signal.aborted) return;
      try {
        if (!(await this.#load())) throw keysMissing("the group's keys are gone from the store, and it does not take them back", "nothing by hand: it is tried again");
      } catch (error) {
        const { code, message } = toTribuneError(error, "STORE_FAILED", "reading the group's keys failed");
        this.#lines.say(code, "warn", { code }, `the group's keys could not be read, those read before stand: ${message}`);
      }
    });
    return this.#refreshing;
  }

  /** Secrets are not printed. */
  toJSON(): { readonly keys: readonly KeyDescription[] } {
    return { keys: this.describe() };
  }

  #follow(): void {
    if (this.#isFollowing || this.#stop.signal.aborted) return;
    this.#isFollowing = true;
    this.#stopHints = this.#options.store.onHint?.(() => void this.refresh());
    this.#poll();
  }

  #poll(): void {
    const { clock, pollMs } = this.#options;
    this.#timer = clock.setTimer(pollMs, () => {
      void this.refresh().then(() => {
        if (!this.#stop.signal.aborted) this.#poll();
      });
    });
  }

  /** Takes in what the store has. Where there is nothing: writes what was known last, or a first ring, and reads what came of it. Answers whether there was a ring. */
  async #load(): Promise<boolean> {
    const { store, random, clock } = this.#options;
    if (await this.#read()) return true;
    const ring = this.#known?.ring ?? newRing(random, clock.wallMs());
    await store.write({ expectedVersion: 0, text: encodeRing(ring) });
    return await this.#read();
  }

  /** Also an older version: then the store has lost the newer one, and whoever comes now knows only that. */
  async #read(): Promise<boolean> {
    const found = await this.#options.store.read();
    if (found === null) return false;
    if (found.version !== this.#known?.version) {
      const ring = decodeRing(found.text);
      this.#known = { version: found.version, ring };
      this.#held.replace(ring);
    }
    return true;
  }

  /** One step on the ring as the store has it. A step that is not allowed on that one throws, and nothing is written. */
  async #change(step: (before: RingDocument) => RingDocument): Promise<RingDocument> {
    return await this.#inTurn(async () => {
      const { store, clock } = this.#options;
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        if (this.#stop.signal.aborted) throw new TribuneError("ABORTED", "changing the group's keys was called off", { about: "keys" });
        if (await this.#load()) {
          const { version, ring } = this.#known ?? this.#throwMissing();
          const next = step(ring);
          if (await store.write({ expectedVersion: version, text: encodeRing(next) })) {
            await this.#read().catch(() => undefined); // the step is taken; the next poll reads it
            return next;
          }
        }
        await sleep(clock, BETWEEN_ATTEMPTS_MS, this.#stop.signal);
      }
      throw new TribuneError("STORE_BUSY", "changing the group's keys met others who change them again and again; nothing was written", { about: "keys", next: "try again" });
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  #throwMissing(): never {
    throw keysMissing("the group has no keys yet", "start a member first");
  }
}

function keysMissing(found: string, next: string): TribuneError {
  return new TribuneError("KEYS_MISSING", found, { about: "keys", next });
}
