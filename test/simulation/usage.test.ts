import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { drawPlan } from "../../src/testing/simulation/index.ts";
import { readOptions, UsageError } from "./options.ts";
import { nodeRelease } from "../packaging/node-releases.ts";
import { requireOrSkip } from "../support/required.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function simulate(args: readonly string[], program = process.execPath): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, [join(import.meta.dirname, "main.ts"), ...args], { maxBuffer: 1e8 }, (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err }));
  });
}

describe("npm run simulate", () => {
  it("prints seeds, simulated hours, faults, checks, violations and how many simulated hours a CPU minute buys", async () => {
    const { code, out } = await simulate(["--seeds", "8", "--first", "3", "--minutes", "0.5"]);
    assert.equal(code, 0, out);
    for (const part of [/seeds 3 to 10.*--seeds 8 --first 3/, /8 seeds, [\d.]+ simulated hours, [\d.]+ CPU minutes: [\d.]+ simulated hours per CPU minute/, /network 1 .*beyond 1/, /faults: .*cut \d+/, /checks: \d+ of histories/, /passed: 0 violations/]) assert.match(out, part);
  });

  it("with --json prints one value, and the digest of each history", async () => {
    const { code, out, err } = await simulate(["--seeds", "3", "--first", "3", "--minutes", "0.5", "--digest", "--json", "--nodes", "3", "--profile", "store"]);
    assert.equal(code, 0, err);
    const value = JSON.parse(out) as { readonly seeds: number; readonly violations: number; readonly digests: Readonly<Record<string, string>>; readonly faults: object };
    assert.deepEqual([value.seeds, value.violations, Object.keys(value.digests)], [3, 0, ["3", "4", "5"]]);
    assert.match(value.digests["4"] ?? "", /^[0-9a-f]{64}$/);
  });

  it("shows one seed closely, the same as in a campaign", async () => {
    const once = await simulate(["--seed", "3", "--minutes", "0.5"]);
    const logged = await simulate(["--seed", "3", "--minutes", "0.5", "--log"]);
    const digest = /digest ([0-9a-f]{64})/.exec(once.out)?.[1] ?? "none";
    assert.match(logged.out, new RegExp(digest));
    assert.match(logged.out, /n1#1 info starting/);
    assert.match(logged.out, /planned \{"kind"/);
    assert.match((await simulate(["--seeds", "1", "--first", "3", "--minutes", "0.5", "--digest", "--json"])).out, new RegExp(digest));
  });

  it("shows a violation with what happened around it, the command that shows it again, and a smaller plan that fails as well", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tribune-simulate-"));
    try {
      // Not a fault of the code: a plan whose clocks break the bound, judged as if they kept it.
      const plan = { ...drawPlan(16, "beyond", { faultsMs: 100_000 }), profile: "clocks" };
      writeFileSync(join(folder, "plan.json"), JSON.stringify(plan));
      const { code, err } = await simulate(["--plan", join(folder, "plan.json"), "--out", join(folder, "out"), "--shrink", "10"]);
      assert.equal(code, 1, err);
      for (const part of [/seed 16, profile clocks: \w+ at [\d.]+ ms: /, /^\* [\d.]+ /m, /see it again: npm run simulate -- --plan .*plan\.json --log/, /the same violation with \d+ of \d+ nodes, \d+ of \d+ faults/]) assert.match(err, part);
      const [name = ""] = readdirSync(join(folder, "out"));
      const smaller = JSON.parse(readFileSync(join(folder, "out", name), "utf8")) as typeof plan;
      assert.ok(smaller.faults.length < plan.faults.length);
      assert.equal((await simulate(["--plan", join(folder, "out", name), "--shrink", "0"])).code, 1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("answers bad input with one clear line and exit code 2", async () => {
    const bad: readonly (readonly [args: readonly string[], says: RegExp])[] = [
      [["--profile", "nope"], /--profile: there is no "nope"; there are network, /],
      [["--seed", "x"], /--seed must be a whole number from 0 to 4294967295, not "x"/],
      [["--seed", "-1"], /--seed/],
      [["--seeds", "0"], /--seeds must be a whole number from 1/],
      [["--seeds", "1e3"], /--seeds must be a whole number/],
      [["--minutes", ""], /--minutes must be a number/],
      [["--seed", "1", "--seeds", "2"], /--seed goes with none of/],
      [["--log"], /--log goes with --seed or --plan/],
      [["--bogus"], /--bogus/],
      [["what"], /what/],
    ];
    for (const [args, says] of bad) assert.throws(() => readOptions(args, () => 1), (error) => error instanceof UsageError && says.test(error.message) && !error.message.includes("\n"), args.join(" "));
    const unreadable: typeof bad = [
      [["--plan", join(tmpdir(), "there-is-no-such-plan")], /--plan: .* cannot be read as a plan/],
      [["--plan", join(import.meta.dirname, "../../package.json")], /is not a plan/],
    ];
    for (const [args, says] of [...unreadable, bad[0] ?? [[], /$^/]]) {
      const { code, out, err } = await simulate(args);
      assert.deepEqual([code, out, err.trim().split("\n").length], [2, "", 1], `${args.join(" ")}: ${err}`);
      assert.match(err, says);
      assert.match(err, /^error: /);
    }
    assert.match((await simulate(["--help"])).out, /^usage: npm run simulate/);
  });

  for (const version of ["22.18.0", "26"]) {
    it(`comes to the same histories on Node ${version} as on this one`, async (context) => {
      const node = await nodeRelease(version);
      if ("missing" in node) return requireOrSkip(context, "node", `${version}, for which ${node.missing}`);
      const args = ["--seeds", "16", "--first", "1", "--minutes", "1", "--digest", "--json"];
      const [here, there] = await Promise.all([simulate(args), simulate(args, node.program)]);
      const digestsOf = ({ out }: Ran) => (JSON.parse(out) as { readonly digests: unknown }).digests;
      assert.deepEqual(digestsOf(there), digestsOf(here));
    });
  }
});
