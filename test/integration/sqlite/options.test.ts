import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { sqlite } from "../../../src/store/sqlite/index.ts";
import type { SqliteOptions } from "../../../src/store/sqlite/index.ts";
import { folder } from "./place.ts";

describe("options of a SQLite store", () => {
  const home = folder();
  after(() => home.remove());
  const refused = (options: unknown, message: RegExp) => assert.throws(() => sqlite(options as SqliteOptions), { code: "INVALID_OPTIONS", message });

  it("are refused with every complaint at once", () => {
    refused({ path: "", tablePrefix: "Bad-", pth: 1 }, /unknown option "pth"; did you mean path\?.*path is empty.*tablePrefix must be 1 to 31/);
  });

  it("must name a file that others can open", () => {
    refused({ path: ":memory:" }, /use memory\(\)/);
    refused({ path: "" }, /use memory\(\)/);
    refused({ path: "file:x.db" }, /is a URL/);
    refused({ path: "sqlite:x.db" }, /is a URL/);
    refused({ path: "a\0b" }, /zero character/);
    refused({}, /path must be the name of a file, not undefined/);
    refused({ path: 7 }, /not 7/);
    for (const nothing of [undefined, null, "x.db"]) refused(nothing, /options must be an object/);
  });

  it("take a table prefix that needs no quoting in SQL, and none of SQLite's own", () => {
    for (const tablePrefix of ["", "1a", "a b", 'a"', "a;drop", "A_", "ä_", "a".repeat(32), 5, null]) refused({ path: "x.db", tablePrefix }, /tablePrefix must be 1 to 31/);
    refused({ path: "x.db", tablePrefix: "sqlite_x" }, /sqlite_/);
    sqlite({ path: "x.db", tablePrefix: "a".repeat(31) });
  });

  it("take the user's own connection, open and to a file, and then no path", () => {
    const [database, closed, memory] = [new DatabaseSync(home.file("own.db")), new DatabaseSync(home.file("own.db")), new DatabaseSync(":memory:")];
    closed.close();
    assert.equal(sqlite({ database }).label, `sqlite:${home.file("own.db")}`);
    refused({ database, path: "x.db" }, /not both/);
    refused({ database: closed }, /not open/);
    refused({ database: memory }, /in memory/);
    refused({ database: {} }, /must be a DatabaseSync/);
    refused({ database: null }, /must be a DatabaseSync/);
    database.close();
    memory.close();
  });

  it("are read without touching the disk, and the path is taken from the folder of that moment", () => {
    const path = home.file("untouched.db");
    const provider = sqlite({ path });
    assert.equal(existsSync(path), false);
    assert.equal(sqlite({ path: "relative.db" }).label, `sqlite:${resolve("relative.db")}`);
    assert.deepEqual([provider.kind, provider.capabilities.asyncTransactions, provider.capabilities.manyHosts], ["sqlite", false, false]);
  });

  it("do not load node:sqlite, and using it prints no warning about it, while other warnings are printed", () => {
    const source = (file: string) => JSON.stringify(new URL(`../../../src/${file}`, import.meta.url).href);
    const script = `
      process.on("warning", (warning) => console.log(warning.message));
      const { sqlite } = await import(${source("store/sqlite/index.ts")});
      const { systemClock, systemRandom, silentLogger } = await import(${source("kernel/index.ts")});
      const loaded = () => process.moduleLoadList.some((name) => name.includes("sqlite"));
      const provider = sqlite({ path: process.argv[1] });
      const before = loaded();
      const session = await provider.open({
        group: "g", node: "n", clock: systemClock, random: systemRandom, logger: silentLogger,
        deadlineMs: 10000, statementLimitMs: 10000, createSchema: true,
      });
      await session.close();
      process.emitWarning("still heard", "ExperimentalWarning");
      console.log(JSON.stringify([before, loaded()]));`;
    const printed = execFileSync(process.execPath, ["--input-type=module", "-e", script, home.file("warn.db")], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const lines = printed.trim().split("\n");
    assert.ok(lines.includes("[false,true]"), printed);
    assert.ok(lines.includes("still heard"), printed);
    assert.ok(!lines.some((line) => /SQLite/.test(line)), printed);
  });
});
