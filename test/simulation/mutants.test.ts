import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { MUTANTS } from "./mutants/all.ts";
import { experiment } from "./mutants/experiment.ts";
import type { Experiment } from "./mutants/experiment.ts";
import type { Mutant } from "./mutants/mutant.ts";
import { mutated } from "./mutants/mutant.ts";
import { importMutated } from "./mutants/mutate.ts";
import { profileOfSeed, readOptions, UsageError } from "./mutants/options.ts";
import type { MutantsOptions } from "./mutants/options.ts";
import { experimentJson, experimentText } from "./mutants/report.ts";
import { Subject } from "./mutants/subject.ts";

const ROOT = join(import.meta.dirname, "../..");
const MAIN = join(import.meta.dirname, "mutants/main.ts");
const PRELOAD = join(import.meta.dirname, "mutants/preload.ts");

const CAMPAIGN = "src/testing/simulation/campaign.ts";
const FIRST_STEP = "    await this.#world.run(faultsUntilMs);";

/** A mutant for a test of the harness. */
function mutant(name: string, to: string, more: Partial<Mutant> = {}): Mutant {
  return { name, wrong: "It is made up.", changes: [{ file: CAMPAIGN, from: FIRST_STEP, to }], ...more };
}

describe("mutants", () => {
  it("fit the source: each snippet is there exactly once, and what comes of it can be loaded", async () => {
    for (const each of MUTANTS) {
      assert.ok(each.changes.every(({ file, from, to }) => file.startsWith("src/") && from !== to), each.name);
      await assert.doesNotReject(importMutated(each), each.name);
    }
  });

  it("have names and sentences of their own", () => {
    assert.ok(MUTANTS.length >= 34);
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
    assert.equal(new Set(MUTANTS.map(({ changes }) => JSON.stringify(changes))).size, MUTANTS.length);
    for (const { name, wrong } of MUTANTS) {
      assert.match(name, /^[a-z]+(?:-[a-z]+)*$/);
      assert.match(wrong, /^\S.*\.$/);
    }
  });

  it("whose snippet the source no longer has are named", () => {
    const moved = { ...mutant("moved", ""), changes: [{ file: "src/a.ts", from: "b", to: "c" }] };
    assert.equal(mutated(moved, "src/a.ts", "abd"), "acd");
    assert.equal(mutated(moved, "src/other.ts", "abd"), "abd");
    assert.throws(() => mutated(moved, "src/a.ts", "aad"), /mutant moved: its snippet occurs 0 times in src\/a\.ts/);
    assert.throws(() => mutated(moved, "src/a.ts", "abbd"), /mutant moved: its snippet occurs 2 times/);
  });

  for (const each of MUTANTS) {
    const { survives } = each;
    if (survives?.foundBy === undefined) continue;
    it(`that survive a campaign are found by a test: ${each.name} by ${survives.foundBy}`, () => {
      const file = join(ROOT, survives.foundBy ?? "");
      assert.ok(existsSync(file), file);
      const { TRIBUNE_TEST_PROCESSES: _, NODE_TEST_CONTEXT: __, ...env } = process.env;
      const run = spawnSync(process.execPath, ["--import", PRELOAD, "--test-reporter", "tap", file], { encoding: "utf8", timeout: 60_000, env: { ...env, TRIBUNE_MUTANT: JSON.stringify(each) } });
      assert.equal(run.status, 1, run.stderr);
      assert.match(run.stdout, /^# fail [1-9]/m);
    });
  }
});

describe("an experiment with mutants", () => {
  const options = (args: readonly string[], mutants?: readonly Mutant[]): MutantsOptions => ({ ...readOptions(args, 2), ...(mutants === undefined ? {} : { mutants }) });

  it("catches, within a few seeds, and tells what did", async () => {
    const quick = ["belief-as-a-flag", "guard-without-the-fence", "next-callback-early", "skipped-views-unmarked"];
    const told: string[] = [];
    const result = await experiment(options(["--seeds", "8", "--until-caught", ...quick.flatMap((name) => ["--mutant", name])]), (line) => told.push(line));
    assert.ok(result.passed, experimentText(result));
    assert.deepEqual(result.findings.map(({ mutant: { name }, caught }) => [name, caught]), quick.map((name) => [name, 1]));
    const [belief, fence] = result.findings;
    assert.ok(belief?.first?.by.includes("beliefsDoNotOverlap"), experimentText(result));
    assert.ok(fence?.first?.by.includes("fencedRowsInOrder"), experimentText(result));
    assert.equal(told.length, quick.length);
    // Only where something was caught was the correct code asked.
    assert.ok(result.control.seeds >= 1 && result.control.seeds <= quick.length);
    assert.equal(result.control.failed.length, 0);
    assert.match(experimentText(result), /^passed: 4 of 4 mutants caught/m);
  });

  it("passes where a survivor has a reason, and only there", async () => {
    const harmless = `${FIRST_STEP} // nothing else`;
    const play = (mutants: readonly Mutant[]): Promise<Experiment> => experiment(options(["--seeds", "1"], mutants), () => undefined);
    const silent = await play([mutant("harmless", harmless)]);
    assert.equal(silent.passed, false);
    assert.match(experimentText(silent), /harmless survived 1 seeds: NO REASON IS GIVEN/);
    const excused = await play([mutant("harmless", harmless, { survives: { why: "It does nothing.", foundBy: undefined } })]);
    assert.ok(excused.passed);
    assert.match(experimentText(excused), /harmless survived 1 seeds: It does nothing\./);
    const { passed, correct, mutants } = JSON.parse(experimentJson(excused)) as { passed: boolean; correct: { seeds: number }; mutants: { name: string; caught: number }[] };
    assert.deepEqual([passed, correct.seeds, mutants[0]?.name, mutants[0]?.caught], [true, 1, "harmless", 0]);
  });

  it("counts a run that breaks off as a crash, and shows it", async () => {
    const result = await experiment(options(["--seeds", "2", "--until-caught"], [mutant("breaks-off", '    throw new Error("time stands still");')]), () => undefined);
    assert.deepEqual(result.findings[0]?.by, { crash: 1 });
    assert.equal(result.findings[0]?.first?.message, "time stands still");
  });

  it("ends a run that hangs, and a process that is gone is followed by another", async () => {
    const hangs = new Subject(mutant("hangs", "    for (;;);"), { runLimitMs: 1_500 });
    const gone = new Subject(mutant("goes", "    process.exit(3);"));
    const order = { seed: 1, profile: "network" } as const;
    assert.deepEqual(await hangs.play(order), { kind: "hung", afterMs: 1_500 });
    for (let times = 0; times < 2; times++) assert.deepEqual(await gone.play(order), { kind: "crashed", message: "its process ended with code 3" });
    hangs.close();
    gone.close();
  });

  it("does not begin with a mutant that does not fit", async () => {
    const subject = new Subject({ ...mutant("moved", ""), changes: [{ file: CAMPAIGN, from: "no such line", to: "" }] });
    await assert.rejects(subject.play({ seed: 1, profile: "network" }), /moved could not be begun.*mutant moved: its snippet occurs 0 times/);
  });
});

describe("the command that runs mutants", () => {
  const read = (...args: string[]) => readOptions(args, 3);

  it("takes all mutants, a thousand seeds and all cores unless told otherwise", () => {
    assert.deepEqual({ ...read(), mutants: 0 }, { seeds: 1_000, mutants: 0, profile: undefined, enough: 25, workers: 3, json: false });
    assert.equal(read().mutants, MUTANTS);
    const { mutants, seeds, enough } = read("--mutant", "belief-as-a-flag", "--mutant", "belief-as-a-flag", "--seeds", "7", "--until-caught");
    assert.deepEqual([mutants.map(({ name }) => name), seeds, enough], [["belief-as-a-flag"], 7, 1]);
  });

  it("goes round all profiles, as a campaign does", () => {
    assert.equal(new Set(Array.from({ length: 8 }, (_, index) => profileOfSeed(index + 1, read()))).size, 8);
    assert.equal(profileOfSeed(1, read("--profile", "store")), "store");
    const talking = { ...mutant("talks", ""), profile: "channel" } as const;
    assert.deepEqual([profileOfSeed(1, read(), talking), profileOfSeed(1, read("--profile", "store"), talking)], ["channel", "store"]);
  });

  for (const [args, says] of [
    [["--seeds", "0"], /^--seeds must be a whole number from 1 to 1000000, not "0"$/],
    [["--seeds", "1.5"], /^--seeds/],
    [["--workers", ""], /^--workers/],
    [["--mutant", "no-such"], /^--mutant: there is no "no-such"; --list shows all$/],
    [["--profile", "calm"], /^--profile: there is no "calm"; there are network,/],
    [["--nonsense"], /nonsense/],
    [["nonsense"], /nonsense/],
  ] as const) {
    it(`refuses ${args.join(" ")}`, () => {
      assert.throws(() => read(...args), (error: unknown) => error instanceof UsageError && says.test(error.message) && !error.message.includes("\n"));
    });
  }

  it("says in one line what it does not understand, and lists what there is", () => {
    const run = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", timeout: 60_000 });
    const wrong = run("--mutant", "no-such");
    assert.deepEqual([wrong.status, wrong.stdout, wrong.stderr], [2, "", 'error: --mutant: there is no "no-such"; --list shows all (--help shows all options)\n']);
    const list = run("--list");
    assert.equal(list.status, 0);
    for (const { name, wrong: sentence } of MUTANTS) assert.ok(list.stdout.includes(`${name}\n    ${sentence}`), name);
    assert.match(run("--help").stdout, /^usage: npm run mutants/);
  });
});
