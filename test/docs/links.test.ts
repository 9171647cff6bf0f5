import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import { describe, it } from "node:test";
import { assertNone } from "../architecture/complaints.ts";
import { ROOT } from "../architecture/source.ts";
import { allPages } from "./markdown.ts";

describe("links between the project's pages", () => {
  const pages = allPages();

  it("lead to files that are there, and to headings that they have", () => {
    const anchors = new Map(pages.map((page) => [page.path, page.anchors]));
    const complaints = pages.flatMap((page) =>
      page.links.flatMap(({ target, line }) => {
        if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return [];
        const where = `${page.path}:${line} links to ${target}`;
        const [file = "", anchor] = target.split("#");
        const path = file === "" ? page.path : posix.normalize(posix.join(posix.dirname(page.path), decodeURI(file)));
        if (target.startsWith("/") || path.startsWith("..")) return [`${where}, which is outside of the project`];
        if (!existsSync(join(ROOT, path))) return [`${where}, and there is no ${path}`];
        if (anchor === undefined) return [];
        if (statSync(join(ROOT, path)).isDirectory() || !path.endsWith(".md")) return [];
        return anchors.get(path)?.has(anchor) === true ? [] : [`${where}, and ${path} has no heading of that name; it has ${[...(anchors.get(path) ?? [])].join(", ")}`];
      }),
    );
    assertNone(complaints);
  });

  it("are there: from the README to the guides, the error codes and the contract", () => {
    const targets = pages.find((page) => page.path === "README.md")?.links.map(({ target }) => target) ?? [];
    for (const target of ["docs/errors.md", "src/store/contract.md", "docs/guides/cli.md"]) assert.ok(targets.includes(target), target);
  });
});
