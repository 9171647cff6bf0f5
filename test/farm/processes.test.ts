import assert from "node:assert/strict";
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, createReadStream, existsSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { until } from "./farms.ts";

/** So much is deployed; TRIBUNE_TEST_FARM_MIB says otherwise. */
const MIB = Number(process.env["TRIBUNE_TEST_FARM_MIB"] ?? 16);

interface MemberState {
  readonly running: string | null;
  readonly coordinator: string | null;
  readonly members: readonly string[];
  readonly bytesFetched: number;
  readonly bytesGiven: number;
}

/** Processes of one group, on SQLite and TCP. */
class Processes {
  readonly folder = mkdtempSync(join(tmpdir(), "tribune-farm-processes-"));
  readonly #all: ChildProcess[] = [];

  constructor(t: TestContext) {
    t.after(async () => {
      for (const member of this.#all.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
        member.kill("SIGKILL");
        await once(member, "exit");
      }
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  /** The process, before it has started. */
  fork(name: string, ...more: string[]): ChildProcess {
    const member = fork(join(import.meta.dirname, "member.ts"), [name, join(this.folder, "cluster.db"), join(this.folder, name), ...more]);
    this.#all.push(member);
    return member;
  }

  async start(name: string, ...more: string[]): Promise<ChildProcess> {
    const member = this.fork(name, ...more);
    await hears<{ readonly started: MemberState }>(member);
    return member;
  }

  artifacts(name: string): string {
    return join(this.folder, name, "artifacts");
  }
}

async function hears<T>(member: ChildProcess): Promise<T> {
  const ended = once(member, "exit").then(([code, signal]) => Promise.reject(new Error(`a member ended: ${code} ${signal}`)));
  ended.catch(() => undefined);
  const [message] = (await Promise.race([once(member, "message"), ended])) as [T];
  return message;
}

async function stateOf(member: ChildProcess): Promise<MemberState> {
  member.send({});
  return (await hears<{ readonly state: MemberState }>(member)).state;
}

/** What a deployment comes to, by that member. */
async function deployed(member: ChildProcess, version: string, file: string): Promise<readonly string[]> {
  member.send({ deploy: { version, file } });
  const { deployed: members, failed } = await hears<{ readonly deployed?: readonly string[]; readonly failed?: string }>(member);
  assert.equal(failed, undefined);
  return members ?? [];
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
    const world = new Processes(t);
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

  for (const [dieAt, what] of [["before-decision", "between the last vote and the decision"], ["after-decision", "between the decision and its first effect"]] as const) {
    it(`commits everywhere when the coordinator is killed ${what}`, async (t) => {
      const world = new Processes(t);
      fileOf(join(world.folder, "small"), 1);
      const a = await world.start("a", dieAt);
      const [b, c] = [await world.start("b"), await world.start("c")];
      assert.equal((await stateOf(b)).coordinator, "a");
      const killed = once(a, "exit");
      const deploying = deployed(b, "1", join(world.folder, "small"));
      assert.equal((await killed)[1], "SIGKILL");
      const rows = await deploying;
      assert.ok(["b applied 1", "c applied 1"].every((row) => rows.includes(row)), rows.join());
      assert.deepEqual([(await stateOf(b)).running, (await stateOf(c)).running], ["1", "1"]);
      assert.equal((await stateOf(await world.start("a"))).running, "1");
    });
  }
});
