import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { isRunning, Run, until } from "./run.ts";
import { place } from "./run.ts";

/** The temporary folders that demos have made where this one makes its own. */
function leftovers(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith("tribune-demo-"));
}

function demo(t: TestContext, folder: string, ...args: string[]): Run {
  return new Run(t, ["demo", "--json", ...args], { TMPDIR: folder });
}

interface Step {
  readonly step: string;
  readonly ok: boolean;
  readonly nodes?: readonly { readonly pid: number }[];
}

describe("the demo", { skip: process.platform === "win32" ? "freezes processes with SIGSTOP" : false }, () => {
  it("ends with 0, its last line says ok, every step held, and nothing is left behind", async (t) => {
    const { folder } = place(t);
    assert.notEqual(folder, tmpdir());
    const ended = await demo(t, folder).closed;
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
    const steps = ended.stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as Step);
    assert.deepEqual(steps.map((step) => step.step), ["start", "elect", "write", "kill", "freeze", "wake", "rejoin", "resign", "check", "done"]);
    assert.ok(steps.every((step) => step.ok));
    assert.deepEqual(steps.at(-1)?.ok, true);
    assert.deepEqual(leftovers(folder), []);
    for (const { pid } of steps[0]?.nodes ?? []) assert.equal(isRunning(pid), false);
  });

  it("interrupted in the middle, it leaves neither processes nor files", async (t) => {
    const { folder } = place(t);
    const run = demo(t, folder);
    await run.line(/"step":"kill"/); // one is dead, another about to be frozen
    run.process.kill("SIGINT");
    assert.equal((await run.closed).code, 130);
    const { nodes } = run.events().find((event) => event["step"] === "start") as unknown as Step;
    assert.equal(nodes?.length, 3);
    for (const { pid } of nodes ?? []) assert.equal(isRunning(pid), false);
    assert.deepEqual(leftovers(folder), []);
  });

  it("killed with SIGKILL, its nodes end by themselves", async (t) => {
    const { folder } = place(t);
    const run = demo(t, folder);
    await run.line(/"step":"elect"/);
    run.process.kill("SIGKILL");
    await run.exited;
    const { nodes } = run.events().find((event) => event["step"] === "start") as unknown as Step;
    for (const { pid } of nodes ?? []) await until(`process ${pid} ends`, () => !isRunning(pid));
  });

  it("with --keep the processes go on, whoever is killed, until SIGINT ends it with 0", async (t) => {
    const { folder } = place(t);
    const run = demo(t, folder, "--keep");
    await run.line(/"step":"keep"/);
    const { nodes } = run.events().find((event) => event["step"] === "start") as unknown as Step;
    const alive = (nodes ?? []).map(({ pid }) => pid).filter(isRunning);
    assert.equal(alive.length, 2, "the one that was killed has been replaced by another process");
    process.kill(alive[0] as number, "SIGKILL");
    await until("it is gone", () => !isRunning(alive[0] as number));
    run.process.kill("SIGINT");
    const ended = await run.closed;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stdout, /"step":"done","ok":true/);
    for (const pid of alive) assert.equal(isRunning(pid), false);
    assert.deepEqual(leftovers(folder), []);
  });
});
