import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { FAULT_KINDS, faultsFor } from "./catalogue.ts";
import { listText, readRequest, USAGE, UsageError } from "./options.ts";
import type { FaultOptions } from "./options.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

function read(...args: string[]): FaultOptions {
  const request = readRequest(args, () => 42);
  assert.ok(request.kind === "run");
  return request.options;
}

describe("the options of a run of faults", () => {
  it("have defaults, and a seed that is new each time", () => {
    assert.deepEqual(read("--store-kind", "sqlite"), {
      storeKind: "sqlite",
      minutes: 1,
      seed: 42,
      nodes: 5,
      leaseMs: 2_000,
      beatMs: 500,
      crashDetection: "evidence",
      only: [],
      loopback: false,
      settleMs: undefined,
      json: false,
      out: undefined,
      keep: false,
    });
  });

  it("take what is given", () => {
    const options = read("--store-kind", "postgres", "--minutes", "0.5", "--seed", "7", "--nodes", "4", "--only", "kill, cut,kill", "--lease", "4000", "--crash-detection", "lease", "--json", "--out", "x", "--keep", "--loopback");
    const { minutes, seed, nodes, only, leaseMs, beatMs, crashDetection, json, out, keep, loopback } = options;
    assert.deepEqual({ minutes, seed, nodes, only, leaseMs, beatMs, crashDetection, json, out, keep, loopback }, { minutes: 0.5, seed: 7, nodes: 4, only: ["kill", "cut"], leaseMs: 4_000, beatMs: 1_000, crashDetection: "lease", json: true, out: "x", keep: true, loopback: true });
  });

  it("ask for help, or for the list", () => {
    assert.deepEqual(readRequest(["--help"], () => 1), { kind: "help" });
    assert.deepEqual(readRequest(["--list"], () => 1), { kind: "list", storeKind: undefined });
    assert.equal(listText(undefined).split("\n").length, FAULT_KINDS.length);
    assert.equal(listText("sqlite").split("\n").length, faultsFor("sqlite").length);
    for (const option of ["--store-kind", "--minutes", "--seed", "--nodes", "--only", "--list", "--out", "--keep", "--json", "--crash-detection"]) assert.ok(USAGE.includes(option), option);
  });

  for (const [args, says] of [
    [[], /--store-kind is missing/],
    [["--store-kind", "oracle"], /--store-kind must be one of postgres, mariadb, etcd, etcd-ensemble, zookeeper, zookeeper-ensemble, sqlite, not "oracle"/],
    [["--store-kind", "sqlite", "--minutes", "0"], /--minutes must be a number/],
    [["--store-kind", "sqlite", "--minutes", ""], /--minutes must be a number/],
    [["--store-kind", "sqlite", "--seed", "1.5"], /--seed must be a whole number/],
    [["--store-kind", "sqlite", "--nodes", "2"], /--nodes must be a whole number from 3/],
    [["--store-kind", "sqlite", "--only", "kil"], /there is no fault "kil"/],
    [["--store-kind", "sqlite", "--only", ""], /there is no fault ""/],
    [["--store-kind", "sqlite", "--only", "promote"], /promote cannot be done to sqlite/],
    [["--store-kind", "sqlite", "--lease", "1000", "--beat", "900"], /--beat must be at most half/],
    [["--store-kind", "sqlite", "--crash-detection", "none"], /--crash-detection must be one of/],
    [["--store-kind", "sqlite", "more"], /more/],
    [["--nonsense"], /nonsense/],
  ] as const) {
    it(`refuse ${args.join(" ") || "nothing at all"}`, () => {
      assert.throws(() => readRequest([...args], () => 42), (error: unknown) => error instanceof UsageError && says.test(error.message));
    });
  }

  it("that ask for what cannot be done end the command with 2 as well", async () => {
    await assert.rejects(promisify(execFile)(process.execPath, [MAIN, "--store-kind", "sqlite", "--out", import.meta.dirname]), (error: { readonly code: number; readonly stderr: string }) => error.code === 2 && /is not empty; --out needs a folder of its own/.test(error.stderr));
  });

  it("that are wrong end the command with 2 and say what is wrong", async () => {
    await assert.rejects(promisify(execFile)(process.execPath, [MAIN, "--store-kind", "oracle"]), (error: { readonly code: number; readonly stderr: string }) => error.code === 2 && /--store-kind must be one of/.test(error.stderr));
  });
});
