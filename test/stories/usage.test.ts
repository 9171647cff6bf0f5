import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Mutant } from "../simulation/mutants/mutant.ts";
import { UsageError } from "../simulation/options.ts";
import { playStories } from "./campaign.ts";
import { readOptions } from "./options.ts";
import { ROOMS } from "./rooms.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const PRELOAD = join(import.meta.dirname, "../simulation/mutants/preload.ts");

/** With `mutant` the code as it is has that fault. */
function stories(args: readonly string[], mutant?: Mutant): Promise<Ran> {
  const env = mutant === undefined ? process.env : { ...process.env, NODE_OPTIONS: `--import=${PRELOAD}`, TRIBUNE_MUTANT: JSON.stringify(mutant) };
  return new Promise((resolve) => {
    execFile(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], { env, timeout: 120_000 }, (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err }));
  });
}

const [contexts] = ROOMS;
const named = (name: string): Mutant => contexts?.mutants.find((each) => each.name === name) ?? assert.fail(name);

describe("npm run stories", () => {
  it("says which seeds it plays, what happened in all and what it cost; with --json as one value, the same whoever plays them", async () => {
    const { code, out } = await stories(["contexts", "--seeds", "3", "--workers", "1"]);
    assert.equal(code, 0, out);
    for (const part of [/^3 seeds, [\d.]+ CPU seconds: [\d.]+ seeds per CPU minute$/m, /^flushes \d+, /m, /^passed: no complaints$/m]) assert.match(out, part);
    const [, again = ""] = /^contexts, seeds \d+ to \d+; the same with (contexts --seeds 3 --first \d+)$/m.exec(out) ?? [];
    const { counts, ...rest } = JSON.parse((await stories([...again.split(" "), "--workers", "2", "--json"])).out) as { readonly counts: object } & Readonly<Record<string, unknown>>;
    assert.deepEqual([rest["room"], rest["seeds"], rest["failed"]], ["contexts", 3, []]);
    assert.ok(out.includes(Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ")), out);
  });

  it("ends with 1 where there are complaints, and says how to see one again", async () => {
    const { code, out, err } = await stories(["contexts", "--seeds", "40", "--first", "1", "--workers", "1", "--until-caught"], named("untouched-sent"));
    assert.equal(code, 1);
    const [, seed = ""] = /^seed (\d+): .*was not touched/m.exec(err) ?? [];
    assert.match(err, new RegExp(`see it again: npm run stories -- contexts --seeds 1 --first ${seed}$`, "m"));
    assert.match(out, new RegExp(`^1 seeds with complaints: ${seed}$`, "m"));
    assert.equal((await stories(["contexts", "--seeds", "1", "--first", seed])).code, 0, "without the fault there is nothing to complain of");
  });

  it("tells which seed caught a known-bad variant first, and ends with 1 where none did", async () => {
    const caught = await stories(["contexts", "--mutant", "untouched-sent", "--seeds", "40", "--until-caught"]);
    assert.equal(caught.code, 0, caught.err);
    assert.match(caught.out, /^untouched-sent: caught on \d of \d+ seeds, first on \d+: .*\npassed: 1 of 1 mutants caught$/m);
    // Two seeds are too few for it.
    const survived = await stories(["contexts", "--mutant", "tombstones-forgotten-unasked", "--seeds", "2"]);
    assert.deepEqual([survived.code, survived.out], [1, "tombstones-forgotten-unasked: survived 2 seeds: NO REASON IS GIVEN\n1 of 1 mutants survived: tombstones-forgotten-unasked\n"]);
  });

  it("takes a story that breaks off for one with a complaint, and goes on with the next", async () => {
    const breaks: Mutant = { name: "breaks", wrong: "It is made up.", changes: [{ file: "src/contexts/replicated.ts", from: "replication.setView(view),", to: 'assert("no view"),' }] };
    const failed = await playStories(contexts ?? assert.fail(), breaks, { first: 1, seeds: 2, workers: 1, untilCaught: false });
    assert.deepEqual(failed.map(({ seed, complaints: [complaint] }) => [seed, /^it broke off: .*assert is not defined/.test(complaint ?? "")]), [[1, true], [2, true]]);
  });

  it("answers bad input with one clear line and exit code 2", async () => {
    const bad: readonly (readonly [args: readonly string[], says: RegExp])[] = [
      [[], /^one room has to be named, contexts or farm, not ""$/],
      [["kernel"], /not "kernel"$/],
      [["farm", "contexts"], /not "farm contexts"$/],
      [["farm", "--seeds", "0"], /^--seeds must be a whole number from 1 to 10000000, not "0"$/],
      [["farm", "--first", "-1"], /--first/],
      [["farm", "--workers", "1e1"], /^--workers must be/],
      [["farm", "--mutant", "no-such"], /^--mutant: farm has no "no-such"; --list shows all$/],
      [["farm", "--nonsense"], /nonsense/],
    ];
    for (const [args, says] of bad) assert.throws(() => readOptions(args, () => 1), (error) => error instanceof UsageError && says.test(error.message) && !error.message.includes("\n"), args.join(" "));
    const wrong = await stories(["kernel"]);
    assert.deepEqual([wrong.code, wrong.out, wrong.err], [2, "", 'error: one room has to be named, contexts or farm, not "kernel"; --help shows what there is\n']);
    assert.match((await stories(["--help"])).out, /^usage: npm run stories/);
    const { out } = await stories(["contexts", "--list"]);
    for (const { name, wrong: sentence } of contexts?.mutants ?? []) assert.ok(out.includes(`${name}\n    ${sentence}`), name);
  });
});
