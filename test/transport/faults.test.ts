import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom, silentLogger } from "../../src/kernel/index.ts";
import type { Random } from "../../src/kernel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";
import type { Endpoint, Frame, KnownPeer, Link, LinkOptions } from "../../src/transport/index.ts";

const OPTIONS: LinkOptions = { windowBytes: 32 * 1024, streamQueueBytes: 32 * 1024, queueBytes: 256 * 1024 };

/** A member in a world on virtual time, and what it was told. */
class Actor {
  readonly node: string;
  readonly incarnation: string;
  readonly history: string[] = [];
  /** By peer: the number of the connection that was told as up. */
  readonly open = new Map<string, number>();
  endpoint!: Endpoint;
  readonly #world: World;
  readonly #late: Frame[] = [];
  readonly #next = new Map<string, number>();
  readonly #expected = new Map<string, number>();
  received = 0;

  constructor(world: World, number: number) {
    this.#world = world;
    this.node = `node-${number}`;
    this.incarnation = world.random.id();
  }

  async start(): Promise<void> {
    const { clock, random, network, view } = this.#world;
    this.endpoint = await network.transport(OPTIONS).open({
      group: "g",
      node: this.node,
      incarnation: this.incarnation,
      known: (incarnation) => view.get(incarnation),
      handlers: {
        up: ({ link, connection }) => {
          assert.equal(this.open.get(link.peer.node), undefined, "the one before has ended");
          this.open.set(link.peer.node, connection);
          this.history.push(`${clock.monotonicMs()} up ${link.peer.node} ${connection}`);
        },
        down: ({ link, connection, reason }) => {
          assert.equal(this.open.get(link.peer.node), connection, "it was up");
          this.open.delete(link.peer.node);
          this.history.push(`${clock.monotonicMs()} down ${link.peer.node} ${connection} ${reason}`);
        },
        unreachable: ({ link, reason }) => void this.history.push(`${clock.monotonicMs()} unreachable ${link.peer.node} ${reason}`),
        frame: (frame) => this.#take(frame),
      },
      clock,
      random,
      logger: silentLogger,
      deadlineMs: 1_000,
    });
    view.set(this.incarnation, { node: this.node, incarnation: this.incarnation, address: this.endpoint.address });
  }

  /** Each frame says which connection of its sender it is for, its stream, and its place there. */
  #take(frame: Frame): void {
    const words = new DataView(frame.bytes.buffer, frame.bytes.byteOffset, frame.bytes.byteLength);
    const [connection, stream, place, length] = [words.getUint32(0), words.getUint32(4), words.getUint32(8), words.getUint32(12)];
    assert.equal(this.open.get(frame.link.peer.node), frame.connection, "it comes between the beginning and the end of its connection");
    assert.deepEqual([stream, length], [frame.stream, frame.bytes.length]);
    for (let at = 16; at < length; at += 997) assert.equal(frame.bytes[at], place & 255);
    const flow = `${frame.link.peer.node} ${frame.connection} ${connection} ${stream}`;
    assert.equal(place, this.#expected.get(flow) ?? 0, `in order, without a gap, once: ${flow}`);
    this.#expected.set(flow, place + 1);
    this.received++;
    if (this.#world.random.next() < 0.3) this.#late.push(frame);
    else frame.link.consumed(frame);
  }

  consumeLate(): void {
    for (const frame of this.#late.splice(0)) frame.link.consumed(frame);
  }

  /** Sends one frame of any length; answers what became of it. */
  send(peer: Actor, random: Random): string {
    const link = this.link(peer);
    const stream = Math.floor(random.next() * 4) * 80;
    const length = 16 + Math.floor(stream === 0 ? random.next() * 200 : random.next() ** 4 * 100_000);
    const flow = `${peer.node} ${link.connection} ${stream}`;
    const place = this.#next.get(flow) ?? 0;
    const bytes = new Uint8Array(length).fill(place & 255);
    const words = new DataView(bytes.buffer);
    for (const [at, word] of [link.connection, stream, place, length].entries()) words.setUint32(at * 4, word);
    const outcome = link.send(stream, bytes);
    if (outcome === "queued") this.#next.set(flow, place + 1);
    return outcome;
  }

  link(peer: Actor): Link {
    return this.endpoint.link({ node: peer.node, incarnation: peer.incarnation });
  }
}

/** Some members, a network, and a seed for all that happens. */
class World {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly network: MemoryNetwork;
  readonly view = new Map<string, KnownPeer>();
  readonly actors: Actor[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.network = new MemoryNetwork({ clock: this.clock, random: this.random, latencyMs: { min: 0.1, max: 3 } });
  }

  async start(count: number): Promise<void> {
    for (let n = 1; n <= count; n++) {
      const actor = new Actor(this, n);
      await actor.start();
      this.actors.push(actor);
    }
    this.everyPair((a, b) => a.link(b));
  }

  everyPair(act: (a: Actor, b: Actor) => unknown): void {
    for (const a of this.actors) for (const b of this.actors) if (a !== b) act(a, b);
  }

  pair(): [Actor, Actor] {
    const at = Math.floor(this.random.next() * this.actors.length);
    const other = (at + 1 + Math.floor(this.random.next() * (this.actors.length - 1))) % this.actors.length;
    return [this.actors[at] as Actor, this.actors[other] as Actor];
  }

  oneFault(): void {
    const [a, b] = this.pair();
    const draw = this.random.next();
    if (draw < 0.25) this.network.break(a.node, b.node, this.random.next() < 0.5 ? "lost" : "arrive");
    else if (draw < 0.35) this.network.breakFor(a.node, b.node);
    else if (draw < 0.45) this.network.cut(a.node, b.node);
    else if (draw < 0.6) this.network.heal(a.node, b.node);
    else if (draw < 0.7) this.network.delay(a.node, b.node, this.random.next() * 200);
    else if (draw < 0.75) this.network.bar(a.node, b.node);
    else if (draw < 0.95) this.network.unbar(a.node, b.node);
    else a.link(b).close();
  }

  healAll(): void {
    this.everyPair((a, b) => {
      this.network.heal(a.node, b.node);
      this.network.unbar(a.node, b.node);
    });
  }

  end(): void {
    for (const { endpoint } of this.actors) endpoint.destroy(new Error("over"));
  }
}

async function play(seed: number): Promise<{ readonly history: string[]; readonly received: number }> {
  const world = new World(seed);
  try {
    await world.start(3);
    for (let step = 0; step < 120; step++) {
      for (let n = 0; n < 10; n++) {
        const [a, b] = world.pair();
        a.send(b, world.random);
      }
      if (world.random.next() < 0.3) world.oneFault();
      if (world.random.next() < 0.5) for (const actor of world.actors) actor.consumeLate();
      await world.clock.advance(world.random.next() ** 3 * 400);
    }
    world.healAll();
    for (const actor of world.actors) actor.consumeLate();
    world.everyPair((a, b) => a.link(b));
    const isWhole = () => world.actors.every((actor) => actor.open.size === world.actors.length - 1);
    await world.clock.advanceUntil(isWhole, 60_000, "everybody is connected with everybody");
    await world.clock.advance(10_000);
    assert.ok(isWhole(), "and stays so");
    const before = world.actors.map((actor) => actor.received);
    for (let wait = 0; wait < 20; wait++) {
      for (const actor of world.actors) actor.consumeLate();
      await world.clock.advance(50);
    }
    world.everyPair((a, b) => assert.equal(a.send(b, world.random), "queued"));
    for (let wait = 0; wait < 40; wait++) {
      for (const actor of world.actors) actor.consumeLate();
      await world.clock.advance(50);
    }
    for (const [n, actor] of world.actors.entries()) assert.ok(actor.received >= (before[n] ?? 0) + 2, "what is sent then arrives");
    world.everyPair((a, b) => assert.equal(a.link(b).counts.queuedBytes, 0));
    return { history: world.actors.flatMap((actor) => actor.history), received: world.actors.reduce((sum, actor) => sum + actor.received, 0) };
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
  } finally {
    world.end();
  }
}

describe("links under faults, on virtual time", () => {
  it("keep order within a connection, lose nothing but by its end, repeat nothing, and all come back", async () => {
    let [received, connections] = [0, 0];
    const reasons = new Set<string>();
    for (let seed = 1; seed <= 30; seed++) {
      const { history, received: came } = await play(seed);
      received += came;
      for (const line of history) {
        const [, kind = "", , , reason = ""] = line.split(" ");
        if (kind === "up") connections++;
        if (kind === "down") reasons.add(reason);
      }
    }
    assert.ok(received > 10_000 && connections > 300, `${received} frames, ${connections} connections`);
    for (const reason of ["reset", "silent", "closed", "ended", "replaced"]) assert.ok(reasons.has(reason), `${reason} happened: ${[...reasons].join(", ")}`);
  });

  it("are the same for the same seed", async () => {
    const [one, other] = [await play(77), await play(77)];
    assert.deepEqual(one, other);
  });

  it("a connection that only one side saw end is replaced at once when that side dials, long before the other one would have noticed", async () => {
    for (const [first, second] of [[0, 1], [1, 0]] as const) {
      const world = new World(9);
      await world.start(2);
      await world.clock.advance(100);
      const [a, b] = [world.actors[first] as Actor, world.actors[second] as Actor];
      world.network.breakFor(a.node, b.node);
      await world.clock.advance(500);
      assert.match(a.history.join(), /down .* reset,.*up/);
      assert.match(b.history.join(), /down .* replaced,.*up/);
      assert.equal(a.send(b, world.random), "queued");
      await world.clock.advance(50);
      assert.equal(b.received, 1);
      world.end();
    }
  });

  it("a member that vanishes without a word is silent after silenceMs, and is not dialled for ever at full speed", async () => {
    const world = new World(5);
    await world.start(2);
    await world.clock.advance(100);
    const [a, b] = world.actors as [Actor, Actor];
    world.network.vanish(b.node);
    const goneMs = world.clock.monotonicMs();
    await world.clock.advanceUntil(() => a.history.some((line) => line.includes("silent")), 10_000);
    const waitedMs = world.clock.monotonicMs() - goneMs;
    assert.ok(waitedMs >= 4_000 && waitedMs <= 5_100, String(waitedMs));
    await world.clock.advance(60_000);
    const attempts = a.history.filter((line) => line.includes("unreachable")).length;
    assert.ok(attempts >= 5 && attempts <= 40, String(attempts));
    world.end();
  });

  it("a process that stood still does not take its peers for silent", async () => {
    const world = new World(6);
    await world.start(2);
    await world.clock.advance(100);
    const before = world.actors.map((actor) => actor.history.length);
    await world.clock.freeze(30_000);
    await world.clock.advance(5_000);
    assert.deepEqual(world.actors.map((actor) => actor.history.length), before);
    world.end();
  });
});
