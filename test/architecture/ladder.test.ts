import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assertNone } from "./complaints.ts";
import { judge } from "./ladder.ts";
import { importsOf, ROOT, sourceOf, sourcesUnder } from "./source.ts";

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
}

const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
const peers = Object.keys(manifest.peerDependencies);

const judged = (path: string, text: string) => {
  const source = sourceOf(path, text);
  return importsOf(source).map((each) => judge(source, each, ["pg"])?.replace(`${path}:1 `, ""));
};

describe("the ladder of rooms", () => {
  it("holds: imports in src point left, through the other room's index.ts, and to no third-party package", () => {
    const complaints = sourcesUnder("src").flatMap((source) => importsOf(source).flatMap((each) => judge(source, each, peers) ?? []));
    assertNone(complaints);
  });

  it("database clients are optional: a peer is marked so, and none is a dependency", () => {
    assert.deepEqual(peers.filter((peer) => manifest.peerDependenciesMeta[peer]?.optional !== true), []);
    assert.deepEqual(Object.keys(manifest.dependencies), ["commander"]);
  });
});

describe("the judge of imports", () => {
  it("lets imports to the left pass, and those within a room", () => {
    assert.deepEqual(judged("src/election/a.ts", `import "../kernel/index.ts"; import "../presence/index.ts"; import "./b.ts"; import "node:os";`), [undefined, undefined, undefined, undefined]);
    assert.deepEqual(judged("src/cli/main.ts", `import "commander"; import "../admin/index.ts"; import "../store/sqlite/index.ts"; import "../index.ts";`), [undefined, undefined, undefined, undefined]);
    assert.deepEqual(judged("src/testing/a.ts", `import "../cluster/index.ts";`), [undefined]);
  });

  it("says what to do about an import to the right, to the side, or past the door", () => {
    assert.deepEqual(judged("src/presence/x.ts", `import type { A } from "../election/index.ts";`), ["imports election: presence is left of election; move what both need left, or hand it in as a port"]);
    assert.deepEqual(judged("src/tasks/x.ts", `import "../slots/index.ts";`), ["imports slots: tasks stands beside slots; move what both need left, or hand it in as a port"]);
    assert.deepEqual(judged("src/election/x.ts", `import "../presence/facts.ts";`), ["imports src/presence/facts.ts, past the door of presence: import src/presence/index.ts, and export it there if others shall have it"]);
    assert.match(judged("src/cluster/x.ts", `import "../testing/index.ts";`)[0] ?? "", /for tests only/);
    assert.match(judged("src/kernel/x.ts", `import "../index.ts";`)[0] ?? "", /kernel is left of index\.ts/);
    assert.match(judged("src/novel/x.ts", `import "../kernel/index.ts";`)[0] ?? "", /no place on the ladder/);
    assert.match(judged("src/kernel/x.ts", `import "../../test/support/world.ts";`)[0] ?? "", /nothing outside of src/);
  });

  it("lets a provider use the store room and the kernel, and nothing else", () => {
    assert.deepEqual(judged("src/store/sqlite/x.ts", `import "../index.ts"; import "../session-gate.ts"; import "../../kernel/index.ts"; import "./y.ts";`), [undefined, undefined, undefined, undefined]);
    assert.match(judged("src/store/sqlite/x.ts", `import "../memory/index.ts";`)[0] ?? "", /providers do not import each other/);
    assert.match(judged("src/store/sqlite/x.ts", `import "../../presence/index.ts";`)[0] ?? "", /store\/sqlite is left of presence/);
    assert.match(judged("src/store/sqlite/x.ts", `import "../../kernel/clock.ts";`)[0] ?? "", /past the door of kernel/);
    assert.match(judged("src/store/x.ts", `import "./memory/index.ts";`)[0] ?? "", /does not know its providers/);
    assert.match(judged("src/election/x.ts", `import "../store/memory/index.ts";`)[0] ?? "", /does not ask which provider it is/);
  });

  it("lets a database client only be loaded when it is needed, and only by a provider, or by the demo", () => {
    assert.deepEqual(judged("src/store/postgres/x.ts", `const pg = await import("pg");`), [undefined]);
    assert.deepEqual(judged("src/cli/demo/x.ts", `const pg = await import("pg");`), [undefined]);
    assert.match(judged("src/cli/demo/x.ts", `import pg from "pg";`)[0] ?? "", /load it where it is used/);
    assert.match(judged("src/cli/x.ts", `const pg = await import("pg");`)[0] ?? "", /has no third-party dependency/);
    assert.match(judged("src/store/postgres/x.ts", `import pg from "pg";`)[0] ?? "", /load it where it is used/);
    assert.match(judged("src/store/postgres/x.ts", `import type pg from "pg";`)[0] ?? "", /load it where it is used/);
    assert.match(judged("src/cluster/x.ts", `const pg = await import("pg");`)[0] ?? "", /has no third-party dependency/);
    assert.match(judged("src/admin/x.ts", `import { Command } from "commander";`)[0] ?? "", /has no third-party dependency/);
    assert.match(judged("src/cli/x.ts", `const x = await import(name);`)[0] ?? "", /only known when it runs/);
  });
});
