import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { moduleService } from "../../src/farm/index.ts";
import type { Artifact, HandlerContext, ModuleService } from "../../src/farm/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { Farms, until } from "./farms.ts";

const home = mkdtempSync(join(tmpdir(), "tribune-modules-"));
const services: { readonly service: ModuleService; readonly artifact: Artifact; readonly dir: string }[] = [];
/** Limits are not what is looked at, but where a test says so. */
const PATIENT = { startMs: 300_000, drainMs: 300_000 };
const context: HandlerContext = { signal: new AbortController().signal, previous: null };
after(async () => {
  for (const { service, artifact, dir } of services) await service.deactivate(artifact, dir, context);
  rmSync(home, { recursive: true, force: true });
});

function modules(version: string, code: string): { readonly artifact: Artifact; readonly dir: string } {
  const dir = join(home, `${version}-${Math.trunc(services.length)}`);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "package.json"), '{"type":"module"}');
  writeFileSync(join(dir, "index.js"), code);
  return { artifact: { name: "app", version, digest: "", sizeBytes: 0, kind: "directory", config: { greeting: `hello from ${version}` }, path: dir }, dir };
}

async function running(code: string, options: Parameters<typeof moduleService>[0] = {}) {
  const service = moduleService({ ...PATIENT, ...options });
  const one = { service, ...modules("1", code) };
  services.push(one);
  await service.prepare(one.artifact, one.dir, context);
  await service.activate(one.artifact, one.dir, context);
  return one;
}

describe("a directory of modules as a service", () => {
  it("is loaded in a worker, started with its configuration, called, and asked for its health", async () => {
    const { service, artifact, dir } = await running(`
      import { isMainThread } from "node:worker_threads";
      let greeting;
      export const start = (config) => { greeting = config.greeting; };
      export const greet = async (name) => greeting + ", " + name + (isMainThread ? "" : ", in a worker");
      export const fail = () => { throw new Error("cannot"); };
      export const health = () => greeting !== undefined;
    `);
    assert.equal(await service.call("greet", "you"), "hello from 1, you, in a worker");
    assert.equal(await service.health(artifact, dir, context), true);
    assert.equal(service.version, "1");
    await assert.rejects(service.call("fail"), { code: "HANDLER_FAILED", message: "cannot" });
    await assert.rejects(service.call("toString"), { code: "HANDLER_FAILED", message: /exports no function toString/ });
  });

  it("says which values cannot go between threads, and goes on", async () => {
    const { service } = await running("export const give = () => () => 1; export const echo = (value) => value;");
    for (const value of [() => 1, { deep: [Symbol("s")] }, Promise.resolve()]) {
      await assert.rejects(service.call("echo", value), (error) => {
        assert.ok(isTribuneError(error, "PAYLOAD_INVALID"), String(error));
        assert.match(error.message, /arguments of echo/);
        assert.match(error.next ?? "", /structuredClone/);
        assert.equal((error.cause as Error).name, "DataCloneError");
        return true;
      });
    }
    await assert.rejects(service.call("give"), { code: "HANDLER_FAILED", message: /could not be cloned/ });
    assert.deepEqual(await service.call("echo", new Map([[1, 2]])), new Map([[1, 2]]));
  });

  it("is refused where it cannot be loaded", async () => {
    const service = moduleService(PATIENT);
    for (const [code, message] of [["export const = 1;", /could not be loaded/], ['import "not-installed";', /not-installed/], ["throw new Error('no key');", /no key/], ["process.exit(3);", /ended by itself/]] as const) {
      const { artifact, dir } = modules(`bad-${message.source.length}`, code);
      await assert.rejects(Promise.resolve(service.prepare(artifact, dir, context)), { code: "FARM_PREPARE_FAILED", message });
    }
    const { artifact, dir } = modules("file", "");
    await assert.rejects(Promise.resolve(service.prepare({ ...artifact, kind: "file" }, dir, context)), { code: "FARM_ARTIFACT_INVALID" });
    const endless = modules("endless", "await new Promise(() => setInterval(() => {}, 1000));");
    await assert.rejects(moduleService({ startMs: 300 }).prepare(endless.artifact, endless.dir, context), { code: "FARM_TIMEOUT" });
    assert.equal(service.version, null);
    await assert.rejects(service.call("anything"), { code: "FARM_NOT_DEPLOYED" });
    assert.throws(() => moduleService({ entry: "../x.js", drainMs: 0 }), { code: "INVALID_OPTIONS", message: /entry.*drainMs/ });
  });

  it("replaces a version while its last calls go on there, then stops it", async () => {
    const one = await running(`
      import { writeFileSync } from "node:fs";
      let release;
      export const wait = () => new Promise((resolve) => { release = resolve; });
      export const go = () => release("from 1");
      export const stop = () => writeFileSync(${JSON.stringify(join(home, "stopped"))}, "");
    `);
    const { service } = one;
    const waiting = service.call("wait");
    const two = modules("2", "export const wait = () => 'from 2'; export const go = () => null;");
    await service.prepare(two.artifact, two.dir, context);
    const going = service.call("go"); // still to the first
    await service.activate(two.artifact, two.dir, { ...context, previous: one.artifact });
    assert.equal(await service.call("wait"), "from 2");
    await service.discard(one.artifact, one.dir, context);
    assert.deepEqual([await waiting, await going], ["from 1", undefined]);
    writeFileSync(join(home, "stopped"), "", { flag: "r+" }); // it is there
    services.push({ service, ...two });
  });

  it("is started again when its worker ends, and says so meanwhile", async () => {
    const { service } = await running("export const die = () => process.exit(1); export const live = () => 'alive';");
    await assert.rejects(service.call("die"), { code: "FARM_UNHEALTHY" });
    await until(async () => (await service.call("live").catch(() => undefined)) === "alive", "another worker");
  });

  it("is deployed by a farm, on all members", async () => {
    const farms = new Farms();
    try {
      const [one, two] = [moduleService(PATIENT), moduleService(PATIENT)];
      const nodes = [farms.node("a", { handlers: { app: one } }), farms.node("b", { handlers: { app: two } })];
      for (const node of nodes) await node.start();
      const deploy = (version: string, code: string) => {
        const { dir } = modules(`farm-${version}`, code);
        return nodes[0]?.farm.deploy({ name: "app", version, artifact: { directory: dir }, config: { answer: version } });
      };
      const code = "let answer; export const start = (config) => { answer = config.answer; }; export const ask = () => answer;";
      assert.equal((await deploy("1", code))?.ok, true);
      assert.deepEqual(await Promise.all([one.call("ask"), two.call("ask")]), ["1", "1"]);
      await assert.rejects(deploy("2", "syntax error") ?? Promise.resolve(), { code: "FARM_PREPARE_FAILED" });
      assert.deepEqual(await Promise.all([one.call("ask"), two.call("ask")]), ["1", "1"]);
      assert.equal((await deploy("3", code))?.ok, true);
      assert.deepEqual([one.version, two.version], ["3", "3"]);
      await nodes[1]?.farm.undeploy("app");
      assert.deepEqual([one.version, two.version], [null, null]);
    } finally {
      await farms.stop();
    }
  });
});
