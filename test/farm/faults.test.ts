import assert from "node:assert/strict";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Artifact } from "../../src/farm/index.ts";
import { bytes, Farms, gate, until, worlds } from "./farms.ts";

describe("a farm in trouble", () => {
  const world = worlds();

  it("goes on under a new coordinator when the old one leaves while votes come in", async () => {
    const farms = world();
    const door = gate();
    const [a, b, c] = [farms.node("a"), farms.node("b"), farms.node("c", { handlers: { "*": farms.handler("c", { prepare: () => door.opened }) } })];
    for (const node of [a, b, c]) await node.start();
    assert.equal(b.view.coordinator?.node, "a");
    const deploying = b.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    await until(() => farms.log.includes("c prepare 1") && farms.log.includes("a prepare 1"), "everybody prepares");
    await a.stop();
    door.open();
    const report = await deploying;
    assert.deepEqual(report.members.map(({ node, state }) => [node, state]), [["b", "applied"], ["c", "applied"]]);
    assert.deepEqual(farms.versions(), [undefined, "1", "1"]);
  });

  it("does not wait for a member that has left, and brings it up to date when it is back", async () => {
    const farms = world();
    const never = gate();
    const [a, b] = [farms.node("a"), farms.node("b", { handlers: { "*": farms.handler("b", { prepare: () => never.opened }) } })];
    for (const node of [a, b]) await node.start();
    const deploying = a.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    await until(() => farms.log.includes("b prepare 1"), "b prepares");
    await b.stop();
    assert.deepEqual((await deploying).members.map(({ node }) => node), ["a"]);
    await farms.node("b").start();
    assert.equal(farms.running.get("b"), "1");
  });

  it("goes on with a transfer where it stopped", async () => {
    const farms = world();
    const artifact = new Uint8Array(4 * 2 ** 20).map((_, n) => n * 31 + (n >> 8));
    const [a] = [farms.node("a")];
    await a.start();
    await a.farm.deploy({ name: "app", version: "1", artifact });
    const b = farms.node("b", { pieceBytes: 16 * 1024 });
    const starting = b.start();
    starting.catch(() => undefined);
    const folder = join(farms.folder, "b", "artifacts");
    const part = () => readdirSync(folder, { withFileTypes: true }).find(({ name }) => name.endsWith(".part"));
    await until(() => { try { return part() !== undefined && statSync(join(folder, part()?.name ?? "")).size > 2 ** 20; } catch { return false; } }, "a quarter of it is there");
    await b.stop();
    const kept = statSync(join(folder, part()?.name ?? "")).size;
    assert.ok(kept > 2 ** 20 && kept < artifact.length, String(kept));
    const again = farms.node("b");
    await again.start();
    assert.equal(farms.running.get("b"), "1");
    assert.equal(again.farm.counts.bytesFetched, artifact.length - kept);
  });

  it("fetches the same artifact once where two names have it, though both are deployed at once", async () => {
    const farms = world();
    const small = { pieceBytes: 16 * 1024 };
    const artifact = new Uint8Array(2 ** 20).map((_, n) => n * 31 + (n >> 8));
    const found: boolean[] = [];
    const prepare = async ({ path }: Artifact) => void found.push(Buffer.compare(await readFile(path), artifact) === 0);
    const [a, b] = [farms.node("a"), farms.node("b", { ...small, handlers: { "*": farms.handler("b", { prepare }) } })];
    for (const node of [a, b]) await node.start();
    const reports = await Promise.all(["app", "web"].map((name) => a.farm.deploy({ name, version: "1", artifact })));
    assert.deepEqual([found, reports.map(({ ok }) => ok)], [[true, true], [true, true]]);
    assert.equal(b.farm.counts.bytesFetched, artifact.length);
  });

  it("keeps no part of an artifact of which it has the whole", async () => {
    const farms = world();
    const [a] = await farms.start("a");
    await a?.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    await a?.stop();
    const folder = join(farms.folder, "a", "artifacts");
    const [digest = ""] = readdirSync(folder);
    writeFileSync(join(folder, `${digest}.part`), "o"); // as if it had been killed while it fetched what it was then given
    await farms.node("a").start();
    assert.deepEqual(readdirSync(folder), [digest]);
  });

  it("throws away what has a wrong digest, and takes it from who has the right one", async () => {
    const farms = world();
    const [a] = await farms.start("a");
    assert.ok(a !== undefined);
    await a.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    const folder = join(farms.folder, "a", "artifacts");
    const good = join(folder, readdirSync(folder)[0] ?? "");
    writeFileSync(good, "oNe");
    const b = farms.node("b");
    await b.start();
    const state = async () => (await b.farm.status())[0]?.members.map((member) => [member.node, member.state, member.code]);
    assert.deepEqual(await state(), [["a", "applied", null], ["b", "failed", "FARM_DIGEST_MISMATCH"]]);
    assert.equal(farms.running.has("b"), false);
    writeFileSync(good, "one");
    await until(() => farms.running.get("b") === "1", "b tries again");
  });

  it("keeps what a member had where it cannot activate what was decided, says so, and tries again", async () => {
    const farms = world();
    let fails = true;
    const [a, b] = [farms.node("a"), farms.node("b", { handlers: { "*": farms.handler("b", { activate: ({ version }) => { if (fails && version === "2") throw new Error("the port is taken"); } }) } })];
    for (const node of [a, b]) await node.start();
    await a.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    const report = await a.farm.deploy({ name: "app", version: "2", artifact: bytes("two") });
    assert.equal(report.ok, false);
    assert.deepEqual(report.members[1], { node: "b", state: "failed", version: "1", code: "FARM_ACTIVATE_FAILED", why: "the port is taken" });
    assert.deepEqual(farms.versions(), ["2", "1"]);
    fails = false;
    await until(() => farms.running.get("b") === "2", "b tries again");
  });

  it("says of a member that catches up that its prepare hangs, calls that off, lets it vote, and has it try again", async () => {
    const farms = world();
    const [door, signals] = [gate(), [] as AbortSignal[]];
    const prepare = ({ version }: { readonly version: string }, _dir: string, { signal }: { readonly signal: AbortSignal }) => (signals.push(signal), version === "1" ? door.opened : undefined);
    const a = farms.node("a");
    await a.start();
    await a.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    const b = farms.node("b", { prepareMs: 200, handlers: { "*": farms.handler("b", { prepare }) } });
    await b.start();
    const row = async () => (await a.farm.status())[0]?.members[1];
    assert.deepEqual(await row(), { node: "b", state: "failed", version: null, code: "FARM_TIMEOUT", why: "prepare of app 1 did not finish within 200 ms" });
    assert.equal(signals[0]?.aborted, true);
    await until(() => signals.length > 1, "b tries again");
    assert.equal((await a.farm.deploy({ name: "app", version: "2", artifact: bytes("two") })).ok, true);
    await a.farm.undeploy("app");
    door.open();
    await a.farm.rollback("app", { version: "1" });
    assert.deepEqual(farms.versions(), ["1", "1"]);
  });

  it("tells a coordinator whose term is over from one that may write: nothing of the former's counts", async () => {
    const farms = world();
    const [a, b] = await farms.start("a", "b");
    assert.ok(a !== undefined && b !== undefined);
    await a.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    const session = await farms.store.open({ group: "g", node: "late", clock: { monotonicMs: () => 0, wallMs: () => 0, setTimer: () => ({ cancel() {} }) }, random: { next: () => 0, id: () => "" }, logger: { debug() {}, info() {}, warn() {}, error() {} }, deadlineMs: 1_000, statementLimitMs: 1_000, createSchema: false });
    const call = { deadlineMs: 1_000 };
    const document = await session.readDocument({ name: "farm.app.app" }, call);
    assert.ok(document !== null);
    const write = (incarnation: string, token: number) => session.writeDocument({ name: "farm.app.app", expectedVersion: document.version, text: document.text, fence: { election: "coordinator", token, incarnation } }, call);
    assert.equal(await write(a.self.incarnation, 0), false);
    assert.equal(await write(b.self.incarnation, 1), false);
    await session.close();
  });
});

describe("a rolling deployment", () => {
  const world = worlds();
  const zones = async (over: Parameters<Farms["handler"]>[1] = {}, worst = "d") => {
    const farms = world();
    for (const [node, zone] of [["a", "x"], ["b", "y"], ["c", "x"], ["d", "y"]] as const) await farms.node(node, { handlers: { "*": farms.handler(node, node === worst ? over : {}) } }, { metadata: { zone } }).start();
    const [a] = farms.all;
    assert.ok(a !== undefined);
    await a.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    farms.log.length = 0;
    return { farms, a };
  };
  const activated = (farms: Farms) => farms.log.filter((line) => line.includes(" activate ")).map((line) => line.replace(" activate", ""));

  it("lets in one member after the other", async () => {
    const { farms, a } = await zones();
    assert.equal((await a.farm.deploy({ name: "app", version: "2", artifact: bytes("two"), rolling: { by: 1 } })).ok, true);
    assert.deepEqual(activated(farms), ["a 2", "b 2", "c 2", "d 2"]);
  });

  it("lets in one zone after the other", async () => {
    const { farms, a } = await zones();
    assert.equal((await a.farm.deploy({ name: "app", version: "2", artifact: bytes("two"), rolling: { by: "zone" } })).ok, true);
    const [first, second] = [activated(farms).slice(0, 2), activated(farms).slice(2)];
    assert.deepEqual([first.sort(), second.sort()], [["a 2", "c 2"], ["b 2", "d 2"]]);
  });

  it("waits until a wave is healthy, and goes back everywhere when one is not", async () => {
    let asked = 0;
    const { farms, a } = await zones({ health: ({ version }) => version === "1" || (++asked > 2 ? undefined : false) }, "c");
    assert.equal((await a.farm.deploy({ name: "app", version: "2", artifact: bytes("two"), rolling: { by: 1 } })).ok, true);
    assert.equal(asked, 3);
    asked = Number.NEGATIVE_INFINITY;
    await assert.rejects(a.farm.deploy({ name: "app", version: "3", artifact: bytes("three"), rolling: { by: 1, waveMs: 1_000 } }), { code: "FARM_TIMEOUT", message: /c did not become healthy/ });
    await until(() => farms.versions().every((version) => version === "2"), "all are back");
    assert.ok(!farms.log.includes("d activate 3"));
  });

  it("goes back when a member fails to activate", async () => {
    const { farms, a } = await zones({ activate: ({ version }) => { if (version === "2") throw new Error("no"); } }, "b");
    await assert.rejects(a.farm.deploy({ name: "app", version: "2", artifact: bytes("two"), rolling: { by: 1 } }), { code: "FARM_ACTIVATE_FAILED", message: /because of b: no/ });
    await until(() => farms.versions().every((version) => version === "1"), "all are back");
    assert.deepEqual(activated(farms), ["a 2", "b 2", "a 1"]);
    assert.equal(farms.log.includes("a discard 2"), true);
  });
});

describe("an observer with a farm", () => {
  const farms = new Farms();
  after(() => farms.stop());

  it("gives artifacts and asks, hears how far members are, and takes no part", async () => {
    const [a] = await farms.start("a", "b");
    const o = farms.node("o", { handlers: {} }, { observer: true });
    await o.start();
    const heard: string[] = [];
    o.farm.on("progress", ({ node, phase }) => heard.push(`${node} ${phase}`));
    const decided: string[] = [];
    a?.farm.on("decided", ({ name, result, version }) => decided.push(`${name} ${version} ${result}`));
    const report = await o.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    assert.deepEqual(report.members.map(({ node, state }) => [node, state]), [["a", "applied"], ["b", "applied"]]);
    for (const node of ["a", "b"]) for (const phase of ["fetching", "preparing", "ready"]) await until(() => heard.includes(`${node} ${phase}`), `${node} ${phase}`);
    assert.deepEqual(decided, ["app 1 committed"]);
    assert.equal(o.farm.counts.bytesGiven > 0, true);
  });
});
