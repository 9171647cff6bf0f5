import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { after, beforeEach, describe, it } from "node:test";
import type { Hint, StoreSession } from "../../../src/store/index.ts";
import { parseHints } from "../../../src/store/sqlite/hints.ts";
import { child } from "./children.ts";
import { CALL, joined } from "./member.ts";
import type { Joined } from "./member.ts";
import { folder } from "./place.ts";

/** Resolves once `session` has been given every one of the hints; rejects if they do not come. */
function heard(session: StoreSession, ...expected: readonly Hint[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const missing = new Set(expected.map((hint) => JSON.stringify(hint)));
    // Also keeps the process alive meanwhile, which watching a file does not.
    const patience = setTimeout(() => reject(new Error(`these hints did not come: ${[...missing].join()}`)), 10_000);
    const stop = session.onHint((hint) => {
      missing.delete(JSON.stringify(hint));
      if (missing.size > 0) return;
      clearTimeout(patience);
      stop();
      resolve();
    });
  });
}

describe("hints of a SQLite store", { timeout: 60_000 }, () => {
  const home = folder();
  let path: string;
  let files = 0;
  const open: Joined[] = [];
  const member = async () => {
    const each = await joined(path);
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

  it("come from another process", async () => {
    const a = await member();
    assert.equal(a.session.info.hints, true);
    const other = await child("lead", path, "e");
    const hints = heard(a.session, { kind: "presence" }, { kind: "election", election: "e" });
    other.go();
    await other.result();
    await hints;
  });

  it("are a file that beats, looks and lost races do not touch", async () => {
    const [a, b] = [await member(), await member()];
    const token = await a.lead("e");
    const file = `${path}-tribune_hint`;
    const before = [readFileSync(file, "utf8"), statSync(file, { bigint: true }).mtimeNs];
    for (let n = 1; n <= 20; n++) {
      assert.equal((await a.beat(n)).accepted, true);
      await b.session.readGroup(CALL);
      assert.equal(await b.session.resign({ election: "e", incarnation: b.incarnation, token, reason: "not mine" }, CALL), false);
    }
    assert.deepEqual([readFileSync(file, "utf8"), statSync(file, { bigint: true }).mtimeNs], before);
  });

  it("are about everything where some may have been missed because the file was emptied", async () => {
    const a = await member();
    for (const election of ["one", "two"]) await a.session.createElection({ election }, CALL);
    const b = await member();
    const hints = heard(b.session, { kind: "view" }, { kind: "presence" }, { kind: "election", election: "one" }, { kind: "election", election: "two" });
    const file = `${path}-tribune_hint`;
    const line = `${JSON.stringify({ group: "somebody-else", kind: "view" })}\n`;
    appendFileSync(file, line.repeat(Math.ceil((64 * 1024) / line.length)));
    await a.session.createElection({ election: "three" }, CALL);
    assert.equal(statSync(file).size, 0, "it does not grow without bound");
    await hints;
  });

  it("go on when the file is deleted, beginning with everything", async () => {
    const [a, b] = [await member(), await member()];
    const all = heard(b.session, { kind: "view" }, { kind: "presence" });
    rmSync(`${path}-tribune_hint`);
    await all;
    const hint = heard(b.session, { kind: "election", election: "e" });
    await a.session.createElection({ election: "e" }, CALL);
    await hint;
    assert.equal(b.session.info.hints, true);
  });

  it("are given up with a warning where the file cannot be one, and all else works", async () => {
    mkdirSync(`${path}-tribune_hint`);
    const a = await member();
    assert.equal(a.session.info.hints, false);
    assert.match(a.session.info.warnings.join(), /cannot be watched/);
    assert.ok((await a.lead("e")) > 0);
  });

  it("reach the other listeners when one throws, and no listener after the session has ended", async () => {
    const [a, b] = [await member(), await member()];
    let late = 0;
    b.session.onHint(() => {
      throw new Error("a bad listener");
    });
    const hint = heard(b.session, { kind: "election", election: "e" });
    await a.session.createElection({ election: "e" }, CALL);
    await hint;
    b.session.onHint(() => (late += 1));
    await b.session.close();
    const other = await member();
    const sentinel = heard(other.session, { kind: "election", election: "f" });
    await a.session.createElection({ election: "f" }, CALL);
    await sentinel;
    assert.equal(late, 0);
  });

  it("do not keep a process alive: one that forgets to close its session ends all the same", () => {
    const script = `
      import { joined } from ${JSON.stringify(new URL("member.ts", import.meta.url).href)};
      await joined(process.argv[1]);
      console.log("joined");`;
    const output = execFileSync(process.execPath, ["--no-warnings", "--input-type=module", "-e", script, path], { encoding: "utf8", timeout: 30_000 });
    assert.equal(output.trim(), "joined");
    assert.ok(existsSync(path));
  });

  it("are read line by line: those of other groups are left out, doubles are one, and what cannot be read is reported", () => {
    const lines = [
      { group: "g", kind: "presence" },
      { group: "g", kind: "presence" },
      { group: "other", kind: "view" },
      { group: "g", kind: "election", election: "e" },
    ].map((line) => JSON.stringify(line));
    assert.deepEqual(parseHints(`${lines.join("\n")}\n`, "g"), [{ kind: "presence" }, { kind: "election", election: "e" }]);
    assert.deepEqual(parseHints("", "g"), []);
    for (const bad of ['sence"}', "7", "null", "{}", '{"group":"g","kind":"unheard-of"}', '{"group":"g","kind":"election"}']) assert.equal(parseHints(`${bad}\n${lines[0]}\n`, "g"), undefined, bad);
  });
});
