import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { localContexts } from "../../src/contexts/index.ts";
import type { Contexts, PropertyEvent } from "../../src/contexts/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";

const failing = (code: string) => ({ code });

async function withConfig(contexts: Contexts = localContexts()) {
  return { contexts, config: await contexts.create("config") };
}

describe("contexts of one node", () => {
  it("are a tree of bags", async () => {
    const { contexts, config } = await withConfig();
    const prices = await contexts.open("config/prices");
    prices.set("eur", 2);
    prices.set("usd", { cents: [1, 2] });
    assert.deepEqual([prices.id, prices.parent, prices.path, prices.keys(), prices.entries()], ["prices", "config", "config/prices", ["eur", "usd"], [["eur", 2], ["usd", { cents: [1, 2] }]]]);
    assert.deepEqual([contexts.list(), contexts.list("config"), config.keys(), config.get("eur"), config.has("eur")], [["config"], ["config/prices"], [], undefined, false]);
    assert.equal((await contexts.open("config/prices")).get("eur"), 2);
    assert.equal(contexts.get("config/nothing"), undefined);
  });

  it("see at once what is set, and count it when it is flushed", async () => {
    const { config } = await withConfig();
    config.set("limit", 1);
    assert.deepEqual([config.get("limit"), config.version("limit")], [1, null]);
    const report = await config.flush();
    assert.deepEqual([report.properties, report.ok, report.dropped, typeof config.version("limit")], [1, true, [], "string"]);
    assert.deepEqual([config.delete("limit"), config.has("limit"), config.delete("limit")], [true, false, false]);
    assert.deepEqual([(await config.flush()).properties, config.version("limit"), (await config.flush()).properties], [1, null, 0]);
  });

  it("refuse what is wrong, by a code, and change nothing", async () => {
    const { contexts, config } = await withConfig();
    config.set("limit", 1);
    await assert.rejects(contexts.create("config"), failing("CONTEXT_EXISTS"));
    await assert.rejects(contexts.create("nothing/here"), failing("CONTEXT_UNKNOWN"));
    for (const path of ["a//b", "/a", "a/", "__proto__", "a b", "config/../x"]) await assert.rejects(contexts.create(path), failing("INVALID_NAME"), path);
    assert.throws(() => contexts.get("/"), failing("INVALID_NAME"));
    const loop: unknown[] = [];
    loop.push(loop);
    for (const value of [loop, 1n, () => 1, "x".repeat(100_000_000), undefined, new Date(0)]) assert.throws(() => config.set("limit", value), failing("VALUE_INVALID"));
    for (const key of ["__proto__", "", "a\u0000b"]) assert.throws(() => config.set(key, 1), failing("INVALID_NAME"));
    assert.throws(() => config.touch("nothing"), failing("PROPERTY_UNKNOWN"));
    await contexts.create("config/below");
    await assert.rejects(contexts.remove("config"), failing("CONTEXT_NOT_EMPTY"));
    await assert.rejects(contexts.remove("nothing"), failing("CONTEXT_UNKNOWN"));
    assert.throws(() => contexts.list("nothing"), failing("CONTEXT_UNKNOWN"));
    assert.deepEqual([config.get("limit"), contexts.list(), contexts.list("config")], [1, ["config"], ["config/below"]]);
  });

  it("that are made again have nothing of what was touched before, in or outside of a unit of work", async () => {
    const { contexts, config } = await withConfig();
    const again = async () => {
      await contexts.remove("config");
      return await contexts.create("config");
    };
    config.set("a", 1);
    const second = await again();
    assert.deepEqual([second.keys(), second.get("a")], [[], undefined]);
    second.set("b", 2);
    assert.deepEqual((await contexts.flush()).dropped, ["config: a"]);
    assert.deepEqual((await contexts.flush()).dropped, []);
    assert.deepEqual((await contexts.open("config")).entries(), [["b", 2]]);
    await contexts.run(async () => {
      second.set("c", 3);
      await again();
      second.set("d", 4);
      assert.deepEqual((await contexts.open("config")).entries(), [["d", 4]]);
    });
    assert.deepEqual((await contexts.open("config")).entries(), [["d", 4]]);
  });

  it("are gone with those above them, and may come again, empty", async () => {
    const { contexts, config } = await withConfig();
    const below = await contexts.create("config/below");
    below.set("a", 1);
    await contexts.flush();
    below.set("b", 2);
    await contexts.remove("config", { recursive: true });
    for (const context of [config, below]) assert.throws(() => context.get("a"), failing("CONTEXT_UNKNOWN"));
    assert.deepEqual((await contexts.flush()).dropped, ["config/below: b"]);
    await contexts.create("config");
    await contexts.create("config/below");
    assert.deepEqual([below.keys(), contexts.stats.tombstones], [[], 0]);
  });

  it("find out by touch what was changed in place", async () => {
    const { contexts, config } = await withConfig();
    config.set("limits", { max: 1 });
    await contexts.flush();
    const limits = config.get("limits") as { max: number; more?: unknown };
    limits.max = 2;
    assert.equal((await contexts.flush()).properties, 0);
    config.touch("limits");
    assert.equal((await contexts.flush()).properties, 1);
    assert.equal(config.get("limits"), limits);
    limits.more = () => 1;
    config.touch("limits");
    config.set("other", 1);
    await assert.rejects(contexts.flush(), { code: "VALUE_INVALID", message: /^config: limits\.more is a function/ });
    assert.equal(config.version("other"), null, "all or nothing");
    delete limits.more;
    assert.equal((await contexts.flush()).properties, 2);
  });

  it("find it out by themselves where they are tracked", async () => {
    const { contexts, config } = await withConfig(localContexts({ track: true }));
    config.set("a", { list: [1] });
    config.set("b", { list: [1] });
    config.set("c", 1);
    await contexts.flush();
    (config.get("a") as { list: number[] }).list.push(2);
    const changes: PropertyEvent[] = [];
    contexts.on("change", (event) => changes.push(event));
    assert.equal((await contexts.flush()).properties, 1);
    assert.equal((await contexts.flush()).properties, 0);
    assert.deepEqual(changes.map(({ key, value }) => [key, value]), [["a", { list: [1, 2] }]]);
  });

  it("decide by versions", async () => {
    const { config } = await withConfig();
    assert.equal(await config.set("a", 1, { ifVersion: null }), true);
    const version = config.version("a");
    assert.equal(await config.set("a", 2, { ifVersion: null }), false);
    assert.equal(await config.set("a", 2, { ifVersion: version }), true);
    assert.equal(await config.set("a", 3, { ifVersion: version }), false);
    assert.equal(await config.delete("a", { ifVersion: version ?? "" }), false);
    for (const options of [{ ifVersion: undefined }, { ifVersion: 5 }, { ifversion: null }, {}] as never[]) await assert.rejects(config.set("a", 4, options), { code: "INVALID_OPTIONS" });
    assert.equal(config.get("a"), 2);
    assert.equal(await config.delete("a", { ifVersion: config.version("a") ?? "" }), true);
    assert.equal(config.has("a"), false);
  });

  it("keep a unit of work to itself until it ends, and forget it if it throws", async () => {
    const { contexts, config } = await withConfig();
    config.set("limits", { max: 1 });
    await contexts.flush();
    config.set("outside", 1);
    const seen: unknown[] = [];
    await contexts.run(async () => {
      config.set("inside", 1);
      await contexts.run(() => config.set("within", 1));
      seen.push(config.get("inside"), config.get("within"), config.get("outside"));
      await Promise.resolve();
    });
    assert.deepEqual([seen, config.get("inside"), typeof config.version("within"), config.version("outside")], [[1, 1, 1], 1, "string", null]);
    const failed = contexts.run(async () => {
      config.set("inside", 2);
      (config.get("limits") as { max: number }).max = 7;
      config.touch("limits");
      await Promise.resolve();
      throw new RangeError("no");
    });
    assert.equal(config.get("inside"), 1);
    await assert.rejects(failed, RangeError);
    assert.deepEqual([config.get("inside"), config.get("limits")], [1, { max: 1 }]);
    assert.equal(await contexts.run(() => 7), 7);
  });

  it("tell of changes in order, once, by context and by property", async () => {
    const { contexts, config } = await withConfig();
    const told: string[] = [];
    contexts.on("created", ({ path }) => told.push(`+${path}`));
    contexts.on("removed", ({ path }) => told.push(`-${path}`));
    contexts.on("change", ({ path, key, deleted, value, local }) => told.push(`${path}.${key}=${deleted ? "deleted" : String(value)} ${local}`));
    const other = await contexts.create("other");
    const byKey: unknown[] = [];
    const off = config.onChange(({ value }) => byKey.push(value), { key: "a" });
    config.onChange(() => {
      throw new Error("a listener of somebody's");
    });
    // A change by a listener is told after the one that it was made for.
    other.onChange(({ key }) => {
      if (key === "x") void contexts.run(() => other.set("y", 2));
    });
    config.set("a", 1);
    config.set("b", 2);
    other.set("x", 1);
    await contexts.flush();
    off();
    config.set("a", 3);
    config.delete("b");
    await contexts.flush();
    await contexts.remove("config");
    assert.deepEqual(byKey, [1]);
    assert.deepEqual(told, ["+other", "config.a=1 true", "config.b=2 true", "other.x=1 true", "other.y=2 true", "config.a=3 true", "config.b=deleted true", "-config"]);
  });

  it("flush by themselves every so often, if they are told to", async () => {
    const clock = new VirtualClock();
    using contexts = localContexts({ flush: { everyMs: 100 } }, { clock });
    const config = await contexts.create("config");
    const errors: string[] = [];
    contexts.on("error", ({ error }) => errors.push(error.code));
    const value: Record<string, unknown> = { max: 1 };
    config.set("limits", value);
    await clock.advance(99);
    assert.equal(config.version("limits"), null);
    await clock.advance(1);
    assert.equal(typeof config.version("limits"), "string");
    value["bad"] = 1n;
    config.touch("limits");
    await clock.advance(100);
    delete value["bad"];
    const before = config.version("limits");
    await clock.advance(100);
    assert.deepEqual([errors, before === config.version("limits")], [["VALUE_INVALID"], false]);
  });

  it("may be of one node all the same in a tree that is shared, with what is below them", async () => {
    const { contexts } = await withConfig();
    const call = await contexts.create("config/call-17", { replicated: false });
    const part = await contexts.create("config/call-17/part");
    call.set("a", 1);
    const report = await contexts.flush();
    assert.deepEqual([call.replicated, part.replicated, report.properties, call.get("a"), contexts.list("config")], [false, false, 0, 1, ["config/call-17"]]);
    await contexts.remove("config", { recursive: true });
    assert.throws(() => call.get("a"), failing("CONTEXT_UNKNOWN"));
    await contexts.create("config");
    assert.equal(contexts.get("config/call-17"), undefined, "it does not come back with the one above it");
  });
});
