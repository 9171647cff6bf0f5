import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { openAdmin } from "../../src/admin/index.ts";
import { atEnd, isRunning, place, Run, tribune, until } from "./run.ts";
import type { Place } from "./run.ts";

/** A lease that the busiest machine keeps, where nobody waits for its end; beats are short, since an operator's request comes with one. */
const TIMING = ["--lease-ms", "20000", "--beat-ms", "200", "--stop-budget-ms", "600"];

/** Where somebody does. Commander takes the last one. */
const SHORT_LEASE = ["--lease-ms", "3000"];

const POSIX = { skip: process.platform === "win32" ? "process groups and signals are those of POSIX" : false };

function lead(t: TestContext, where: Place, node: string, script: string, ...options: string[]): Run {
  return new Run(t, ["lead", "--election", "scheduler", "--node", node, "--json", ...TIMING, ...options, "--", "sh", "-c", script], where.env);
}

/** A command that says who it is and goes on; it is replaced by `sleep`, so that its number stays the same. */
const STAYS = 'echo "runs $$ $TRIBUNE_TOKEN"; exec sleep 300';

/** One that does not listen to SIGTERM. */
const DEAF = 'trap "" TERM; echo "runs $$ $TRIBUNE_TOKEN"; while :; do sleep 1; done';

async function runs(run: Run, after = 0): Promise<{ readonly pid: number; readonly token: bigint }> {
  const match = await run.line(/^runs (\d+) (\d+)$/, after);
  return { pid: Number(match[1]), token: BigInt(match[2] as string) };
}

/** When the store wrote that a term of `scheduler` ended, by the clock of this host. */
async function termEndedAt(where: Place, token: bigint): Promise<number> {
  const admin = openAdmin({ store: where.store, group: "billing" });
  try {
    let at: string | undefined;
    await until(`term ${token} has ended`, async () => {
      const { events } = await admin.events({ limit: 1_000 });
      at = events.find((event) => event.subject === "scheduler" && event.detail["token"] === String(token) && event.type === "term-ended")?.at;
      return at !== undefined;
    });
    return Date.parse(at as string);
  } finally {
    await admin.close();
  }
}

describe("tribune lead", POSIX, () => {
  it("runs the command with token, election, node and group in its environment, and stops both on SIGTERM with 0", async (t) => {
    const where = place(t);
    const run = lead(t, where, "ada", `trap 'echo "asked to stop"; exit 0' TERM; echo "env $TRIBUNE_TOKEN $TRIBUNE_ELECTION $TRIBUNE_NODE $TRIBUNE_GROUP"; while :; do sleep 0.05; done`);
    const [, token] = await run.line(/^env (\d+) scheduler ada billing$/);
    assert.equal((await run.event("leading"))["token"], token);
    run.process.kill("SIGTERM");
    const ended = await run.closed;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stdout, /asked to stop/);
    assert.deepEqual(run.events("exited").map((event) => [event["code"], event["signal"], event["by"]]), [[0, null, "stop"]]);
    assert.equal(run.events().at(-1)?.["event"], "left");
  });

  it("says transitions in words without --json, and leaves standard output to the command", async (t) => {
    const where = place(t);
    const ended = await tribune(t, ["lead", "--election", "scheduler", "--node", "ada", "--exit", ...TIMING, "--", "sh", "-c", "echo only this"], where.env);
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(ended.stdout, "only this\n");
    assert.match(ended.stderr, /ada contends for scheduler in billing\n(?:.*\n)*.*ada leads scheduler with token \d+\n(?:.*\n)*.*exited with code 0\n/);
  });

  it("a resignation that somebody asks for stops the command before the term is given up, and it contends again", async (t) => {
    const where = place(t);
    const run = lead(t, where, "ada", STAYS);
    const first = await runs(run);
    const resigned = await tribune(t, ["resign", "scheduler"], where.env);
    assert.equal(resigned.code, 0, resigned.stderr);
    const exited = await run.event("exited");
    assert.deepEqual([exited["signal"], exited["by"]], ["SIGTERM", "stop"]);
    assert.equal(isRunning(first.pid), false);
    assert.ok(Date.parse(String(exited["at"])) <= (await termEndedAt(where, first.token)));
    const second = await runs(run, 1);
    assert.ok(second.token > first.token);
    run.process.kill("SIGINT");
    assert.equal((await run.closed).code, 0);
    assert.equal(isRunning(second.pid), false);
  });

  it("a command that does not listen is killed before the term is given up", async (t) => {
    const where = place(t);
    const run = lead(t, where, "ada", DEAF);
    const { pid, token } = await runs(run);
    assert.equal((await tribune(t, ["resign", "scheduler"], where.env)).code, 0);
    const exited = await run.event("exited");
    assert.deepEqual([exited["signal"], exited["by"]], ["SIGKILL", "stop"]);
    assert.equal(isRunning(pid), false);
    assert.ok(Date.parse(String(exited["at"])) <= (await termEndedAt(where, token)));
    assert.deepEqual(run.events("error"), []);
  });

  it("the command's exit resigns, and after a pause it runs again with a greater token", async (t) => {
    const where = place(t);
    const run = lead(t, where, "ada", 'echo "runs $$ $TRIBUNE_TOKEN"; exit 3');
    const first = await runs(run);
    const second = await runs(run, 1);
    assert.ok(second.token > first.token);
    assert.deepEqual([(await run.event("exited"))["code"], (await run.event("exited"))["by"]], [3, "itself"]);
  });

  it("what the command leaves running is stopped with it", async (t) => {
    const where = place(t);
    const ended = await lead(t, where, "ada", 'sleep 300 >/dev/null 2>&1 & echo "left $!"; exit 0', "--exit").closed;
    const pid = Number(/left (\d+)/.exec(ended.stdout)?.[1]);
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(isRunning(pid), false);
  });

  for (const [script, code] of [["exit 7", 7], ["kill -KILL $$", 137], ["kill -TERM $$", 143], ["true", 0]] as const) {
    it(`with --exit, "${script}" ends it with ${code}, and nobody holds the election any more`, async (t) => {
      const where = place(t);
      const ended = await lead(t, where, "ada", script, "--exit").closed;
      assert.equal(ended.code, code, ended.stderr);
      const admin = openAdmin({ store: where.store, group: "billing" });
      atEnd(t, () => admin.close());
      assert.equal((await admin.elections()).find((election) => election.election === "scheduler")?.holder, null);
    });
  }

  it("a command that is not there is a coded error: exit code 1, with --exit 127", async (t) => {
    const where = place(t);
    const args = (...options: string[]) => ["lead", "--election", "scheduler", ...TIMING, ...options, "--", "no-such-command-here", "--flag"];
    const ended = await tribune(t, args(), where.env);
    const exits = await tribune(t, args("--exit"), where.env);
    for (const { stderr } of [ended, exits]) assert.match(stderr, /\nerror LEADER_FAILED: no-such-command-here could not be run: it was not found \(ENOENT\), /);
    assert.deepEqual([ended.code, exits.code], [1, 127]);
  });

  it("passes SIGUSR1 and, without a terminal, SIGHUP on, and goes on", async (t) => {
    const where = place(t);
    const run = lead(t, where, "ada", `trap 'echo got USR1' USR1; trap 'echo got HUP' HUP; echo ready; while :; do sleep 0.05; done`);
    await run.line(/^ready$/);
    run.process.kill("SIGUSR1");
    await run.line(/^got USR1$/);
    run.process.kill("SIGHUP");
    await run.line(/^got HUP$/);
    run.process.kill("SIGINT");
    assert.equal((await run.closed).code, 0);
  });

  it("when tribune lead is killed, the command dies before another node leads", async (t) => {
    const where = place(t);
    const ada = lead(t, where, "ada", DEAF, ...SHORT_LEASE);
    const first = await runs(ada);
    const ben = lead(t, where, "ben", STAYS, ...SHORT_LEASE);
    await ben.event("contending");
    ada.process.kill("SIGKILL");
    const second = await runs(ben);
    assert.equal(isRunning(first.pid), false);
    assert.ok(second.token > first.token);
    await ada.closed; // nobody holds its output: neither the guard nor the command is left
  });

  it("when tribune lead is killed, the command need not wait for the end of the lease", async (t) => {
    const where = place(t);
    // Whoever waited for the trust to run out here would wait for ten minutes.
    const run = lead(t, where, "ada", DEAF, "--lease-ms", "600000");
    const { pid } = await runs(run);
    run.process.kill("SIGKILL");
    await run.closed;
    assert.equal(isRunning(pid), false);
  });

  it("when tribune lead is frozen, the command dies before another node leads; woken, it contends again", async (t) => {
    const where = place(t);
    const ada = lead(t, where, "ada", DEAF, ...SHORT_LEASE);
    const first = await runs(ada);
    const ben = lead(t, where, "ben", STAYS, ...SHORT_LEASE);
    await ben.event("contending");
    ada.process.kill("SIGSTOP");
    const second = await runs(ben);
    assert.equal(isRunning(first.pid), false);
    assert.ok(second.token > first.token);
    ada.process.kill("SIGCONT");
    assert.deepEqual([(await ada.event("exited"))["by"], (await ada.event("exited"))["signal"]], ["trust", "SIGKILL"]);
    await ada.event("rejoined");
    assert.equal(ada.events("leading").length, 1, "it does not lead while the other does");
    ben.process.kill("SIGTERM");
    const third = await runs(ada, 1);
    assert.ok(third.token > second.token);
  });

  it("when the guard is killed, the command is killed from the other side", { skip: process.platform === "linux" ? false : "finds the guard by /proc" }, async (t) => {
    const where = place(t);
    const run = lead(t, where, "ada", STAYS);
    const { pid } = await runs(run);
    await run.event("started");
    const guard = Number(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ")[1]);
    process.kill(guard, "SIGKILL");
    assert.equal((await run.event("exited"))["by"], "guard lost");
    assert.equal(isRunning(pid), false);
    await runs(run, 1);
  });
});
