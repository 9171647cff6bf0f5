import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ERROR_CODES } from "../../src/kernel/index.ts";
import { assertNone } from "./complaints.ts";
import { ROOT, sourcesUnder } from "./source.ts";

const PAGE = "docs/errors.md";

/** A row of a table of codes: | `CODE` | what happened | what to do | yes | 3 | */
const ROW = /^\|\s*`([A-Z][A-Z_]+)`\s*\|(.*)\|\s*(yes|no)\s*\|\s*(\d)\s*\|\s*$/gm;

const rows = [...readFileSync(join(ROOT, PAGE), "utf8").matchAll(ROW)].map(([, code = "", text = "", retryable, exit]) => ({
  code,
  cells: text.split(/(?<!\\)\|/).map((cell) => cell.trim()),
  retryable: retryable === "yes",
  exit: Number(exit),
}));

describe("the table of error codes", () => {
  it(`has each code once, and so has ${PAGE}, in the same order`, () => {
    const documented = rows.map((row) => row.code);
    assertNone(Object.keys(ERROR_CODES).filter((code) => !documented.includes(code)), `not in a row of ${PAGE}`);
    assertNone(documented.filter((code, n) => !Object.hasOwn(ERROR_CODES, code) || documented.indexOf(code) !== n), "not in src/kernel/errors.ts, or there twice");
    assert.deepEqual(documented, Object.keys(ERROR_CODES));
  });

  it(`says the same about retrying and about the exit code as ${PAGE}`, () => {
    const codes: Readonly<Record<string, { readonly retryable: boolean; readonly exit: number }>> = ERROR_CODES;
    const wrong = rows.filter(({ code, retryable, exit }) => codes[code]?.retryable !== retryable || codes[code].exit !== exit);
    assertNone(wrong.map(({ code }) => code));
  });

  it(`is explained: ${PAGE} says for each code what happened and what the reader can do`, () => {
    const thin = rows.filter(({ cells }) => cells.length !== 2 || cells.some((cell) => cell.length < 15)).map(({ code }) => code);
    assertNone(thin, "codes with too little said about them");
  });

  it("has no code that nothing in src gives", () => {
    const code = sourcesUnder("src").filter(({ path }) => path !== "src/kernel/errors.ts" && !path.startsWith("src/testing/")).map(({ text }) => text).join("\n");
    const unused = Object.keys(ERROR_CODES).filter((each) => !code.includes(`"${each}"`));
    assertNone(unused, `remove them from src/kernel/errors.ts and ${PAGE}, or give them where they are meant`);
  });
});
