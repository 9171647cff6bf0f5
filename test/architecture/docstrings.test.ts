import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertNone } from "./complaints.ts";
import { docstringAt, placeOf, publicNames, publishedSources } from "./exports.ts";
import { sourceOf } from "./source.ts";

describe("what users can import", () => {
  const names = publishedSources().flatMap(({ subpath, path }) => publicNames(subpath, path));

  it("is found: this test sees what the package exports", () => {
    const seen = names.map(({ name }) => name);
    for (const name of ["createCluster from tribune", "Term from tribune", "StoreProvider from tribune/store", "Clock from tribune/kernel", "memory from tribune/memory", "View from tribune"]) assert.ok(seen.includes(name), name);
  });

  it("has a declaration that this test can find", () => {
    assertNone(names.filter(({ offset }) => offset === -1).map((each) => `${placeOf(each)} ${each.name}`), "exported, and not found");
  });

  it("has a docstring at its declaration", () => {
    const bare = new Map<string, string>();
    for (const each of names) if (each.offset !== -1 && docstringAt(each.source, each.offset) === undefined) bare.set(placeOf(each), each.name);
    assertNone([...bare].map(([place, name]) => `${place} ${name}`), "exported without a word of what it is for");
  });
});

describe("the reader of docstrings", () => {
  const docstring = (text: string) => docstringAt(sourceOf("x.ts", text), text.indexOf("export"));

  it("takes the comment right before the declaration, and no other", () => {
    assert.equal(docstring("/** What it is for. */\nexport const a = 1;"), "What it is for.");
    assert.equal(docstring("/**\n * What it is for.\n * And more.\n */\nexport const a = 1;"), "What it is for.\nAnd more.");
    assert.equal(docstring("export const a = 1;"), undefined);
    assert.equal(docstring("/* not one */\nexport const a = 1;"), undefined);
    assert.equal(docstring("// nor this\nexport const a = 1;"), undefined);
    assert.equal(docstring("/** Of another. */\nconst b = 2;\nexport const a = 1;"), undefined);
    assert.equal(docstring("/**\n * Of the file.\n * @module\n */\nexport const a = 1;"), undefined);
    assert.equal(docstring("/** */\nexport const a = 1;"), undefined);
  });
});
