/** The channel, and the frames of the transport under it, at their defaults. */
import { once } from "node:events";
import { Channel } from "../../src/channel/index.ts";
import type { SendOptions, Targets } from "../../src/channel/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { decodeRing, HeldKeys, tcp } from "../../src/transport/index.ts";
import type { Endpoint, KnownPeer, Link, TcpOptions } from "../../src/transport/index.ts";
import { answer, Answers, KIND, linesOf, messageOf } from "./lines.ts";
import type { Line, Lines } from "./lines.ts";
import type { Orders } from "./protocol.ts";

const WAIT = { deadlineMs: 30_000 };

/** As long as anything here may take: what is measured is not what is given up. */
const DEADLINE_MS = 60_000;

export async function listenMember(orders: Orders, received: () => void): Promise<string> {
  if (!orders.carrier.startsWith("channel")) return (await openEndpoint(orders, (bytes, line) => answer(bytes, line, received))).address;
  const channel = await openChannel(orders);
  channel.listen("bench", ({ payload, from }) => {
    if (payload[0] === KIND.one) received();
    else if (payload[0] === KIND.echo) void channel.send("bench", payload, { to: [from.node], mode: "async", deadlineMs: DEADLINE_MS });
  });
  channel.respond("bench", ({ payload }) => payload);
  return channel.address;
}

export function dialMembers(orders: Orders): Promise<Lines> {
  return orders.carrier.startsWith("channel") ? dialByChannel(orders) : dialByTransport(orders);
}

async function dialByChannel(orders: Orders): Promise<Lines> {
  const channel = await openChannel(orders);
  const answers = new Answers();
  channel.listen("bench", () => answers.came());
  const arrivals = new AbortController();
  channel.on("reachability", () => arrivals.signal.dispatchEvent(new Event("change")));
  while (orders.targets.some(({ name }) => channel.reachability(name)?.connected !== true)) await once(arrivals.signal, "change");
  const message = { one: messageOf(orders, KIND.one), acknowledge: messageOf(orders, KIND.acknowledge), echo: messageOf(orders, KIND.echo) };
  const first: Targets = ["receiver-1"];
  const async = (to: Targets): SendOptions => ({ to, mode: "async", deadlineMs: DEADLINE_MS });
  const [toAll, toFirst] = [async("others"), async(first)];
  const done = ({ ok }: { readonly ok: boolean }) => {
    if (!ok) throw new Error("not everybody has handled it");
  };
  return {
    broadcast: () => channel.send("bench", message.one, toAll), // what it says is waited for each time, as its users would
    operations: {
      echo: () => {
        void channel.send("bench", message.echo, toFirst);
        return answers.next();
      },
      acknowledged: () => channel.send("bench", message.acknowledge, { mode: "ack", deadlineMs: DEADLINE_MS }).then(done),
      request: () => channel.request("bench", message.echo, { to: first, deadlineMs: DEADLINE_MS }).then(done),
      requestAll: () => channel.request("bench", message.echo, { to: "others", policy: "all", deadlineMs: DEADLINE_MS }).then(done),
    },
  };
}

async function openChannel(orders: Orders): Promise<Channel> {
  const channel = new Channel({ group: "bench", node: orders.name, incarnation: orders.name, transport: tcp({ host: "127.0.0.1", security: security(orders) }), keys: new HeldKeys(decodeRing(orders.ring)), clock: systemClock, random: systemRandom, logger: silentLogger });
  await channel.start(WAIT);
  const peers = orders.role === "sender" ? orders.targets : [{ name: "sender", address: undefined }];
  channel.setView({ version: 1, members: [...peers, { name: orders.name, address: channel.address }].map(({ name, address }) => ({ node: name, incarnation: name, address })), coordinator: null });
  return channel;
}

function security({ carrier }: Orders): NonNullable<TcpOptions["security"]> {
  return carrier.endsWith("keys") ? "keys" : "plaintext";
}

async function dialByTransport(orders: Orders): Promise<Lines> {
  const up: Array<() => void> = [];
  const answers = new Map<string, Answers>(orders.targets.map(({ name }) => [name, new Answers()]));
  const endpoint = await openEndpoint(orders, (_bytes, _line, from) => answers.get(from)?.came(), () => up.splice(0).forEach((wake) => wake()));
  const links = orders.targets.map(({ name }) => endpoint.link({ node: name, incarnation: name }));
  while (links.some((link) => link.state !== "up")) await new Promise<void>((resolve) => up.push(resolve));
  return linesOf(orders, links.map((link) => Object.assign(new LinkLine(link), { answers: answers.get(link.peer.node) as Answers })));
}

class LinkLine implements Line {
  readonly #link: Link;
  constructor(link: Link) {
    this.#link = link;
  }
  send(bytes: Uint8Array): Promise<unknown> | undefined {
    const outcome = this.#link.send(1, bytes);
    if (outcome === "down") throw new Error("the connection ended");
    return outcome === "queued" ? undefined : this.#link.writable(1, WAIT).then(() => this.send(bytes));
  }
}

function openEndpoint(orders: Orders, received: (bytes: Uint8Array, line: Line, from: string) => void, up: () => void = () => {}): Promise<Endpoint> {
  const peers = new Map<string, KnownPeer>(orders.targets.map(({ name, address }) => [name, { node: name, incarnation: name, address }]));
  const lines = new WeakMap<Link, Line>();
  return tcp({ host: "127.0.0.1", security: security(orders) }).open({
    group: "bench",
    node: orders.name,
    incarnation: orders.name,
    known: (incarnation) => peers.get(incarnation) ?? { node: incarnation, incarnation },
    keys: new HeldKeys(decodeRing(orders.ring)),
    handlers: {
      up: ({ link }) => {
        lines.set(link, new LinkLine(link));
        up();
      },
      down: ({ reason }) => {
        if (reason === "protocol") throw new Error("the protocol was broken");
      },
      unreachable() {},
      frame: (frame) => {
        received(frame.bytes, lines.get(frame.link) as Line, frame.link.peer.node);
        frame.link.consumed(frame);
      },
    },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...WAIT,
  });
}
