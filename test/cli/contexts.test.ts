import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { createCluster } from "../../src/cluster/index.ts";
import { atEnd, place, Run } from "./run.ts";

/** A member in this process, with some contexts. */
async function member(t: TestContext, contexts = true) {
  const where = place(t);
  const cluster = createCluster({ group: "billing", node: "billing-1", store: where.store, leaseMs: 20_000, beatMs: 200, channel: { host: "127.0.0.1" }, contexts });
  await cluster.start();
  atEnd(t, () => cluster.stop());
  const run = (...args: string[]) => new Run(t, ["contexts", ...args, "--host", "127.0.0.1", "--node", "looker"], where.env);
  return { cluster, run };
}

describe("tribune contexts", () => {
  it("lists, gets and watches what the members have", async (t) => {
    const { cluster, run } = await member(t);
    const config = await cluster.contexts.create("config");
    const prices = await cluster.contexts.create("config/prices");
    config.set("limit", 3);
    config.set("evil", "\u001b[2J");
    prices.set("coffee", { cents: 250 });
    await cluster.contexts.flush();

    assert.equal((await run("ls").closed).stdout, "config  2\nconfig/prices  1\n");
    assert.deepEqual(JSON.parse((await run("ls", "config/prices", "--json").closed).stdout), [{ path: "config/prices", properties: 1 }]);
    assert.equal((await run("get", "config/prices", "coffee").closed).stdout, '{"cents":250}\n');
    const all = (await run("get", "config").closed).stdout;
    assert.match(all, /^evil {2}.*\nlimit {2}3\n$/);
    assert.ok(!all.includes("\u001b"), "nothing that a terminal acts upon");
    for (const [args, code] of [[["get", "nothing"], "CONTEXT_UNKNOWN"], [["get", "config", "nothing"], "PROPERTY_UNKNOWN"], [["ls", "nothing"], "CONTEXT_UNKNOWN"], [["get", "a//b"], "INVALID_NAME"]] as const) {
      const ended = await run(...args).closed;
      assert.deepEqual([ended.code === 0, ended.stderr.startsWith(`error ${code}: `)], [false, true], ended.stderr);
    }

    const watching = run("watch", "config/prices", "--json");
    await watching.line(/^watching config\/prices; /);
    config.set("limit", 4);
    prices.set("tea", 2);
    await cluster.contexts.flush();
    prices.delete("tea");
    await cluster.contexts.flush();
    await watching.event("deleted");
    assert.deepEqual(watching.events().map(({ event, path, key, value }) => [event, path, key, value]), [["set", "config/prices", "tea", 2], ["deleted", "config/prices", "tea", undefined]]);
    watching.process.kill("SIGINT");
    assert.equal((await watching.closed).code, 0);
    const early = run("watch", "later");
    await early.line(/^watching later, which is not there yet; /);
    early.process.kill("SIGINT");
    assert.equal((await early.closed).code, 0);
    assert.deepEqual(cluster.view.members.map(({ node }) => node), ["billing-1"], "it has left again");
  });

  it("says so where nobody gives any", async (t) => {
    const { run } = await member(t, false);
    const ended = await run("ls", "--timeout-ms", "1500").closed;
    assert.deepEqual([ended.code, ended.stdout], [1, ""]);
    assert.match(ended.stderr, /^error STATE_UNAVAILABLE: no member of billing gave its contexts within 1500 ms/);
  });
});
