import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { requireOrSkip } from "../support/required.ts";
import { explore, findTools } from "./search.ts";
import { SEARCHES } from "./searches.ts";

const ROOT = join(import.meta.dirname, "../..");

describe("the model of the takeover", () => {
  for (const name of ["sound", "claim-without-death", "trust-from-reply", "no-full-wait", "fence-does-not-wait"]) {
    it(`${name}: is as it should be`, async (context) => {
      const { missing } = await findTools();
      if (missing !== undefined) return requireOrSkip(context, "spin", missing);
      const search = SEARCHES.find((each) => each.name === name);
      assert.ok(search !== undefined);
      const found = await explore(search);
      assert.ok(found.good && found.states > 100, JSON.stringify(found));
    });
  }

  it("names functions that there are", () => {
    const rows = [...readFileSync(join(import.meta.dirname, "README.md"), "utf8").matchAll(/^\| [^|]+ \| `(src\/[^`]+)` \| ([^|]+) \|$/gm)];
    assert.ok(rows.length >= 12);
    for (const [, file = "", functions = ""] of rows) {
      const text = readFileSync(join(ROOT, file), "utf8");
      for (const [, name = ""] of functions.matchAll(/`([^`]+)`/g)) assert.match(text, new RegExp(`^(?:  (?:async )?|(?:export )?function )${name}(?:<\\w+>)?\\(`, "m"), `${file}: ${name}`);
    }
  });

  it("has a variant for each number once, with a sentence", () => {
    const variants = SEARCHES.filter(({ variant }) => variant !== 0);
    assert.ok(variants.length >= 15 && variants.every(({ wrong }) => (wrong ?? "").length > 20));
    assert.equal(new Set(variants.map(({ variant }) => variant)).size, variants.length);
  });

  it("answers bad input with one clear line and exit code 2", () => {
    for (const [args, says] of [[["--only", "nope"], /there is no "nope"; there are sound/], [["--trail"], /--trail goes with --only/], [["--bogus"], /--bogus/]] as const) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], { encoding: "utf8" });
      assert.deepEqual([status, stdout, stderr.trim().split("\n").length], [2, "", 1], stderr);
      assert.match(stderr, says);
    }
  });
});
