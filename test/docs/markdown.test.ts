import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parsePage } from "./markdown.ts";

describe("reading a page", () => {
  it("finds blocks with language, line and marker", () => {
    const { blocks } = parsePage("x.md", "a\n<!-- program -->\n\n```js\nlet a;\n```\n\ntext\n~~~\nb\n```\n~~~\n- c\n  ```sh\n  d\n    e\n  ```\n");
    assert.deepEqual(blocks, [
      { language: "js", text: "let a;\n", line: 4, marker: "program" },
      { language: "", text: "b\n```\n", line: 9, marker: undefined },
      { language: "sh", text: "d\n  e\n", line: 14, marker: undefined },
    ]);
  });

  it("takes a marker only right before its block", () => {
    assert.equal(parsePage("x.md", "<!-- program -->\ntext\n```js\n```\n").blocks[0]?.marker, undefined);
  });

  it("refuses a block that never ends", () => {
    assert.throws(() => parsePage("x.md", "```js\nlet a;\n"), /x\.md:1 /);
  });

  it("finds links and spans, but no links in code", () => {
    const { links, spans } = parsePage("x.md", 'see [a](b.md#c "title"), ![d](e_(f).png) and `[g](h.md)`\n```\n[i](j.md)\n```\n');
    assert.deepEqual(links.map(({ target }) => target), ["b.md#c", "e_(f).png"]);
    assert.deepEqual(spans, [{ text: "[g](h.md)", line: 1 }]);
  });

  it("names headings as GitHub does", () => {
    const { anchors } = parsePage("x.md", "# Hello, World!\n## `term.guard` and [links](x.md)\n## Not promised\n## Not promised\n# a_b — c\n");
    assert.deepEqual([...anchors], ["hello-world", "termguard-and-links", "not-promised", "not-promised-1", "a_b--c"]);
  });
});
