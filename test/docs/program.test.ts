import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { storeFromUrl } from "../../src/cluster/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import type { GroupReading, StoreProvider } from "../../src/store/index.ts";
import { findEtcd, startEtcd } from "../support/etcd-server.ts";
import { postgresForTests } from "../support/postgres-server.ts";
import { requireOrSkip } from "../support/required.ts";
import { findZookeeper, startZookeeper } from "../support/zookeeper-server.ts";
import { readmeProgram, Running, withStore, writeProject } from "./program.ts";

const homes: string[] = [];

after(() => {
  for (const home of homes) rmSync(home, { recursive: true, force: true });
});

describe("the README's program", () => {
  it("has at most fifteen lines, and one that names the store", () => {
    const { text } = readmeProgram();
    assert.ok(text.split("\n").filter((line) => line.trim() !== "").length <= 15);
    assert.match(text, /^\s*store: "sqlite:[^"/]+",$/m);
  });

  it("runs as it stands: it leads, and SIGTERM ends it in good order", async () => {
    const { text, file } = readmeProgram();
    const home = newHome();
    writeProject(home, file, text);
    const path = /store: "sqlite:([^"]+)"/.exec(text)?.[1] ?? "";
    await leadAndStop(home, file, () => storeFromUrl(`sqlite:${join(home, path)}`), text);
  });

  it("runs on PostgreSQL with only the store line changed", async (t) => {
    const server = await postgresForTests();
    if ("missing" in server) return requireOrSkip(t, "postgres", server.missing);
    try {
      const { url } = await server.createDatabase();
      const { text, file } = readmeProgram();
      const home = newHome();
      writeProject(home, file, withStore(text, url));
      await leadAndStop(home, file, () => storeFromUrl(url), text);
    } finally {
      await server.stop();
    }
    return undefined;
  });

  it("runs on etcd with only the store line changed", async (t) => {
    const programs = await findEtcd();
    if ("missing" in programs) return requireOrSkip(t, "etcd", programs.missing);
    const cluster = await startEtcd({ programs });
    try {
      const { text, file } = readmeProgram();
      const home = newHome();
      writeProject(home, file, withStore(text, cluster.url));
      await leadAndStop(home, file, () => storeFromUrl(cluster.url), text);
    } finally {
      await cluster.stop();
    }
    return undefined;
  });

  it("runs on ZooKeeper with only the store line changed", async (t) => {
    const programs = await findZookeeper();
    if ("missing" in programs) return requireOrSkip(t, "zookeeper", programs.missing);
    const server = await startZookeeper({ programs });
    try {
      const { text, file } = readmeProgram();
      const home = newHome();
      writeProject(home, file, withStore(text, server.url));
      await leadAndStop(home, file, () => storeFromUrl(server.url), text);
    } finally {
      await server.stop();
    }
    return undefined;
  });

  it("succeeds itself: a second process takes over from one that was killed, with a greater token", async () => {
    const { text, file } = readmeProgram();
    const home = newHome();
    writeProject(home, file, text);
    const first = new Running(home, file);
    const firstToken = tokenIn(await first.line(/token/));
    const second = new Running(home, file);
    await second.line(/joined/);
    await first.end("SIGKILL");
    const secondToken = tokenIn(await second.line(/token/));
    assert.ok(secondToken > firstToken, `${secondToken} after ${firstToken}`);
    await second.end("SIGTERM");
  });
});

describe("changing the store line", () => {
  it("changes nothing else, and refuses a program without one such line", () => {
    assert.equal(withStore('a\n  store: "x",\nb', "postgres://h/d"), 'a\n  store: "postgres://h/d",\nb');
    assert.throws(() => withStore("a", "x"), /0 lines/);
    assert.throws(() => withStore("store: 1,\nstore: 2,", "x"), /2 lines/);
  });
});

/** Runs the program until it leads, ends it, and looks at what it left in the store: nothing held, nobody there. */
async function leadAndStop(home: string, file: string, open: () => StoreProvider, text: string): Promise<void> {
  const group = /group: "([^"]+)"/.exec(text)?.[1] ?? "";
  const program = new Running(home, file);
  const token = tokenIn(await program.line(/token/));
  const during = await readGroup(open(), group);
  const led = during.elections.filter(({ election }) => election !== "coordinator");
  assert.deepEqual(led.map((row) => [row.token, row.holder === null]), [[token, false]]);
  const end = await program.end("SIGTERM");
  assert.ok(end.code === 0 || end.signal === "SIGTERM", `it ended with ${end.signal ?? end.code}`);
  assert.equal(program.stderr, "");
  const after = await readGroup(open(), group);
  assert.deepEqual(after.elections.map(({ election, holder }) => [election, holder]), after.elections.map(({ election }) => [election, null]));
  assert.deepEqual(after.presence.filter(({ state }) => state === "alive"), []);
}

async function readGroup(store: StoreProvider, group: string): Promise<GroupReading> {
  const session = await store.open({ group, node: "reader", clock: systemClock, random: systemRandom, logger: silentLogger, deadlineMs: 10_000, statementLimitMs: 10_000, createSchema: false });
  try {
    const reading = await session.readGroup({ deadlineMs: 10_000 });
    assert.ok(reading !== null, `there is no group ${group}`);
    return reading;
  } finally {
    await session.close();
    await store.close();
  }
}

function tokenIn(line: string): number {
  return Number(/token\D*(\d+)/.exec(line)?.[1]);
}

function newHome(): string {
  const home = mkdtempSync(join(tmpdir(), "tribune-program-"));
  homes.push(home);
  return home;
}
