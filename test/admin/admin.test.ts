import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openAdmin } from "../../src/admin/index.ts";
import type { Admin, AdminOptions, EventsBatch, Followed } from "../../src/admin/index.ts";
import { TribuneError } from "../../src/kernel/index.ts";
import type { StoreSession } from "../../src/store/index.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";
import { lead, led, Office } from "./office.ts";

async function next<T>(office: Office, stream: AsyncGenerator<Followed<T>, void, undefined>): Promise<Followed<T>> {
  const { value, done } = await office.ask(stream.next());
  assert.equal(done, false);
  return value;
}

describe("an admin", () => {
  it("shows a group without being a member of it", async () => {
    const world = new World();
    const [a] = (await world.start("a", "b")) as [Node, Node];
    const token = await led(world, a, "scheduler");
    const office = new Office(world);
    const status = await office.ask(office.admin.status());
    assert.deepEqual(status.members.map((member) => member.node), ["a", "b"]);
    assert.deepEqual(status.elections.map((election) => [election.election, election.holder?.node, election.token]), [["coordinator", "a", status.elections[0]?.token], ["scheduler", "a", token]]);
    assert.equal(a.cluster.view.members.length, 2);
    await office.admin.close();
  });

  it("rejects bad options before any I/O", () => {
    assert.throws(() => openAdmin({ store: "nowhere:", group: "g" }), { code: "UNKNOWN_STORE" });
    assert.throws(() => openAdmin({ store: "memory:", group: "a b" }), { code: "INVALID_NAME" });
    assert.throws(() => openAdmin({ store: "memory:", group: "g", timeoutMs: -1, pollMs: 0 }), { code: "INVALID_OPTIONS", message: /timeoutMs.*pollMs/ });
    for (const by of ["", " ", "x".repeat(201)]) assert.throws(() => openAdmin({ store: "memory:", group: "g", by }), { code: "INVALID_OPTIONS", message: /by must be/ });
    assert.throws(() => openAdmin({ store: "memory:", group: "g", self: "a b" }), { code: "INVALID_NAME" });
    assert.throws(() => openAdmin({ store: "memory:", group: "g", timeout: 1 } as unknown as AdminOptions), { code: "INVALID_OPTIONS", message: /did you mean timeoutMs/ });
  });

  it("a group that is not there is GROUP_UNKNOWN", async () => {
    const office = new Office(new World());
    await assert.rejects(office.ask(office.admin.status()), { code: "GROUP_UNKNOWN" });
    await office.admin.close();
  });

  it("connects with the first question, once for several at a time, and anew when the connection was cut", async () => {
    const world = new World();
    await world.start("a");
    const office = new Office(world);
    assert.equal(office.sessions.length, 0);
    await office.ask(Promise.all([office.admin.status(), office.admin.members(), office.admin.elections(), office.admin.events()]));
    assert.equal(office.sessions.length, 1);
    office.cut();
    assert.equal((await office.ask(office.admin.status())).members.length, 1);
    assert.equal(office.sessions.length, 2);
    await office.admin.close();
    assert.equal(office.sessions.at(-1)?.ended.aborted, true);
    assert.equal(office.closed, 0, "a provider that was handed in stays open");
  });

  it("a store that does not answer is reported within the time given", async () => {
    const world = new World();
    await world.start("a");
    const office = new Office(world, { timeoutMs: 100 });
    await office.ask(office.admin.status());
    const session = office.sessions[0] as StoreSession;
    session.readGroup = () => new Promise(() => undefined);
    const before = world.storeClock.monotonicMs();
    await assert.rejects(office.ask(office.admin.status()), { code: "STORE_TIMEOUT" });
    assert.ok(world.storeClock.monotonicMs() - before <= 250);
    await office.admin.close();
  });

  it("a caller that gives up gets ABORTED", async () => {
    const world = new World();
    const office = new Office(world);
    await assert.rejects(office.admin.status({ signal: AbortSignal.abort() }), { code: "ABORTED" });
    await office.admin.close();
    await assert.rejects(office.admin.status(), { code: "ABORTED" });
  });
});

describe("events", () => {
  it("are the newest without a cursor, and what follows with one", async () => {
    const world = new World();
    const [a] = (await world.start("a", "b")) as [Node, Node];
    await led(world, a, "scheduler");
    const office = new Office(world);
    const all = await office.ask(office.admin.events());
    assert.deepEqual(all.events.map((event) => event.sequence), all.events.map((_, index) => index + 1));
    const last = await office.ask(office.admin.events({ limit: 2 }));
    assert.deepEqual([last.events.map((event) => event.sequence), last.skipped, last.cursor], [[all.newest - 1, all.newest], 0, all.newest]);
    const rest = await office.ask(office.admin.events({ after: 1, limit: 2 }));
    assert.deepEqual([rest.events.map((event) => event.sequence), rest.cursor], [[2, 3], 3]);
    assert.equal((await office.ask(office.admin.events({ after: all.newest }))).cursor, all.newest);
    await office.admin.close();
  });

  it("a cursor that the store has gone back behind is CURSOR_EXPIRED", async () => {
    const world = new World();
    await world.start("a");
    const office = new Office(world);
    await assert.rejects(office.ask(office.admin.events({ after: 1_000 })), { code: "CURSOR_EXPIRED" });
    await office.admin.close();
  });

  it("are followed one by one, over a cut connection too, until the signal aborts", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const office = new Office(world);
    const controller = new AbortController();
    const stream = office.admin.followEvents({ after: 0, signal: controller.signal });
    const seen: number[] = [];
    const take = async () => {
      const followed = await next<EventsBatch>(office, stream);
      assert.equal(followed.kind, "news");
      if (followed.kind === "news") seen.push(...followed.news.events.map((event) => event.sequence));
    };
    await take();
    office.cut();
    const waiting = take();
    lead(a, "scheduler");
    await office.ask(waiting);
    assert.deepEqual(seen, seen.map((_, index) => index + 1));
    const end = stream.next();
    controller.abort();
    assert.equal((await office.ask(end)).done, true);
    await office.admin.close();
  });

  it("trouble while following is a value, and it goes on", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const office = new Office(world);
    const stream = office.admin.followEvents();
    const first = next<EventsBatch>(office, stream);
    await world.until(() => office.sessions.length === 1);
    const session = office.sessions[0] as StoreSession;
    const read = session.readEvents.bind(session);
    session.readEvents = () => Promise.reject(new TribuneError("STORE_BUSY", "busy"));
    const trouble = await first;
    assert.equal(trouble.kind === "trouble" && trouble.error.code, "STORE_BUSY");
    session.readEvents = read;
    const waiting = next<EventsBatch>(office, stream);
    lead(a, "scheduler");
    const news = await waiting;
    assert.ok(news.kind === "news" && news.news.events.some((event) => event.type === "term-began" && event.subject === "scheduler"));
    await office.admin.close();
    assert.equal((await office.ask(stream.next())).done, true);
  });

  it("after a failover that lost events the follower is told, and goes on from the newest", async () => {
    const world = new World();
    await world.start("a");
    const office = new Office(world);
    const stream = office.admin.followEvents({ after: 5_000 });
    const followed = await next<EventsBatch>(office, stream);
    assert.ok(followed.kind === "news" && followed.news.restarted && followed.news.cursor === followed.news.newest);
    await office.admin.close();
  });
});

describe("following the status", () => {
  it("shows it at first, and then when something changed, and not when only time passed", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const office = new Office(world);
    const stream = office.admin.followStatus();
    const first = await next(office, stream);
    assert.ok(first.kind === "news" && first.news.elections.length === 1);
    let second: Followed<unknown> | undefined;
    const waiting = stream.next().then(({ value }) => (second = value as Followed<unknown>));
    await world.pass(5_000);
    assert.equal(second, undefined);
    const token = await led(world, a, "scheduler");
    await office.ask(waiting);
    const news = second as Followed<Awaited<ReturnType<Admin["status"]>>> | undefined;
    assert.ok(news?.kind === "news" && news.news.elections[1]?.token === token);
    await office.admin.close();
  });

  it("with every look it shows ages, too", async () => {
    const world = new World();
    await world.start("a");
    const office = new Office(world);
    const stream = office.admin.followStatus({ every: "look" });
    for (let looks = 0; looks < 3; looks++) assert.equal((await next(office, stream)).kind, "news");
    await office.admin.close();
  });
});

describe("asking to resign", () => {
  it("resolves when the term has ended", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const token = await led(world, a, "scheduler");
    const office = new Office(world);
    const outcome = await office.ask(office.admin.requestResign("scheduler"));
    assert.ok(outcome.outcome === "resigned");
    assert.deepEqual([outcome.token, outcome.node, outcome.reason], [token, "a", "resigned"]);
    await office.admin.close();
  });

  it("names the successor that was waiting", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const token = await led(world, a, "scheduler");
    lead(b, "scheduler");
    const office = new Office(world);
    const outcome = await office.ask(office.admin.requestResign("scheduler"));
    assert.ok(outcome.outcome === "resigned");
    assert.equal(outcome.successor?.node, "b");
    assert.ok(BigInt(outcome.successor?.token ?? 0) > BigInt(token));
    await office.admin.close();
  });

  it("what nobody holds, and what does not exist, are values", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const campaign = world.resolve(a.cluster.election("scheduler").campaign());
    await world.resolve((await campaign).resign());
    const office = new Office(world);
    assert.equal((await office.ask(office.admin.requestResign("scheduler"))).outcome, "not-held");
    assert.deepEqual(await office.ask(office.admin.requestResign("other")), { outcome: "unknown", election: "other", known: ["coordinator", "scheduler"] });
    await assert.rejects(office.ask(office.admin.requestResign("a b")), { code: "INVALID_NAME" });
    await office.admin.close();
  });

  it("a term that ends before it could be asked is superseded", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const token = await led(world, a, "scheduler");
    const office = new Office(world);
    await office.ask(office.admin.status());
    (office.sessions[0] as StoreSession).requestResign = () => Promise.resolve(false);
    assert.deepEqual(await office.ask(office.admin.requestResign("scheduler")), { outcome: "superseded", election: "scheduler", token, node: "a" });
    await office.admin.close();
  });

  it("a holder that does not stop is named when the time is over; a caller may give up before", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const term = await world.resolve(a.cluster.election("scheduler").campaign()); // its owner resigns it, nobody else
    const office = new Office(world);
    const outcome = await office.ask(office.admin.requestResign("scheduler", { timeoutMs: 500 }));
    assert.ok(outcome.outcome === "still-held" && outcome.node === "a" && outcome.waitedMs >= 500);
    const controller = new AbortController();
    const given = office.ask(office.admin.requestResign("scheduler", { signal: controller.signal }));
    await world.pass(50);
    controller.abort();
    await assert.rejects(given, { code: "ABORTED" });
    await world.resolve(term.resign());
    await office.admin.close();
  });
});

describe("the schema", () => {
  it("is asked about, brought up to date and printed", async () => {
    const office = new Office(new World());
    const { schema } = office.admin;
    assert.equal((await office.ask(schema.installed())).version, schema.needed);
    assert.deepEqual(await office.ask(schema.migrate()), { from: schema.needed, to: schema.needed });
    assert.deepEqual(schema.print(0), []);
    await office.admin.close();
  });
});
