import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertNone } from "../architecture/complaints.ts";
import { complaintsAbout, isExample, isRunnable, runExample } from "./examples.ts";
import type { Example } from "./examples.ts";
import { allPages } from "./markdown.ts";

const exampleOf = (language: string, text: string, marker?: string): Example => ({ path: "x.md", language, text: `${text}\n`, line: 10, marker });

describe("examples in the pages", () => {
  const examples = allPages().flatMap((page) => page.blocks.filter(isExample).map((block) => ({ ...block, path: page.path })));

  it("parse, and those that import the package compile against it", () => {
    assertNone(complaintsAbout(examples));
  });

  for (const example of examples.filter(isRunnable)) it(`run: ${example.path}:${example.line}`, () => runExample(example));

  it("are there, the README's program among them", () => {
    assert.ok(examples.length > 5);
    assert.equal(examples.filter(({ path, marker }) => path === "README.md" && marker === "program").length, 1);
  });
});

describe("the judge of examples", () => {
  it("finds what does not parse, by page and line", () => {
    const [complaint = "", ...others] = complaintsAbout([exampleOf("js", "let a;\nlet b = ;")]);
    assert.match(complaint, /^x\.md:12 error TS1109: /);
    assert.deepEqual(others, []);
  });

  it("finds names that the package does not have, in scripts or typed, but for fragments", () => {
    for (const language of ["js", "ts"]) {
      const text = 'import { createClutser } from "tribune";\ncreateClutser();';
      assert.match(complaintsAbout([exampleOf(language, text)]).join(), /^x\.md:11 .*createClutser/);
      assert.deepEqual(complaintsAbout([exampleOf(language, text, "fragment")]), []);
    }
  });

  it("runs a whole program, and rejects where it fails", async () => {
    await runExample(exampleOf("ts", 'import { PRESETS } from "tribune";\nconst beatMs: number = PRESETS.fast.beatMs;\nif (beatMs !== 500) throw new Error("slow");', "runnable"));
    await assert.rejects(runExample(exampleOf("js", 'throw new Error("not so");', "runnable")), /not so/);
  });

  it("lets blocks that import nothing use what is not there", () => {
    assert.deepEqual(complaintsAbout([exampleOf("ts", "for await (const change of cluster.changes({ signal })) {}"), exampleOf("js", "await cluster.stop();")]), []);
  });
});
