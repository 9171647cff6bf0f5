import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { DeployOptions, Farm } from "../../src/farm/index.ts";
import { appDocument } from "../../src/farm/record.ts";
import { readWish } from "../../src/farm/wish.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { bytes, Farms, worlds } from "./farms.ts";
import type { TestCluster } from "./farms.ts";
import { release } from "./model.ts";

/** A farm as it looks from JavaScript. */
type Untyped = Record<"deploy" | "undeploy" | "rollback", (...args: unknown[]) => Promise<unknown>>;
const untyped = (farm: Farm) => farm as unknown as Untyped;

const ID = "f".repeat(32);
const DEPLOY = { id: ID, by: "a", kind: "deploy", release: release("1"), prepareMs: 1_000, rolling: null };
const ROLLBACK = { id: ID, by: "a", kind: "rollback", version: "1", prepareMs: 1_000, rolling: null };
const without = (value: object, ...names: string[]) => Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));

describe("what a farm is given that is none of it", () => {
  const farms = new Farms();
  let a: TestCluster;
  let farm: Untyped;
  before(async () => {
    a = farms.node("a");
    await a.start();
    farm = untyped(a.farm);
    for (const version of ["1", "2"]) await a.farm.deploy({ name: "app", version, artifact: bytes(version) });
  });
  after(() => farms.stop());

  /** Refused with that code and words, before anything is asked of anybody. */
  async function refused(call: Promise<unknown>, code: string, message: RegExp, next = /./): Promise<void> {
    await assert.rejects(call, (error) => {
      assert.ok(isTribuneError(error), String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      assert.match(error.next ?? "", next);
      return true;
    });
    const [status] = await a.farm.status();
    assert.deepEqual([status?.desired?.version, status?.earlier, status?.change], ["2", ["1"], null]);
  }
  const deployed = (over: object) => farm.deploy({ name: "app", version: "3", artifact: bytes("three"), ...over });

  it("a deployment without a version: the name stays as it was", async () => {
    await refused(farm.deploy({ name: "app", artifact: bytes("three") }), "INVALID_OPTIONS", /version must be .*, not undefined/);
    await refused(deployed({ version: null }), "INVALID_OPTIONS", /version must be .*, not null/);
    await refused(deployed({ version: 3 }), "INVALID_OPTIONS", /version must be .*, not 3/);
  });

  it("options that are no object", async () => {
    for (const options of [undefined, null, "x", [], 5]) await refused(farm.deploy(options), "INVALID_OPTIONS", /the options of deploy/, /deploy\(\{ name, version, artifact \}\)/);
    for (const options of [null, "1", ["1"], 1, () => 1]) {
      await refused(farm.rollback("app", options), "INVALID_OPTIONS", /the options of rollback/, /rollback\(name, \{ version \}\)/);
      await refused(farm.undeploy("app", options), "INVALID_OPTIONS", /the options of undeploy/, /undeploy\(name, \{ signal \}\)/);
    }
  });

  it("options that there are not, and those of the wrong type", async () => {
    await refused(farm.rollback("app", { versoin: "1" }), "INVALID_OPTIONS", /did you mean version/);
    await refused(farm.undeploy("app", { prepareMs: 5 }), "INVALID_OPTIONS", /unknown option "prepareMs"/);
    await refused(deployed({ prepareMS: 5, rolling: { by: 1, wavems: 5 } }), "INVALID_OPTIONS", /did you mean prepareMs.*did you mean waveMs/);
    for (const rolling of [3, "zone", [], null]) await refused(deployed({ rolling }), "INVALID_OPTIONS", /rolling must be an object/);
    await refused(deployed({ rolling: {} }), "INVALID_OPTIONS", /rolling\.by/);
    for (const call of [deployed, (over: object) => farm.rollback("app", over), (over: object) => farm.undeploy("app", over)]) await refused(call({ signal: "now" }), "INVALID_OPTIONS", /signal must be an AbortSignal/);
    await refused(deployed({ prepareMs: null, signWith: null }), "INVALID_OPTIONS", /prepareMs/);
    for (const signWith of [null, 5, {}, Buffer.from("pem")]) await refused(deployed({ signWith }), "INVALID_OPTIONS", /private Ed25519 key/);
    for (const name of [undefined, null, 5, ["app"]]) await refused(deployed({ name }), "INVALID_NAME", /the name of an artifact/);
  });

  it("an artifact of a shape that there is not", async () => {
    for (const artifact of [undefined, null, "three", 3, {}, [], { path: "x" }, { file: 3 }, { file: "" }, { directory: undefined }, { file: "x", tar: "y" }, new ArrayBuffer(3), new URL("file:///x"), Promise.resolve(bytes("three"))]) {
      await refused(deployed({ artifact }), "INVALID_OPTIONS", /artifact must be bytes \(a Uint8Array\), \{ file \}, \{ directory \} or \{ tar \}/);
    }
  });

  it("but what is left out or undefined is not there", async () => {
    const more = { config: undefined, prepareMs: undefined, rolling: undefined, signal: undefined, signWith: undefined };
    await a.farm.deploy({ name: "other", version: "1", artifact: { file: import.meta.filename, tar: undefined, directory: undefined }, ...more } as unknown as DeployOptions);
    await a.farm.deploy({ name: "other", version: "2", artifact: bytes("2"), config: 1 });
    assert.equal(((await farm.rollback("other", { version: null })) as { version: string }).version, "1");
    assert.equal(((await farm.rollback("other", { version: undefined })) as { version: string }).version, "2");
    await farm.undeploy("other", undefined);
  });

  it("what comes over the wire and is no wish: the coordinator takes nothing of it", async () => {
    const b = farms.node("b");
    await b.start();
    const wish = { ...DEPLOY, release: without(release("1"), "version") };
    const { replies } = await b.channel.request("farm.wish", { name: "wired", wish }, { to: "coordinator" });
    const [reply] = replies.values();
    assert.equal(reply?.status === "failed" && reply.code, "PAYLOAD_INVALID");
    assert.equal((await b.farm.deploy({ name: "wired", version: "1", artifact: bytes("one") })).ok, true);
  });
});

describe("a wish that came", () => {
  const broken: Readonly<Record<string, unknown>> = {
    "is nothing": null,
    "has no id": without(DEPLOY, "id"),
    "has a list as id": { ...DEPLOY, id: [ID] },
    "has nobody who asked": without(DEPLOY, "by"),
    "has no release": without(DEPLOY, "release"),
    ...Object.fromEntries(Object.keys(release("1")).map((field) => [`has a release without ${field}`, { ...DEPLOY, release: without(release("1"), field) }])),
    ...Object.fromEntries(Object.keys(release("1")).filter((field) => field !== "config").map((field) => [`has a release with a list as ${field}`, { ...DEPLOY, release: { ...release("1"), [field]: [release("1")[field as "version"]] } }])),
    "has a version of null": { ...DEPLOY, release: { ...release("1"), version: null } },
    "has no time to prepare": without(DEPLOY, "prepareMs"),
    "goes back and has no time to prepare": without(ROLLBACK, "prepareMs"),
    "does not say whether in waves": without(DEPLOY, "rolling"),
    "has waves that are none": { ...DEPLOY, rolling: "zone" },
    "has waves without an end": { ...DEPLOY, rolling: { by: 1 } },
    "goes back to a number": { ...ROLLBACK, version: 1 },
    "has no kind": without(DEPLOY, "kind"),
  };
  for (const [what, wish] of Object.entries(broken)) it(`and ${what} is refused`, () => assert.throws(() => readWish({ name: "app", wish }), { code: "PAYLOAD_INVALID" }));

  it("and is whole is taken; a rollback may leave out its version", () => {
    assert.deepEqual(readWish({ name: "app", wish: DEPLOY }), { name: "app", wish: DEPLOY });
    for (const version of [null, undefined]) assert.deepEqual(readWish({ name: "app", wish: { ...ROLLBACK, version } }), { name: "app", wish: { ...ROLLBACK, version: null } });
  });
});

describe("a document of a name", () => {
  const world = worlds();
  const put = (farms: Farms, value: object) => {
    const name = appDocument("app");
    const [row] = farms.store.engine.listDocuments("g", { prefix: name });
    assert.equal(farms.store.engine.writeDocument("g", { name, expectedVersion: row?.version ?? 0, text: JSON.stringify(value) }), true);
  };

  it("with a change that has no version is what it was without it, and the name can be deployed again", async () => {
    for (const current of [null, release("1")]) {
      const farms = world();
      const [a] = await farms.start("a");
      assert.ok(a);
      put(farms, { name: "app", current: null, history: current === null ? [] : [current], outcomes: [], change: { ...without(DEPLOY, "release"), phase: "preparing", admitted: [], wave: [], release: without(release("3"), "version") } });
      assert.deepEqual((await a.farm.status()).map(({ change, earlier }) => [change, earlier]), [[null, current === null ? [] : ["1"]]]);
      assert.equal((await a.farm.deploy({ name: "app", version: "2", artifact: bytes("two") })).ok, true);
      assert.deepEqual(farms.versions(), ["2"]);
    }
  });

  it("that is of somebody else's is told to who asks, at once", async () => {
    const farms = world();
    const [a] = await farms.start("a");
    put(farms, { name: "app", of: "a later version of this software" });
    await assert.rejects(a?.farm.deploy({ name: "app", version: "1", artifact: bytes("one") }) ?? Promise.resolve(), { code: "INVALID_DOCUMENT", message: /farm\.app\.app/ });
  });
});
