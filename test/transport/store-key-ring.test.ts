import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isTribuneError, silentLogger, systemRandom, TribuneError } from "../../src/kernel/index.ts";
import type { LogFields, Logger } from "../../src/kernel/index.ts";
import type { StoreSession } from "../../src/store/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { MemoryProvider } from "../../src/store/memory/index.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { KEY_RING_DOCUMENT, StoreKeyRing } from "../../src/transport/index.ts";
import type { KeyRingStore } from "../../src/transport/index.ts";

const POLL_MS = 1_000;
const CALL = { deadlineMs: 60_000 };

/** A group in a store, members that have their keys from there, and the time that passes for all. */
class Group {
  readonly clock = new VirtualClock();
  readonly store: MemoryProvider = memory({ clock: this.clock });
  readonly lines: { readonly fields: LogFields; readonly message: string }[] = [];
  readonly logger: Logger = { ...silentLogger, warn: (fields, message) => void this.lines.push({ fields, message }) };

  async session(): Promise<StoreSession> {
    const session = await this.store.open({ group: "g", node: "n", clock: this.clock, random: systemRandom, logger: silentLogger, deadlineMs: 60_000, statementLimitMs: 60_000, createSchema: true });
    await session.join({ incarnation: systemRandom.id(), node: systemRandom.id(), leaseMs: 60_000, metadata: "{}", settings: "" }, CALL);
    return session;
  }

  ring(session: StoreSession, over: Partial<KeyRingStore> & { readonly patienceMs?: number } = {}): StoreKeyRing {
    const { patienceMs, ...alteredStore } = over;
    const store: KeyRingStore = {
      read: () => session.readDocument({ name: KEY_RING_DOCUMENT }, CALL),
      write: (input) => session.writeDocument({ name: KEY_RING_DOCUMENT, ...input }, CALL),
      onHint: (listener) => session.onHint((hint) => (hint.kind === "document" && hint.name === KEY_RING_DOCUMENT ? listener() : undefined)),
      ...alteredStore,
    };
    return new StoreKeyRing({ store, clock: this.clock, random: systemRandom, logger: this.logger, pollMs: POLL_MS, ...(patienceMs === undefined ? {} : { patienceMs }) });
  }

  /** A member's ring that has been started. */
  async member(over: Partial<KeyRingStore> = {}): Promise<StoreKeyRing> {
    const ring = this.ring(await this.session(), over);
    await this.during(ring.start());
    return ring;
  }

  /** Lets the time pass that `work` takes. */
  async during<T>(work: Promise<T>): Promise<T> {
    const state = { isOver: false };
    const end = () => void (state.isOver = true);
    work.then(end, end);
    for (let n = 0; n < 10_000 && !state.isOver; n++) await this.clock.advance(10);
    return await work;
  }
}

const DEAF: Partial<KeyRingStore> = { onHint: () => () => undefined };
const used = (ring: StoreKeyRing) => ring.current()?.id ?? "none";
const accepted = (ring: StoreKeyRing) => ring.describe().filter(({ state }) => state !== "retired").map(({ id }) => id);

describe("the ring of keys in a store", () => {
  it("is made by the first member; all others, also those that start in the same moment, have the same key", async () => {
    const group = new Group();
    const rings = await Promise.all(Array.from({ length: 6 }, async () => group.ring(await group.session())));
    await group.during(Promise.all(rings.map((ring) => ring.start())));
    const late = await group.member();
    const [first, ...others] = [...rings, late];
    assert.ok(first?.current()?.secret.length === 32);
    for (const other of others) assert.deepEqual(other.current(), first.current());
  });

  it("is rotated in three steps that all members see when hinted", async () => {
    const group = new Group();
    const [a, b] = [await group.member(), await group.member()];
    const former = used(a);
    const id = await group.during(a.introduce());
    await group.clock.advance(0);
    assert.deepEqual([used(b), b.find(id)?.id], [former, id]);
    await group.during(b.activate(id));
    await group.clock.advance(0);
    assert.deepEqual([used(a), used(b), a.find(former)?.id], [id, id, former]);
    await group.during(a.retire(former));
    await group.clock.advance(0);
    assert.deepEqual([b.find(former), used(b), used(await group.member())], [undefined, id, id]);
  });

  it("is seen with the next poll where no hint comes, and each change is told once", async () => {
    const group = new Group();
    const [a, b] = [await group.member(), await group.member(DEAF)];
    let changes = 0;
    b.onChange(() => changes++);
    await group.clock.advance(5 * POLL_MS);
    assert.equal(changes, 0, "nothing changed");
    const id = await group.during(a.introduce());
    assert.equal(b.find(id), undefined);
    await group.clock.advance(POLL_MS);
    assert.equal(b.find(id)?.id, id);
    await group.clock.advance(5 * POLL_MS);
    assert.equal(changes, 1);
  });

  it("takes steps of two members at once, one after the other", async () => {
    const group = new Group();
    const [a, b] = [await group.member(DEAF), await group.member(DEAF)];
    const ids = await group.during(Promise.all([a.introduce(), b.introduce()]));
    await group.clock.advance(POLL_MS);
    for (const ring of [a, b]) assert.deepEqual(accepted(ring), accepted(a));
    assert.deepEqual(new Set(accepted(a)), new Set([used(a), ...ids]));
    assert.equal(new Set(ids).size, 2);
  });

  it("refuses a step that the stored ring does not allow, whatever this member has seen, and changes nothing", async () => {
    const group = new Group();
    const [a, b] = [await group.member(), await group.member(DEAF)];
    const former = used(a);
    const id = await group.during(a.introduce());
    await group.during(a.activate(id));
    await assert.rejects(group.during(b.retire(id)), (error) => isTribuneError(error, "KEYS_MISSING"));
    assert.equal(used(b), id, "it has read the ring for that");
    assert.deepEqual(accepted(a), [former, id]);
  });

  it("keeps the keys that were read while the store is away, says so once in a while, and goes on afterwards", async () => {
    const group = new Group();
    let away = false;
    const session = await group.session();
    const a = await group.member();
    const b = group.ring(session, {
      ...DEAF,
      read: () => (away ? Promise.reject(new TribuneError("STORE_UNREACHABLE", "away")) : session.readDocument({ name: KEY_RING_DOCUMENT }, CALL)),
    });
    await group.during(b.start());
    away = true;
    const id = await group.during(a.introduce());
    await group.clock.advance(5 * POLL_MS);
    assert.deepEqual([used(b), b.find(id)], [used(a), undefined]);
    assert.deepEqual(group.lines.map(({ fields }) => fields["code"]), ["STORE_UNREACHABLE"]);
    away = false;
    await group.clock.advance(POLL_MS);
    assert.equal(b.find(id)?.id, id);
  });

  it("has taken a step that was written, also where it cannot be read at once", async () => {
    const group = new Group();
    const session = await group.session();
    let fails = false;
    const a = group.ring(session, {
      ...DEAF,
      read: () => (fails ? Promise.reject(new TribuneError("STORE_UNREACHABLE", "away")) : session.readDocument({ name: KEY_RING_DOCUMENT }, CALL)),
      write: async (input) => {
        const done = await session.writeDocument({ name: KEY_RING_DOCUMENT, ...input }, CALL);
        fails = a.current() !== undefined;
        return done;
      },
    });
    await group.during(a.start());
    const id = await group.during(a.introduce());
    assert.equal(a.find(id), undefined);
    fails = false;
    await group.clock.advance(POLL_MS);
    assert.equal(a.find(id)?.id, id);
    assert.equal(accepted(a).length, 2);
  });

  it("is put back as it was where the store has lost it", async () => {
    const group = new Group();
    const [a, b] = [await group.member(DEAF), await group.member(DEAF)];
    const key = a.current();
    const session = await group.session();
    const { version } = (await session.readDocument({ name: KEY_RING_DOCUMENT }, CALL)) ?? assert.fail("there is no ring");
    assert.equal(await session.removeDocument({ name: KEY_RING_DOCUMENT, expectedVersion: version }, CALL), true);
    await group.clock.advance(POLL_MS);
    for (const ring of [a, b, await group.member()]) assert.deepEqual(ring.current(), key);
  });

  it("follows a store that went back to an older ring", async () => {
    const group = new Group();
    const a = await group.member(DEAF);
    const former = group.store.engine.snapshot();
    const key = used(a);
    const id = await group.during(a.introduce());
    await group.during(a.activate(id));
    group.store.engine.restore(former);
    await group.clock.advance(POLL_MS);
    assert.deepEqual([used(a), a.find(id)], [key, undefined]);
  });

  it("keeps what it has where somebody wrote something else into the document, and does not start on it; no line has the text", async () => {
    const group = new Group();
    const a = await group.member();
    const session = await group.session();
    const { version } = (await session.readDocument({ name: KEY_RING_DOCUMENT }, CALL)) ?? assert.fail("there is no ring");
    await session.writeDocument({ name: KEY_RING_DOCUMENT, expectedVersion: version, text: "s3cr3t nonsense" }, CALL);
    const key = used(a);
    await group.clock.advance(2 * POLL_MS);
    assert.equal(used(a), key);
    assert.deepEqual(group.lines.map(({ fields }) => fields["code"]), ["KEYS_MISSING"]);
    await assert.rejects(group.member(), (error) => isTribuneError(error, "KEYS_MISSING") && !error.message.includes("s3cr3t"));
    assert.ok(!JSON.stringify(group.lines).includes("s3cr3t"));
  });

  it("waits for a store that takes no ring yet, at most its patience", async () => {
    const group = new Group();
    const session = await group.session();
    let isOpen = false;
    const write: KeyRingStore["write"] = async (input) => isOpen && (await session.writeDocument({ name: KEY_RING_DOCUMENT, ...input }, CALL));
    const impatient = group.ring(session, { write, patienceMs: 500 });
    await assert.rejects(group.during(impatient.start()), (error) => isTribuneError(error, "KEYS_MISSING"));
    assert.equal(impatient.current(), undefined);
    const patient = group.ring(session, { write, patienceMs: 5_000 });
    const starting = patient.start();
    await group.clock.advance(2_000);
    isOpen = true;
    await group.during(starting);
    assert.notEqual(patient.current(), undefined);
    await group.during(impatient.start());
    assert.deepEqual(impatient.current(), patient.current(), "a start that failed may be repeated");
  });

  it("can be called off while it starts, and leaves no timer behind when it is stopped, however often", async () => {
    const group = new Group();
    const session = await group.session();
    const off = new AbortController();
    const starting = group.ring(session, { write: () => Promise.resolve(false) }).start(off.signal);
    await group.clock.advance(100);
    off.abort(new Error("enough"));
    await assert.rejects(group.during(starting), (error) => isTribuneError(error, "ABORTED"));
    let reads = 0;
    const ring = group.ring(session, { read: () => (reads++, session.readDocument({ name: KEY_RING_DOCUMENT }, CALL)) });
    await group.during(ring.start());
    ring.stop();
    ring.stop();
    const before = reads;
    const key = used(ring);
    await session.removeDocument({ name: KEY_RING_DOCUMENT, expectedVersion: 1 }, CALL); // nothing but a hint would tell, and nobody listens
    await group.clock.advance(10 * POLL_MS);
    assert.deepEqual([reads, used(ring)], [before, key]);
    const never = group.ring(session);
    never.stop();
    await group.during(never.start());
    assert.equal(never.current(), undefined);
    assert.equal(await session.readDocument({ name: KEY_RING_DOCUMENT }, CALL), null, "nor did it make one");
  });

  it("shows no secret when it is printed", async () => {
    const ring = await new Group().member();
    const secret = Buffer.from(ring.current()?.secret ?? []).toString("base64url");
    assert.ok(secret.length > 40);
    assert.ok(!JSON.stringify([ring, ring.describe()]).includes(secret));
    assert.ok(JSON.stringify(ring).includes(used(ring)));
  });
});
