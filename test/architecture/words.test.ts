import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assertNone } from "./complaints.ts";
import { ROOT } from "./source.ts";
import { trackedFiles } from "./tracked.ts";

/**
 * What must not be in a file that others get: places of one machine, and the host that packages happened to come from. Put together
 * from parts, since this file is looked through as well.
 */
const FOREIGN: readonly (readonly [what: string, pattern: RegExp])[] = [
  ["a folder of somebody's machine", together("/wo", "rk/")],
  ["a folder of somebody's machine", together("/ho", "me/[a-z]|/Us", "ers/[a-z]")],
  ["a folder beside the project", together("\\.\\./sha", "red\\b")],
  ["the host of a package registry", together("\\bregis", "try\\.[\\w-]+\\.[a-z]")],
  ["where a package was downloaded from", together('"resol', 'ved":\\s*"http')],
  ...hostInUse(),
];

describe("the files of the project", () => {
  it("speak of nothing that belongs to one machine or one registry", () => {
    const complaints = trackedFiles().flatMap((path) => {
      const text = readFileSync(join(ROOT, path)).toString("latin1");
      return FOREIGN.flatMap(([what, pattern]) => {
        const match = pattern.exec(text);
        return match === null ? [] : [`${path}:${text.slice(0, match.index).split("\n").length} has ${what}: ${match[0]}`];
      });
    });
    assertNone(complaints);
  });

  it("are looked through, the lockfile and this one too", () => {
    const files = trackedFiles();
    for (const path of ["package-lock.json", "package.json", "test/architecture/words.test.ts", "src/kernel/errors.ts"]) assert.ok(files.includes(path), path);
    assert.ok(FOREIGN.some(([, pattern]) => pattern.test(`see ${["", "work", "x"].join("/")}`)));
  });
});

/** The registry that npm is set to here, which may be a mirror with a name of its own. */
function hostInUse(): Array<readonly [string, RegExp]> {
  const url = process.env["npm_config_registry"];
  if (url === undefined || !URL.canParse(url)) return [];
  return [["the host of a package registry", together(new URL(url).host.replaceAll(".", "\\."))]];
}

function together(...parts: readonly string[]): RegExp {
  return new RegExp(parts.join(""));
}
