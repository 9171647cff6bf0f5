import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, it } from "node:test";
import { assertNone } from "./complaints.ts";
import { LADDER } from "./ladder.ts";
import { ROOT, sourcesUnder } from "./source.ts";

/** A room's door is its index.ts; these have another one. */
const DOORS: Readonly<Record<string, string>> = { cli: "main.ts" };

const ON_FAILURE = "what it does when something fails";

/** What a room's README must answer, by the heading under which it does. */
const QUESTIONS: readonly (readonly [question: string, heading: RegExp])[] = [
  ["what it promises", /^## Promises?\b/m],
  ["what it does not promise", /^## Not promised\b/m],
  [ON_FAILURE, /^## (?:Failures|What happens when)\b/m],
];

/** What a room need not answer. */
const WITHOUT: Readonly<Record<string, string>> = { "src/testing": ON_FAILURE };

/** Every provider has these, so that who knows one finds the way in all. */
const PROVIDER_FILES = ["README.md", "index.ts", "options.ts", "provider.ts", "session.ts"];

/** Names that say nothing: what is in such a file belongs to a noun of the design. */
const EMPTY_NAMES = /^(?:utils?|common|helpers?|misc|shared|types|stuff)\.ts$/;

const rooms = foldersIn("src");
const providers = foldersIn("src/store").filter((name) => name !== "sql");

describe("a room", () => {
  it("has a place on the ladder", () => {
    const placed = [...LADDER.flat(), "testing"];
    assertNone(rooms.filter((room) => !placed.includes(room)), "rooms without a place in test/architecture/ladder.ts");
  });

  it("has a door that says in one sentence what the room is for", () => {
    for (const room of rooms) {
      const door = `src/${room}/${DOORS[room] ?? "index.ts"}`;
      assert.ok(existsSync(join(ROOT, door)), `there is no ${door}`);
      if (DOORS[room] === undefined) assert.match(readFileSync(join(ROOT, door), "utf8"), /^\/\*\*[^]*?@module[^]*?\*\//, `${door} does not begin with a comment that has @module`);
    }
  });

  for (const folder of [...rooms.map((room) => `src/${room}`), ...providers.map((provider) => `src/store/${provider}`)]) {
    it(`has a README with promise, non-promise and failures: ${folder}`, () => {
      const path = join(ROOT, folder, "README.md");
      assert.ok(existsSync(path), `there is no ${folder}/README.md`);
      const text = readFileSync(path, "utf8");
      const open = QUESTIONS.filter(([question, heading]) => !heading.test(text) && WITHOUT[folder] !== question).map(([question]) => question);
      assertNone(open, `${folder}/README.md does not say`);
    });
  }

  it("has a guide for those who use it, under its own name", () => {
    assertNone(rooms.map((room) => `docs/guides/${room}.md`).filter((path) => !existsSync(join(ROOT, path))), "missing");
  });

  it("has files that are named after what is in them", () => {
    const files = sourcesUnder("src").map(({ path }) => path);
    assertNone(files.filter((path) => EMPTY_NAMES.test(basename(path))), "names that say nothing");
    assertNone(files.filter((path) => !/^[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/.test(basename(path))), "names that are not lower case with hyphens");
  });
});

describe("a provider", () => {
  it("has the same file names as all others", () => {
    const missing = providers.flatMap((provider) => PROVIDER_FILES.filter((file) => !existsSync(join(ROOT, "src/store", provider, file))).map((file) => `src/store/${provider}/${file}`));
    assertNone(missing, "missing");
  });
});

function foldersIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}
