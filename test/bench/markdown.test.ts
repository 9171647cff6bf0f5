import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ms, plain, table } from "../../bench/markdown.ts";

describe("tables of results", () => {
  it("are Markdown, also with a bar in a cell", () => {
    assert.equal(table(["a", "b"], [["1|2", "3"]]), "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |");
  });

  it("show as many digits as can be trusted, and what did not come", () => {
    assert.deepEqual([0.1234, 3.456, 1234.5, Number.POSITIVE_INFINITY, Number.NaN].map(ms), ["0.123 ms", "3.5 ms", "1235 ms", "never", "–"]);
    assert.deepEqual([3, 0.5, 12.34, 123.4, Number.NaN].map(plain), ["3", "0.50", "12.3", "123", "–"]);
  });
});
