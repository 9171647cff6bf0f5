import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TransferProgress } from "../../src/admin/index.ts";
import type { StoreSession } from "../../src/store/index.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";
import { lead, led, Office } from "./office.ts";

/** Until the store knows who contends: candidacies travel with the beats. */
async function contends(world: World, office: Office, election: string, ...nodes: string[]): Promise<void> {
  for (;;) {
    const status = await office.ask(office.admin.status());
    const known = status.elections.find((each) => each.election === election)?.candidates.map((candidate) => candidate.node) ?? [];
    if (nodes.every((node) => known.includes(node))) return;
    await world.pass(100);
  }
}

describe("handing over", () => {
  it("has the other node hold the election, with a greater token, and tells how far it is", async () => {
    const world = new World();
    const [a, b, c] = (await world.start("a", "b", "c")) as [Node, Node, Node];
    const token = await led(world, a, "scheduler");
    for (const node of [b, c]) lead(node, "scheduler");
    const office = new Office(world);
    await contends(world, office, "scheduler", "a", "b", "c");
    const steps: TransferProgress["step"][] = [];
    const outcome = await office.ask(office.admin.transfer("scheduler", "c", { onProgress: ({ step }) => steps.push(step) }));
    assert.deepEqual([outcome.from, outcome.to.node, outcome.reclaimedBy], [{ node: "a", token }, "c", null]);
    assert.ok(BigInt(outcome.to.token) > BigInt(token));
    assert.equal(steps[0], "asked");
    assert.equal(String(c.cluster.election("scheduler").term?.token), outcome.to.token);
    await office.admin.close();
  });

  it("works for the coordinator, whose candidates are all members but observers", async () => {
    const world = new World();
    const [a, , c] = (await world.start("a", "b", "c")) as [Node, Node, Node];
    const watcher = world.node("w", { observer: true });
    await world.resolve(watcher.cluster.start());
    const office = new Office(world);
    const status = await office.ask(office.admin.status());
    assert.deepEqual(status.elections[0]?.candidates.map((candidate) => candidate.node), ["a", "b", "c"]);
    await assert.rejects(office.ask(office.admin.transfer("coordinator", "w")), { code: "NOT_ELIGIBLE", message: /observer/ });
    const outcome = await office.ask(office.admin.transfer("coordinator", "c"));
    assert.deepEqual([outcome.from.node, outcome.to.node], ["a", "c"]);
    await world.until(() => a.cluster.view.coordinator?.node === "c");
    assert.equal(c.cluster.view.coordinator?.node, "c");
    await office.admin.close();
  });

  it("tells who will ask for it back: a candidate of a higher priority", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    await led(world, a, "scheduler", { priority: 5 });
    lead(b, "scheduler", { priority: 1, minimumTermMs: 20_000 });
    const office = new Office(world);
    await contends(world, office, "scheduler", "a", "b");
    const { reclaimedBy } = await office.ask(office.admin.transfer("scheduler", "b"));
    assert.deepEqual(reclaimedBy, { node: "a", priority: 5, afterMs: 20_000 });
    await office.admin.close();
  });

  it("is refused, with nothing done, where it cannot be", async () => {
    const world = new World();
    const [a, b, c] = (await world.start("a", "b", "c")) as [Node, Node, Node];
    const token = await led(world, a, "scheduler");
    lead(b, "scheduler", { eligible: () => false });
    const frozen = world.node("d");
    await world.resolve(frozen.cluster.start());
    const office = new Office(world);
    await contends(world, office, "scheduler", "a", "b");
    const refused = (election: string, node: string) => office.ask(office.admin.transfer(election, node));
    await assert.rejects(refused("scheduler", "bb"), { code: "NODE_UNKNOWN", next: /did you mean b\?/ });
    await assert.rejects(refused("scheduler", "b"), { code: "NOT_ELIGIBLE", message: /probe of b/ });
    await assert.rejects(refused("scheduler", "c"), { code: "NOT_ELIGIBLE", message: /does not contend/ });
    await assert.rejects(refused("scheduler", "a"), { code: "NOT_ELIGIBLE", message: /holds scheduler already/ });
    await assert.rejects(refused("shceduler", "b"), { code: "NOT_HELD", next: /did you mean scheduler\?/ });
    await assert.rejects(refused("a b", "b"), { code: "INVALID_NAME" });
    await assert.rejects(refused("scheduler", "a b"), { code: "INVALID_NAME" });
    const term = await world.resolve(c.cluster.election("other").campaign());
    await world.resolve(term.resign());
    await assert.rejects(refused("other", "a"), { code: "NOT_HELD", message: /nobody holds other/ });
    await office.ask(office.admin.pause("scheduler", { reason: "maintenance" }));
    await assert.rejects(refused("scheduler", "b"), { code: "ELECTION_PAUSED", message: /maintenance/ });
    assert.equal(String(a.cluster.election("scheduler").term?.token), token, "the holder was left alone");
    await office.admin.close();
  });

  it("to a node that has fallen silent is refused", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    await led(world, a, "scheduler");
    lead(b, "scheduler");
    const office = new Office(world);
    await contends(world, office, "scheduler", "a", "b");
    b.freeze();
    await world.pass(4_050); // its lease is over, and the coordinator still waits for its own clock
    await assert.rejects(office.ask(office.admin.transfer("scheduler", "b")), { code: /NOT_ELIGIBLE|NODE_UNKNOWN/ });
    await office.admin.close();
  });

  it("that comes to nothing is TRANSFER_FAILED: somebody else took it, the holder does not stop, or it has changed before", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    await led(world, a, "scheduler");
    lead(b, "scheduler");
    const office = new Office(world);
    await contends(world, office, "scheduler", "a", "b");
    const session = office.sessions[0] as StoreSession;
    const ask = session.requestResign.bind(session);
    session.requestResign = () => Promise.resolve(false);
    await assert.rejects(office.ask(office.admin.transfer("scheduler", "b")), { code: "TRANSFER_FAILED", message: /has changed meanwhile/ });
    session.requestResign = () => Promise.resolve(true); // a wish that gets lost
    await assert.rejects(office.ask(office.admin.transfer("scheduler", "b", { timeoutMs: 500 })), { code: "TRANSFER_FAILED", message: /a was asked, and still holds/ });
    const c = world.node("c");
    await world.resolve(c.cluster.start());
    lead(c, "scheduler");
    await contends(world, office, "scheduler", "c");
    session.requestResign = (input, call) => ask({ ...input, for: "b" }, call); // in favour of another one
    await assert.rejects(office.ask(office.admin.transfer("scheduler", "c")), { code: "TRANSFER_FAILED", message: /b has taken scheduler before c did/ });
    await office.admin.close();
  });

  it("can be called off while it waits", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    await led(world, a, "scheduler");
    lead(b, "scheduler");
    const office = new Office(world);
    await contends(world, office, "scheduler", "b");
    (office.sessions[0] as StoreSession).requestResign = () => Promise.resolve(true);
    const controller = new AbortController();
    const given = office.ask(office.admin.transfer("scheduler", "b", { signal: controller.signal }));
    await world.pass(50);
    controller.abort();
    await assert.rejects(given, { code: "ABORTED" });
    await office.admin.close();
  });
});

describe("evicting", () => {
  it("ends the node's terms, has it leave and stop, and does not let it come back by itself", async () => {
    const world = new World();
    const [, b] = (await world.start("a", "b")) as [Node, Node];
    await led(world, b, "scheduler");
    const errors: string[] = [];
    b.cluster.on("error", (error) => errors.push(error.code));
    const office = new Office(world, { by: "ops" });
    const outcome = await office.ask(office.admin.evict("b", { reason: "it is on the wrong disk" }));
    assert.deepEqual([outcome.outcome, outcome.how, outcome.already, outcome.last, outcome.held], ["gone", "left", false, false, ["scheduler"]]);
    assert.deepEqual(errors, ["EVICTED"]);
    await world.pass(10_000);
    assert.deepEqual((await office.ask(office.admin.members())).map((member) => member.node), ["a"]);
    const { events } = await office.ask(office.admin.events());
    const asked = events.find((event) => event.type === "eviction-requested");
    assert.deepEqual([asked?.subject, asked?.detail["by"], asked?.detail["reason"]], ["b", "ops", "it is on the wrong disk"]);
    await office.admin.close();
  });

  it("of a frozen node waits until it is declared dead; asking again while it is there says that it was asked already", async () => {
    const world = new World();
    const [, b] = (await world.start("a", "b")) as [Node, Node];
    b.freeze();
    const office = new Office(world);
    const early = await office.ask(office.admin.evict("b", { reason: "frozen", timeoutMs: 100 }));
    assert.deepEqual([early.outcome, early.how, early.already], ["still-there", null, false]);
    const again = await office.ask(office.admin.evict("b", { reason: "frozen" }));
    assert.deepEqual([again.outcome, again.how, again.already], ["gone", "expired", true]);
    await office.admin.close();
  });

  it("of the last member is done, and says that it was the last", async () => {
    const world = new World();
    await world.start("a");
    const office = new Office(world);
    const outcome = await office.ask(office.admin.evict("a", { reason: "the end" }));
    assert.deepEqual([outcome.outcome, outcome.last, outcome.held], ["gone", true, ["coordinator"]]);
    await office.admin.close();
  });

  it("of nobody who is alive, of oneself, or without a reason is refused", async () => {
    const world = new World();
    const [, b] = (await world.start("ada", "ben")) as [Node, Node];
    await world.resolve(b.cluster.stop());
    const office = new Office(world, { self: "ada" });
    const evict = (node: string, reason: unknown) => office.ask(office.admin.evict(node, { reason } as { reason: string }));
    await assert.rejects(evict("adda", "x"), { code: "NODE_UNKNOWN", next: /did you mean ada\?/ });
    await assert.rejects(evict("ben", "x"), { code: "NODE_UNKNOWN", message: /is dead, or has left/ });
    await assert.rejects(evict("ada", "x"), { code: "NOT_ELIGIBLE", message: /cannot evict itself/ });
    for (const reason of [undefined, "", " ", "x".repeat(501)]) await assert.rejects(evict("ada", reason), { code: "INVALID_OPTIONS", message: /reason/ });
    await office.admin.close();
  });
});

describe("pausing", () => {
  it("lets the holder go on and nobody follow it, until the election is resumed", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const token = await led(world, a, "scheduler");
    lead(b, "scheduler");
    const office = new Office(world, { by: "ops" });
    const paused = await office.ask(office.admin.pause("scheduler", { reason: "maintenance" }));
    assert.deepEqual([paused.paused.by, paused.paused.reason, paused.holder], ["ops", "maintenance", { node: "a", token }]);
    await office.ask(office.admin.requestResign("scheduler"));
    await world.pass(20_000);
    const [, election] = (await office.ask(office.admin.status())).elections;
    assert.deepEqual([election?.holder, election?.paused?.reason], [null, "maintenance"]);
    const resumed = await office.ask(office.admin.resume("scheduler"));
    assert.equal(resumed.paused.reason, "maintenance");
    await world.until(() => [a, b].some((node) => node.cluster.election("scheduler").term !== undefined));
    await office.admin.close();
  });

  it("twice, of the coordinator, of an election that is not there, and without a reason is refused; so is resuming what runs", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    await led(world, a, "scheduler");
    const office = new Office(world, { by: "ops" });
    const pause = (election: string, reason: unknown = "x") => office.ask(office.admin.pause(election, { reason } as { reason: string }));
    const resume = (election: string) => office.ask(office.admin.resume(election));
    await assert.rejects(resume("scheduler"), { code: "NOT_PAUSED" });
    await assert.rejects(resume("shceduler"), { code: "NOT_PAUSED", next: /did you mean scheduler\?/ });
    await pause("scheduler", "maintenance");
    await assert.rejects(pause("scheduler"), { code: "ELECTION_PAUSED", message: /by ops since \d{4}-.*: maintenance/ });
    await assert.rejects(pause("coordinator"), { code: "ELECTION_RESERVED" });
    await assert.rejects(pause("shceduler"), { code: "NOT_HELD", next: /did you mean scheduler\?/ });
    await assert.rejects(pause("a b"), { code: "INVALID_NAME" });
    await assert.rejects(pause("scheduler", ""), { code: "INVALID_OPTIONS" });
    await office.admin.close();
  });
});
