import assert from "node:assert/strict";
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";

/** A member as a process. */
class Member {
  readonly process: ChildProcess;
  readonly started: Promise<unknown>;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #last = 0;

  constructor(t: TestContext, node: string, store: string, durable = false) {
    this.process = fork(join(import.meta.dirname, "contexts-member.ts"), [node, store, durable ? "durable" : ""], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    t.after(() => void this.process.kill("SIGKILL"));
    this.started = this.#answer(0);
    this.process.on("message", ({ id, value, error }: { id: number; value: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(new Error(error));
    });
    this.process.on("exit", () => {
      for (const waiting of this.#waiting.values()) waiting.reject(new Error(`${node} has ended`));
    });
  }

  do(order: string, ...args: readonly unknown[]): Promise<unknown> {
    const id = ++this.#last;
    this.process.send({ id, order, args });
    return this.#answer(id);
  }

  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGKILL");
    await ended;
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }
}

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "tribune-contexts-"));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return `sqlite:${join(folder, "cluster.db")}`;
}

const all = (members: readonly Member[], order: string, ...args: readonly unknown[]) => Promise.all(members.map((each) => each.do(order, ...args)));

describe("contexts of three processes", () => {
  it("are the same on all of them, over TCP with the group's keys, whoever is killed or comes", async (t) => {
    const store = place(t);
    const [a, b] = [new Member(t, "a", store), new Member(t, "b", store)];
    await Promise.all([a.started, b.started]);
    await all([a, b], "members", 2);
    const values = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`k${n}`, `value ${n}`]));
    assert.deepEqual(await a.do("set", "config", values), { ok: true, properties: 500 });
    assert.deepEqual(await b.do("get", "config"), values);

    const c = new Member(t, "c", store);
    await c.started;
    assert.deepEqual(await c.do("get", "config"), values, "it has them when it has started");
    await all([a, b, c], "members", 3);
    assert.deepEqual(await c.do("set", "config", { k7: "changed" }), { ok: true, properties: 1 });
    for (const each of [a, b]) assert.equal(((await each.do("get", "config")) as Record<string, unknown>)["k7"], "changed");
    const won = await Promise.all([a, b, c].map((each, n) => each.do("setIf", "config", "owner", n, null)));
    assert.equal(won.filter((each) => each === true).length, 1, String(won));

    await a.kill(); // the coordinator, without a word
    await all([b, c], "members", 2);
    assert.deepEqual(await c.do("set", "config", { after: 1 }), { ok: true, properties: 1 });
    assert.equal(((await b.do("get", "config")) as Record<string, unknown>)["after"], 1);
    const again = new Member(t, "a", store);
    await again.started;
    assert.deepEqual(await again.do("get", "config"), await b.do("get", "config"));
    await all([again, b, c], "stop");
  });

  it("are there again after all of them have ended, where they are durable", async (t) => {
    const store = place(t);
    const [a, b] = [new Member(t, "a", store, true), new Member(t, "b", store, true)];
    await Promise.all([a.started, b.started]);
    await all([a, b], "members", 2);
    await a.do("set", "config", { limit: 1 });
    await b.do("set", "config/prices", { coffee: [250] });
    await b.do("remove", "config/prices");
    await b.do("set", "config/prices", { tea: [200] });
    await all([a, b], "stop");
    const [c, d] = [new Member(t, "c", store, true), new Member(t, "d", store, true)];
    await Promise.all([c.started, d.started]);
    for (const each of [c, d]) assert.deepEqual([await each.do("get", "config"), await each.do("get", "config/prices")], [{ limit: 1 }, { tea: [200] }]);
    await all([c, d], "stop");
  });
});
