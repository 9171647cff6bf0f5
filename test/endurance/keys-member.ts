import type { Channel } from "../../src/channel/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { Presence } from "../../src/presence/index.ts";
import { sqlite } from "../../src/store/sqlite/index.ts";
import { decodeRing, HeldKeys, KEY_RING_DOCUMENT, StoreKeyRing, tcp } from "../../src/transport/index.ts";
import type { KeyRingStore, PeerUnreachable } from "../../src/transport/index.ts";
import type { Deeds } from "./member.ts";
import { Counter, numbered, numberOf } from "./numbered.ts";

const BYTES = 1_024;
const DEADLINE_MS = 600_000;
const POLL_MS = 500;

/** The ring of keys in a store, over the connection that carries the member's beats. */
export interface KeptRing {
  readonly keys: StoreKeyRing;
  readonly store: KeyRingStore;
}

export async function openRing(node: string, file: string): Promise<KeptRing> {
  const [clock, random, logger] = [systemClock, systemRandom, silentLogger];
  const presence = new Presence(
    { group: "endurance", node, timing: { leaseMs: 10_000, beatMs: 500, stopBudgetMs: 500 }, metadata: "{}", settings: "", createSchema: true, evidence: false, observer: false, startTimeoutMs: 60_000 },
    { clock, random, logger, store: sqlite({ path: file }), onListenerError: (error) => console.error(error) },
  );
  await presence.start(new AbortController().signal);
  const store: KeyRingStore = {
    read: () => presence.perform((session, call) => session.readDocument({ name: KEY_RING_DOCUMENT }, call)),
    write: (input) => presence.perform((session, call) => session.writeDocument({ name: KEY_RING_DOCUMENT, ...input }, call)),
    onHint: (listener) => presence.events.on("document", ({ name }) => (name === KEY_RING_DOCUMENT ? listener() : undefined)),
  };
  const keys = new StoreKeyRing({ store, clock, random, logger, pollMs: POLL_MS });
  await keys.start();
  return { keys, store };
}

/** What a sender has sent: numbers 1 to `asynchronous` on one topic, and acknowledged messages on another one. */
export interface SentWithKeys {
  readonly asynchronous: number;
  readonly acknowledged: number;
  /** Acknowledged messages that not everybody has handled. */
  readonly failed: number;
}

/** One sends to all, both ways; one takes the steps of a rotation; all tell what they accept; and somebody with an old key tries to come in. */
export function keysMember(channel: Channel, { keys, store }: KeptRing): Deeds {
  const counter = new Counter();
  let gaps = 0;
  let acknowledged = 0;
  let connections = 0;
  channel.listen("asynchronous", ({ payload }) => counter.came(numberOf(payload)));
  channel.listen("acknowledged", () => void acknowledged++);
  channel.on("gap", () => void gaps++);
  channel.on("reachability", ({ connected }) => void (connected && connections++));
  const sent = { asynchronous: 0, acknowledged: 0, failed: 0 };
  const until = { stopped: true };
  let sending: Promise<unknown> = Promise.resolve();
  const sendOneWay = async () => {
    while (!until.stopped) {
      await channel.send("asynchronous", numbered(++sent.asynchronous, BYTES), { to: ["receiver-1", "receiver-2"], mode: "async", deadlineMs: DEADLINE_MS });
      if (sent.asynchronous % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const sendAcknowledged = async () => {
    const message = new Uint8Array(BYTES);
    while (!until.stopped) {
      const { ok } = await channel.send("acknowledged", message, { to: ["receiver-1", "receiver-2"], mode: "ack", deadlineMs: DEADLINE_MS });
      sent.acknowledged++;
      if (!ok) sent.failed++;
    }
  };
  return {
    send: () => {
      until.stopped = false;
      sending = Promise.all([sendOneWay(), sendAcknowledged(), sendAcknowledged()]);
    },
    stop: async () => {
      until.stopped = true;
      await sending;
      return sent;
    },
    counts: () => ({ ...counter.count, gaps, acknowledged, connections }),
    describe: () => keys.describe(),
    /** With its secrets, as somebody may have kept it. */
    ring: async () => (await store.read())?.text,
    introduce: () => keys.introduce(),
    activate: (id: string) => keys.activate(id),
    retire: (id: string) => keys.retire(id),
    /** Dials a member with keys that somebody has kept; answers how it came out. */
    intrude: ({ as, ring: kept, at }: { readonly as: string; readonly ring: string; readonly at: { readonly name: string; readonly address: string } }) => intrude(as, kept, at),
  };
}

async function intrude(as: string, ring: string, { name, address }: { readonly name: string; readonly address: string }): Promise<string> {
  const outcome = Promise.withResolvers<string>();
  const endpoint = await tcp({ host: "127.0.0.1" }).open({
    group: "endurance",
    node: as,
    incarnation: as,
    known: () => ({ node: name, incarnation: name, address }),
    handlers: { up: () => outcome.resolve("taken"), down() {}, unreachable: ({ reason }: PeerUnreachable) => outcome.resolve(reason), frame() {} },
    keys: new HeldKeys(decodeRing(ring)),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    deadlineMs: 30_000,
  });
  try {
    endpoint.link({ node: name, incarnation: name });
    return await outcome.promise;
  } finally {
    await endpoint.close({ deadlineMs: 1_000 });
  }
}
