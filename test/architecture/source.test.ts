import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { importsOf, sourceOf, sourcesUnder } from "./source.ts";

const importsIn = (text: string) => importsOf(sourceOf("x.ts", text)).map(({ specifier, kind }) => `${kind} ${specifier}`);
const codeIn = (text: string) => sourceOf("x.ts", text).code;

describe("reading a source as text", () => {
  it("finds every form of import", () => {
    assert.deepEqual(importsIn(`import "a";`), ["static a"]);
    assert.deepEqual(importsIn(`import b from 'b';\nimport * as c from "c"; export * from "d"; export { e } from "e";`), ["static b", "static c", "static d", "static e"]);
    assert.deepEqual(importsIn(`import {\n  one,\n  two as three,\n} from "f";`), ["static f"]);
    assert.deepEqual(importsIn(`import type { G } from "g"; export type { H } from "h"; export type * from "i"; import { type J } from "j";`), ["type g", "type h", "type i", "static j"]);
    assert.deepEqual(importsIn(`const k = await import("k"); require('l'); x.then(() => import(name));`), ["dynamic k", "dynamic l", "dynamic ?"]);
    assert.deepEqual(importsIn(`const a = 1;\nexport const b = a;\nimport { c } from "c";`), ["static c"]);
  });

  it("does not take words in comments, strings, templates and regular expressions for code", () => {
    assert.deepEqual(importsIn(`// import "a"\n/* import "b" */ const c = 'import "c"', d = \`import "d"\`, e = /import "e"/;`), []);
    assert.deepEqual(importsIn('const f = `${a} import "f"`;\nconst g = `x${`y${import("g")}`}`;'), ["dynamic g"]);
  });

  it("keeps code where it is", () => {
    for (const text of ["a /* b */ c // d\ne", "const x = `one ${two(`three`)} four`; five", "x = a / b / c; y = (/[/\"]/.test(z)); w", `"\\"" + '\\'' + v`]) {
      const code = codeIn(text);
      assert.equal(code.length, text.length);
      assert.equal(code.trimEnd().at(-1), text.at(-1));
    }
    assert.equal(codeIn('f(`a ${Date.now()} "b`)'), 'f(`  ${Date.now()}   `)');
  });

  it("ends in code again in every file of the project", () => {
    for (const source of [...sourcesUnder("src"), ...sourcesUnder("test"), ...sourcesUnder("scripts")]) {
      const lastLine = source.text.trimEnd().split("\n").at(-1) ?? "";
      if (!/^[\]})]/.test(lastLine)) continue;
      assert.ok(source.code.trimEnd().endsWith(lastLine), `${source.path}: the reader lost its way; its end is read as ${JSON.stringify(source.code.slice(-40))}`);
    }
  });
});
