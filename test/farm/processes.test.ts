import assert from "node:assert/strict";
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, createReadStream, existsSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import type { AppRecord, FarmStatus } from "../../src/farm/index.ts";
import { postgresForSuite } from "../support/postgres-suite.ts";
import { until } from "./farms.ts";
import type { MemberOrder, MemberState, MemberWords } from "./member.ts";

/** So much is deployed; TRIBUNE_TEST_FARM_MIB says otherwise. */
const MIB = Number(process.env["TRIBUNE_TEST_FARM_MIB"] ?? 16);

/** A store, and a look at it past all members. */
interface Store {
  readonly url: string;
  record(): Promise<AppRecord>;
}

/** Processes of one group on a store, and on TCP. */
class Processes {
  readonly folder = mkdtempSync(join(tmpdir(), "tribune-farm-processes-"));
  readonly store: Store;
  readonly #all: ChildProcess[] = [];

  /** `store`: made where the folder is all there is. */
  constructor(t: TestContext, store: (folder: string) => Store) {
    this.store = store(this.folder);
    t.after(async () => {
      for (const member of this.#all.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
        member.kill("SIGKILL");
        await once(member, "exit");
      }
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  /** The process, before it has started. */
  fork(name: string): ChildProcess {
    const member = fork(join(import.meta.dirname, "member.ts"), [name, this.store.url, join(this.folder, name)]);
    this.#all.push(member);
    return member;
  }

  async start(name: string): Promise<ChildProcess> {
    const member = this.fork(name);
    await hears(member, "started");
    return member;
  }

  artifacts(name: string): string {
    return join(this.folder, name, "artifacts");
  }
}

/** What a member says next, which has to be that. */
async function hears<Kind extends keyof MemberWords>(member: ChildProcess, kind: Kind): Promise<MemberWords[Kind]> {
  const over = new AbortController();
  const { signal } = over;
  const ended = once(member, "exit", { signal }).then(([code, by]) => Promise.reject(new Error(`a member ended: ${code} ${by}`)));
  ended.catch(() => undefined);
  const [word] = (await Promise.race([once(member, "message", { signal }), ended]).finally(() => over.abort())) as [MemberWords];
  assert.deepEqual(Object.keys(word), [kind], JSON.stringify(word));
  return word[kind];
}

async function stateOf(member: ChildProcess, order: MemberOrder = {}): Promise<MemberState> {
  member.send(order);
  return await hears(member, "state");
}

/** What a deployment comes to, by that member. */
async function deployed(member: ChildProcess, version: string, file: string): Promise<readonly string[]> {
  member.send({ deploy: { version, file } });
  return await hears(member, "deployed");
}

function fileOf(path: string, mib: number): string {
  const hash = createHash("sha256");
  const file = openSync(path, "w");
  for (let n = 0; n < mib; n++) {
    const bytes = randomBytes(2 ** 20);
    hash.update(bytes);
    writeSync(file, bytes);
  }
  closeSync(file);
  return hash.digest("hex");
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path) as AsyncIterable<Buffer>) hash.update(bytes);
  return hash.digest("hex");
}

const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0);

describe("a farm of processes", () => {
  it("goes on with a large artifact where a member was killed half-way", async (t) => {
    const world = new Processes(t, sqliteIn);
    const size = MIB * 2 ** 20;
    const digest = fileOf(join(world.folder, "large"), MIB);
    const [a, b, c] = [await world.start("a"), await world.start("b"), await world.start("c")];
    const deploying = deployed(a, "1", join(world.folder, "large"));
    const part = join(world.artifacts("c"), `${digest}.part`);
    await until(() => sizeOf(part) > size / 2, "half of it is at c");
    c.kill("SIGKILL");
    await once(c, "exit");
    const kept = sizeOf(part);
    assert.ok(kept > size / 2 && kept < size, `${kept} of ${size} bytes when it was killed`);
    const again = await world.start("c");
    for (const row of await deploying) assert.match(row, /^[abc] applied 1$/);
    const [atA, atB, atC] = [await stateOf(a), await stateOf(b), await stateOf(again)];
    assert.equal(atC.running, "1");
    assert.equal(atC.bytesFetched, size - kept);
    assert.equal(atB.bytesFetched, size);
    assert.equal(await digestOf(join(world.artifacts("c"), digest)), digest);
    const given = atA.bytesGiven + atB.bytesGiven;
    // What was under way when it was killed is sent again: no more than the pieces that are asked for at once.
    assert.ok(given >= 2 * size && given <= 2 * size + 8 * 2 ** 20, `${given} bytes were given`);
    t.diagnostic(`${size} bytes to two members, one killed with ${kept} of them: ${given} bytes given, ${given - 2 * size} more than twice the artifact; c fetched ${atC.bytesFetched} after its restart`);
  });
});

/** What becomes of a change, and where the coordinator is killed meanwhile: before it writes its decision, or when that is written, of which no hint comes to anybody. */
const ROUNDS = [
  { result: "committed", dieAt: "before" },
  { result: "rolled-back", dieAt: "before" },
  { result: "committed", dieAt: "after" },
  { result: "rolled-back", dieAt: "after" },
] as const;

/** What all stores have to bring about; `place` answers a store of the test's own, or skips the test. */
function decisions(place: (t: TestContext) => Promise<((folder: string) => Store) | undefined>): void {
  it("come to one decision where one coordinator after the other is killed with it in its hands", async (t) => {
    const made = await place(t);
    if (made === undefined) return;
    const world = new Processes(t, made);
    const { store } = world;
    const file = join(world.folder, "small");
    fileOf(file, 1);
    const a = await world.start("a");
    const [b, c] = await Promise.all([world.start("b"), world.start("c")]);
    const members = new Map([["a", a], ["b", b], ["c", c]]);
    assert.deepEqual((await deployed(c, "0", file)).toSorted(), ["a applied 0", "b applied 0", "c applied 0"]);
    const ends = ["0 committed"];
    let runs = "0";
    for (const [n, { result, dieAt }] of ROUNDS.entries()) {
      const coordinator = (await stateOf([...members.values()][n % 3] ?? a)).coordinator ?? assert.fail("there is no coordinator");
      const survivors = [...members].filter(([name]) => name !== coordinator);
      const [first, second] = survivors.map(([, member]) => member) as [ChildProcess, ChildProcess];
      const version = result === "committed" ? String(n + 1) : `not-for-${survivors[1]?.[0]}-${n + 1}`;
      if (result === "committed") runs = version;
      ends.unshift(`${version} ${result}`);

      const dying = members.get(coordinator) ?? assert.fail(coordinator);
      await stateOf(dying, { dieAtDecision: dieAt });
      for (const survivor of [first, second]) await stateOf(survivor, { isDeaf: dieAt === "after" });
      const killed = once(dying, "exit");
      first.send({ deploy: { version, file } });
      const answer = result === "committed" ? hears(first, "deployed") : hears(first, "failed");
      assert.equal((await killed)[1], "SIGKILL");
      if (dieAt === "after") assert.equal((await store.record()).outcomes[0]?.version, version, "the decision is there");
      if (result === "committed") for (const [name] of survivors) assert.ok((await answer).includes(`${name} applied ${version}`), String(await answer));
      else assert.match(String(await answer), new RegExp(`^FARM_PREPARE_FAILED: .* because of ${survivors[1]?.[0]}: `));

      const { change, current, outcomes } = await store.record();
      assert.deepEqual([change, current?.version, outcomes.map((end) => `${end.version} ${end.result}`)], [null, runs, ends]);
      for (const survivor of [first, second]) {
        survivor.send({ decided: version });
        assert.deepEqual(await hears(survivor, "decided"), [`${version} ${result}`]);
      }
      members.set(coordinator, await world.start(coordinator));
      for (const member of members.values()) {
        assert.equal((await stateOf(member)).running, runs);
        const status = await settled(member);
        assert.deepEqual([status.desired?.version, status.change, status.last], [runs, null, outcomes[0]]);
        assert.deepEqual(status.members.map((row) => `${row.node} ${row.state} ${row.version}`).toSorted(), ["a", "b", "c"].map((name) => `${name} applied ${runs}`));
      }
      assert.deepEqual((await store.record()).outcomes, outcomes);
    }
  });
}

/** What `status` says once nobody's report is missing any more: a member that has started has written its own, or is about to. */
async function settled(member: ChildProcess): Promise<FarmStatus> {
  let status: FarmStatus | undefined;
  await until(async () => {
    member.send({ status: true });
    [status] = await hears(member, "status");
    return status?.members.length === 3 && status.members.every(({ state }) => state !== "pending");
  }, "the reports of all three");
  return status ?? assert.fail();
}

function sqliteIn(folder: string): Store {
  const path = join(folder, "cluster.db");
  const record = async () => {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 10_000 });
    try {
      return JSON.parse(String(database.prepare("select body from tribune_document where name = 'farm.app.app'").get()?.["body"])) as AppRecord;
    } finally {
      database.close();
    }
  };
  return { url: `sqlite:${path}`, record };
}

describe("members on SQLite", () => decisions(async () => sqliteIn));

describe("members on PostgreSQL", () => {
  const postgres = postgresForSuite();
  decisions(async (t) => {
    const server = postgres(t);
    if (server === undefined) return undefined;
    const { name, url } = await server.createDatabase();
    const record = async () => {
      const [row] = await server.query("select body from tribune.documents where name = 'farm.app.app'", [], { database: name });
      return JSON.parse(String(row?.["body"])) as AppRecord;
    };
    return () => ({ url, record });
  });
});
