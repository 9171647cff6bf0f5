import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { cpuTimeMs } from "../../bench/processes.ts";

describe("processor time of a process and its descendants", { skip: process.platform === "linux" ? false : "only Linux has /proc" }, () => {
  it("grows by what a child uses, while it runs and after it has ended", async () => {
    const before = cpuTimeMs(process.pid);
    const child = spawn(process.execPath, ["--eval", "while (process.cpuUsage().user < 300_000); process.stdout.write('used'); process.stdin.once('data', () => process.exit())"], { stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data");
    assert.ok(cpuTimeMs(child.pid as number) >= 250);
    const during = cpuTimeMs(process.pid);
    assert.ok(during - before >= 250, `${during} after ${before}`);
    child.stdin.write("go");
    await once(child, "exit");
    assert.ok(cpuTimeMs(process.pid) >= during);
  });

  it("is not a number for one that is not there", () => assert.ok(Number.isNaN(cpuTimeMs(2 ** 30))));
});
