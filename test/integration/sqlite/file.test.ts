import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { Connection } from "../../../src/store/sqlite/connection.ts";
import { DatabaseFiles } from "../../../src/store/sqlite/file.ts";
import { sqlite } from "../../../src/store/sqlite/index.ts";
import { CALL, joined, NOTHING_SEEN } from "./member.ts";
import type { Joined } from "./member.ts";
import { contextOf, folder, moveCopyIntoPlace, withDatabase } from "./place.ts";

describe("the file of a SQLite store", () => {
  const home = folder();
  let path: string;
  let files = 0;
  const open: Joined[] = [];
  const member = async (at = path) => {
    const each = await joined(at);
    open.push(each);
    return each;
  };
  beforeEach(() => {
    files += 1;
    path = home.file(`${files}.db`);
  });
  after(async () => {
    for (const each of open) await each.session.close();
    home.remove();
  });

  const expectReplaced = async (a: Joined) => {
    await assert.rejects(a.beat(1), { code: "STORE_REPLACED" });
    assert.equal(a.session.ended.aborted, true);
    assert.equal((a.session.ended.reason as { code?: string }).code, "STORE_REPLACED");
    await assert.rejects(a.beat(2), { code: "STORE_SESSION_ENDED" });
  };

  it("ends the session with STORE_REPLACED when another file is moved into its place", async () => {
    const a = await member();
    assert.equal((await a.beat(1)).accepted, true);
    moveCopyIntoPlace(path);
    await assert.rejects(a.beat(2), { code: "STORE_REPLACED" });
    assert.equal(a.session.ended.aborted, true);
  });

  it("ends the session with STORE_REPLACED when it is deleted, and a reading notices as a beat does", async () => {
    const [a, b] = [await member(), await member()];
    rmSync(path);
    await expectReplaced(a);
    await assert.rejects(b.session.look({ cursor: NOTHING_SEEN, watch: [] }, CALL), { code: "STORE_REPLACED" });
  });

  it("ends the session with STORE_REPLACED when its log or its shared memory is deleted", async () => {
    for (const side of ["-wal", "-shm"]) {
      const a = await member();
      rmSync(`${path}${side}`);
      await expectReplaced(a);
    }
  });

  it("is not mistaken for the one that a connection is on, where it was replaced right after that was opened", () => {
    withDatabase(path, (database) => database.exec("CREATE TABLE mine (x)"));
    const connection = Connection.open(path, { create: false });
    moveCopyIntoPlace(path);
    assert.throws(() => DatabaseFiles.of(path, connection.identity), { code: "STORE_REPLACED" });
    connection.close();
  });

  it("has an epoch of its own as a copy, also where the copy's content is the same", async () => {
    const a = await member();
    await a.session.close();
    moveCopyIntoPlace(path);
    const b = await member();
    assert.notEqual(b.epoch, a.epoch);
  });

  it("has one epoch for all processes and sessions, however its name is spelled", async () => {
    const a = await member();
    const link = home.file(`link-${files}.db`);
    symlinkSync(path, link);
    const b = await member(link);
    assert.equal(b.epoch, a.epoch);
    assert.equal((await a.session.look({ cursor: NOTHING_SEEN, watch: "all" }, CALL)).presence.length, 2);
  });

  it("may have a name that a URL would read otherwise", async () => {
    const odd = home.file(`a b?mode=memory#%41-${files}.db`);
    const a = await member(odd);
    assert.equal((await a.beat(1)).accepted, true);
    assert.ok(existsSync(odd));
  });

  it("keeps the user's own tables, and two stores with different prefixes, apart", async () => {
    withDatabase(path, (database) => database.exec("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)"));
    const a = await member();
    const b = await joined(path, {}, sqlite({ path, tablePrefix: "other_" }));
    open.push(b);
    for (const each of [a, b]) assert.equal((await each.session.look({ cursor: NOTHING_SEEN, watch: "all" }, CALL)).presence.length, 1);
    assert.equal(withDatabase(path, (database) => database.prepare("SELECT count(*) AS n FROM mine").get()?.["n"]), 1);
  });

  // ---- what cannot be opened

  it("is refused with STORE_NOT_A_DATABASE where it is something else, which is left as it was", async () => {
    const text = "this is a letter, not a database\n".repeat(100);
    writeFileSync(path, text);
    await assert.rejects(sqlite({ path }).open(contextOf()), { code: "STORE_NOT_A_DATABASE" });
    assert.equal(readFileSync(path, "utf8"), text);
  });

  it("is refused with STORE_NOT_WRITABLE where the folder is missing, is a file, or the path is a folder; the message says which", async () => {
    const missing = join(home.path, "missing", "cluster.db");
    await assert.rejects(sqlite({ path: missing }).open(contextOf()), { code: "STORE_NOT_WRITABLE", message: /missing does not exist/ });
    writeFileSync(path, "");
    await assert.rejects(sqlite({ path: join(path, "cluster.db") }).open(contextOf()), { code: "STORE_NOT_WRITABLE", message: /is not a folder/ });
    const directory = home.file(`folder-${files}`);
    mkdirSync(directory);
    await assert.rejects(sqlite({ path: directory }).open(contextOf()), { code: "STORE_NOT_WRITABLE", message: /it is a folder/ });
  });

  it("is refused with STORE_NOT_WRITABLE in a folder that nobody may write in", async (t) => {
    // Permissions do not bind root; no file can be made in /proc by anybody.
    if (process.getuid?.() === 0) {
      if (process.platform !== "linux") return t.skip("root may write everywhere");
      await assert.rejects(sqlite({ path: "/proc/cluster.db" }).open(contextOf()), { code: "STORE_NOT_WRITABLE" });
      return undefined;
    }
    const locked = home.file(`locked-${files}`);
    mkdirSync(locked);
    chmodSync(locked, 0o555);
    await assert.rejects(sqlite({ path: join(locked, "cluster.db") }).open(contextOf()), { code: "STORE_NOT_WRITABLE" });
    return undefined;
  });

  it("on a full disk refuses writes with STORE_FULL, still answers readings, and goes on when there is space again", async (t) => {
    const disk = home.file(`disk-${files}`);
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], { stdio: "ignore" });
    } catch {
      return t.skip("no small file system can be mounted here (needs root)");
    }
    let a: Joined | undefined;
    try {
      a = await joined(join(disk, "cluster.db"));
      assert.equal((await a.beat(1)).accepted, true);
      const ballast = join(disk, "ballast");
      fill(ballast);
      await assert.rejects(updateUntilRefused(a), { code: "STORE_FULL" });
      assert.equal(a.session.ended.aborted, false);
      const { presence } = await a.session.look({ cursor: NOTHING_SEEN, watch: "all" }, CALL);
      assert.equal(presence[0]?.beat, 1);
      rmSync(ballast);
      assert.equal((await a.beat(2)).accepted, true);
    } finally {
      await a?.session.close();
      execFileSync("umount", [disk]);
    }
    return undefined;
  });

  it("is not made by looking whether there is a schema, nor by opening without permission to make one", async () => {
    const provider = sqlite({ path });
    assert.deepEqual(await provider.schema.installed(contextOf()), { version: 0, worksWith: 0 });
    await assert.rejects(provider.open(contextOf({ createSchema: false })), { code: "SCHEMA_MISSING" });
    assert.equal(existsSync(path), false);
  });

  it("stays in its own journal mode when it is refused", async () => {
    withDatabase(path, (database) => database.exec("CREATE TABLE mine (x)"));
    await assert.rejects(sqlite({ path }).open(contextOf({ createSchema: false })), { code: "SCHEMA_MISSING" });
    assert.equal(withDatabase(path, (database) => database.prepare("PRAGMA journal_mode").get()?.["journal_mode"]), "delete");
  });

  it("is bound by the deadline of opening: an aborted opening leaves no connection behind", async () => {
    const aborted = AbortSignal.abort(new Error("changed my mind"));
    await assert.rejects(sqlite({ path }).open(contextOf({ signal: aborted })), { code: "ABORTED" });
    const a = await member();
    await a.session.close();
    assert.equal(existsSync(`${path}-wal`), false, "the last connection took the log away, so there was no other");
  });

  it("can be renamed together with its folder's other content while nobody uses it", async () => {
    const a = await member();
    await a.session.close();
    const moved = home.file(`moved-${files}.db`);
    renameSync(path, moved);
    const b = await member(moved);
    assert.equal(b.epoch, a.epoch, "the same file: device, inode and content");
  });
});

/** Writes until not a byte more fits. */
function fill(path: string): void {
  for (const size of [64 * 1024, 4096, 1]) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(size), { flag: "a" });
    } catch {
      // Full for pieces of this size.
    }
  }
}

/** Changes that need more and more space in the log. */
async function updateUntilRefused(a: Joined): Promise<void> {
  for (let n = 0; n < 1_000; n++) await a.session.updateMetadata({ incarnation: a.incarnation, metadata: JSON.stringify({ n, text: "x".repeat(8_000) }) }, CALL);
}
