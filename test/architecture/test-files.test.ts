import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allTestFiles, longestFirst, matching } from "../../scripts/test-files.ts";
import { ROOT } from "./source.ts";

const files = ["test/a/one.test.ts", "test/a/two.test.ts", "test/packaging/one.test.ts"];

describe("the choice of test files", () => {
  it("takes a file, a folder, or a part of a path", () => {
    assert.deepEqual(matching(files, "test/a/one.test.ts", process.cwd()), ["test/a/one.test.ts"]);
    assert.deepEqual(matching(files, "one", process.cwd()), ["test/a/one.test.ts", "test/packaging/one.test.ts"]);
    assert.deepEqual(matching(files, "three", process.cwd()), []);
    const all = allTestFiles(ROOT);
    assert.deepEqual(matching(all, `${ROOT}/test/architecture`, ROOT), all.filter((file) => file.startsWith("test/architecture/")));
    assert.deepEqual(matching(all, ROOT, ROOT), all);
  });

  it("has this file among all, and only tests", () => {
    const all = allTestFiles(ROOT);
    assert.ok(all.includes("test/architecture/test-files.test.ts"));
    assert.deepEqual(all.filter((file) => !file.endsWith(".test.ts")), []);
  });

  it("puts what was never measured first, then the longest", () => {
    assert.deepEqual(longestFirst(files, { "test/a/one.test.ts": 10, "test/a/two.test.ts": 20 }), ["test/packaging/one.test.ts", "test/a/two.test.ts", "test/a/one.test.ts"]);
    assert.deepEqual(longestFirst(files, {}), ["test/packaging/one.test.ts", "test/a/one.test.ts", "test/a/two.test.ts"]);
  });
});
