import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { ArtifactSource, DeployOptions } from "../../src/farm/index.ts";
import { signRelease } from "../../src/farm/index.ts";
import { archive } from "./archive.ts";
import { bytes, Farms, until } from "./farms.ts";
import type { TestCluster } from "./farms.ts";

const keys = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519").privateKey;
const pem = keys.publicKey.export({ type: "spki", format: "pem" }).toString();

describe("what a farm refuses", () => {
  const farms = new Farms();
  let a: TestCluster;
  let hangs = false;
  let throws = false;
  before(async () => {
    const failing = farms.handler("c", {
      prepare: () => {
        if (throws) throw new Error("no such library");
        return hangs ? new Promise(() => undefined) : undefined;
      },
    });
    [a] = [farms.node("a"), farms.node("b"), farms.node("c", { handlers: { app: failing } })] as [TestCluster, TestCluster, TestCluster];
    for (const node of farms.all) await node.start();
    assert.equal((await a.farm.deploy({ name: "app", version: "1", artifact: bytes("one") })).ok, true);
  });
  after(() => farms.stop());

  const at = (name: string) => join(farms.folder, name);
  const tar = (name: string, path: string, more: object = {}) => {
    writeFileSync(at(name), archive([{ path, ...more }]));
    return { tar: at(name) };
  };
  const deployed = (over: Partial<DeployOptions>) => a.farm.deploy({ name: "app", version: "2", artifact: bytes("two"), ...over });

  /** Refused with that code, and nobody has anything else than before. */
  async function refused(over: () => Partial<DeployOptions>, code: string, message = /./, cause?: string): Promise<void> {
    const log = farms.log.filter((line) => / (?:activate|deactivate) /.test(line)).length;
    await assert.rejects(deployed(over()), (error: { code?: string; message: string; cause?: { code?: string } }) => {
      assert.equal(error.code, code, error.message);
      if (cause !== undefined) assert.equal(error.cause?.code, cause);
      assert.match(error.message, message);
      return true;
    });
    assert.deepEqual(farms.versions(), ["1", "1", "1"]);
    assert.equal(farms.log.filter((line) => / (?:activate|deactivate) /.test(line)).length, log);
    const [status] = await a.farm.status();
    assert.deepEqual([status?.desired?.version, status?.change], ["1", null]);
    assert.deepEqual(status?.members.map(({ state }) => state), ["applied", "applied", "applied"]);
  }

  it("an archive whose paths lead out, are absolute, or are links", async () => {
    await refused(() => ({ artifact: tar("out.tar", "../out") }), "FARM_ARTIFACT_INVALID", /'\.\.'/);
    await refused(() => ({ artifact: tar("abs.tar", "/etc/cron.d/x") }), "FARM_ARTIFACT_INVALID", /absolute/);
    await refused(() => ({ artifact: tar("link.tar", "x", { type: "2", link: "/etc" }) }), "FARM_ARTIFACT_INVALID", /links/);
  });

  it("a directory with a link in it, before anything is asked", async () => {
    await mkdir(at("linked"));
    symlinkSync("/etc", at("linked/etc"));
    await refused(() => ({ artifact: { directory: at("linked") } }), "FARM_ARTIFACT_INVALID", /link/);
  });

  it("a file that is not there", async () => {
    for (const shape of ["file", "directory", "tar"]) await refused(() => ({ artifact: { [shape]: at("nowhere") } as unknown as ArtifactSource }), "FARM_ARTIFACT_INVALID", /nowhere" cannot be read: ENOENT/, "ENOENT");
  });

  it("the same version twice, also with other bytes", async () => {
    await refused(() => ({ version: "1" }), "FARM_VERSION_EXISTS");
    await refused(() => ({ version: "1", artifact: bytes("one") }), "FARM_VERSION_EXISTS");
  });

  it("names, versions, configurations and times that cannot be", async () => {
    for (const name of ["", "../x", "a b", "-x", "x".repeat(101), "é"]) await refused(() => ({ name }), "INVALID_NAME");
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    for (const config of [1n, () => 1, cyclic, { a: undefined, b: Number.NaN }, JSON.parse('{"__proto__":1}'), "x".repeat(20_000), new Map()]) await refused(() => ({ config }), "INVALID_OPTIONS", /config/);
    await refused(() => ({ version: "1/2", prepareMs: 0, rolling: { by: 0 } }), "INVALID_OPTIONS", /version.*prepareMs.*rolling\.by/);
  });

  it("a prepare that throws, with its words and whose it is", async () => {
    throws = true;
    await refused(() => ({}), "FARM_PREPARE_FAILED", /because of c: no such library/);
    await assert.rejects(deployed({}), { next: "mend what that member says, and deploy it again: the same version will do" });
    throws = false;
  });

  it("a prepare that hangs, when the time is over", async () => {
    hangs = true;
    await refused(() => ({ prepareMs: 1_500 }), "FARM_TIMEOUT", /c did not vote within 1500 ms/);
    hangs = false;
  });

  it("what is called off before it is decided", async () => {
    hangs = true;
    const abort = new AbortController();
    const off = a.farm.on("progress", ({ phase }) => phase === "ready" && abort.abort());
    await refused(() => ({ signal: abort.signal }), "ABORTED");
    off();
    hangs = false;
  });

  it("a second change of the same name, while one is under way", async () => {
    hangs = true;
    const abort = new AbortController();
    const first = deployed({ signal: abort.signal });
    first.catch(() => undefined);
    await new Promise<void>((resolve) => a.farm.on("progress", ({ phase }) => phase === "ready" && resolve()));
    await assert.rejects(farms.all[1]?.farm.deploy({ name: "app", version: "3", artifact: bytes("three") }) ?? Promise.resolve(), { code: "FARM_BUSY" });
    abort.abort();
    await assert.rejects(first, { code: "ABORTED" });
    hangs = false;
  });

  it("a name that a member has no handler for", async () => {
    await assert.rejects(a.farm.deploy({ name: "other", version: "1", artifact: bytes("x") }), { code: "FARM_UNHANDLED", message: /because of c/ });
  });

  it("to remove or go back to what is not there", async () => {
    await assert.rejects(a.farm.undeploy("nothing"), { code: "FARM_NOT_DEPLOYED" });
    await assert.rejects(a.farm.rollback("app"), { code: "FARM_NOT_DEPLOYED" });
    await assert.rejects(a.farm.rollback("app", { version: "9" }), { code: "FARM_NOT_DEPLOYED" });
  });

  it("and leaves nothing of all this on disk", async () => {
    const there = () => ["a", "b", "c"].flatMap((node) => [readdirSync(join(farms.folder, node, "artifacts")).length, readdirSync(join(farms.folder, node, "releases", "app")).length]);
    await until(() => there().every((count) => count === 1), "one artifact and one release on each member");
  });
});

describe("a farm with keys", () => {
  const farms = new Farms();
  after(() => farms.stop());

  it("takes only what one of them has signed, on each member", async () => {
    const handlers = (node: string) => ({ handlers: { "*": farms.handler(node) } });
    const [a, b] = [farms.node("a"), farms.node("b", { ...handlers("b"), trustedKeys: [pem] })];
    for (const node of [a, b]) await node.start();
    const deploy = (over: Partial<DeployOptions>) => a.farm.deploy({ name: "app", version: "1", artifact: bytes("one"), config: { b: 1, a: [2] }, ...over });
    await assert.rejects(deploy({}), { code: "FARM_UNSIGNED", message: /because of b/ });
    await assert.rejects(b.farm.deploy({ name: "app", version: "1", artifact: bytes("one") }), { code: "FARM_UNSIGNED" });
    await assert.rejects(deploy({ signWith: stranger }), { code: "FARM_SIGNATURE_INVALID", message: /because of b/, next: /key that its members trust, or add its public key to trustedKeys/ });
    await assert.rejects(deploy({ signWith: pem }), { code: "INVALID_OPTIONS" });
    assert.deepEqual(farms.versions(), [undefined, undefined]);
    assert.equal((await deploy({ signWith: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString() })).ok, true);
    assert.deepEqual(farms.versions(), ["1", "1"]);
  });

  it("does not apply what was deployed unsigned before it came, and says so", async () => {
    const [a] = farms.all;
    assert.ok(a !== undefined);
    await farms.all[1]?.stop();
    await a.farm.deploy({ name: "app", version: "2", artifact: bytes("two") });
    const c = farms.node("c", { trustedKeys: [keys.publicKey], handlers: { "*": farms.handler("c") } });
    await c.start();
    const [status] = await c.farm.status();
    assert.deepEqual(status?.members.map(({ node, state, code }) => [node, state, code]), [["a", "applied", null], ["c", "failed", "FARM_UNSIGNED"]]);
    assert.equal(farms.running.has("c"), false);
  });

  it("signs name, version, digest, size, kind and configuration", () => {
    const parts = { version: "1", digest: "0".repeat(64), sizeBytes: 1, kind: "file", config: { a: 1, b: 2 } } as const;
    const key = createPrivateKey(keys.privateKey.export({ type: "pkcs8", format: "pem" }));
    const signature = signRelease("app", parts, key);
    assert.equal(signRelease("app", { ...parts, config: { b: 2, a: 1 } }, key), signature);
    for (const [name, over] of [["other", {}], ["app", { version: "2" }], ["app", { digest: "1".repeat(64) }], ["app", { sizeBytes: 2 }], ["app", { kind: "directory" }], ["app", { config: null }]] as const) assert.notEqual(signRelease(name, { ...parts, ...over }, key), signature);
  });

  it("refuses keys that are none, with every complaint at once", () => {
    assert.throws(() => farms.node("x", { trustedKeys: ["nonsense"], maxFiles: 0, dir: "" }), { code: "INVALID_OPTIONS", message: /dir.*maxFiles.*key/ });
    assert.throws(() => farms.node("x", {}, { channel: false }), { code: "INVALID_OPTIONS", message: /channel/ });
  });
});
