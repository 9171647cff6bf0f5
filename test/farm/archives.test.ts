import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { packDirectory } from "../../src/farm/tar.ts";
import { decodeHeader, encodeHeader } from "../../src/farm/tar-header.ts";
import { unpack } from "../../src/farm/unpack.ts";
import { fc } from "../support/properties.ts";
import { archive } from "./archive.ts";
import type { RawEntry } from "./archive.ts";

const home = mkdtempSync(join(tmpdir(), "tribune-tar-"));
after(() => rmSync(home, { recursive: true, force: true }));
const never = new AbortController().signal;
const LIMITS = { maxFiles: 10 };

let count = 0;
async function unpacked(tar: Uint8Array): Promise<string> {
  const place = join(home, `case-${++count}`);
  mkdirSync(place);
  writeFileSync(join(place, "a.tar"), tar);
  await unpack(join(place, "a.tar"), join(place, "out"), LIMITS, never);
  return join(place, "out");
}

async function packed(directory: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of packDirectory(directory)) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe("a directory as a tar", () => {
  it("comes out as it went in, and has the same bytes wherever it lies", async () => {
    const [one, two] = [join(home, "one"), join(home, "two")];
    for (const [place, names] of [[one, ["b", "a"]], [two, ["a", "b"]]] as const) {
      mkdirSync(join(place, "deep", "er"), { recursive: true });
      mkdirSync(join(place, "empty"));
      for (const name of names) writeFileSync(join(place, "deep", "er", `${name}-ä`), name.repeat(1_000));
      writeFileSync(join(place, "run.sh"), "");
      chmodSync(join(place, "run.sh"), 0o755);
      writeFileSync(join(place, "deep", "x".repeat(90)), "long");
    }
    const tar = await packed(one);
    assert.deepEqual(await packed(two), tar);
    const out = await unpacked(tar);
    assert.deepEqual(new Set(readdirSync(out, { recursive: true, encoding: "utf8" })), new Set(readdirSync(one, { recursive: true, encoding: "utf8" })));
    assert.equal(readFileSync(join(out, "deep/er/b-ä"), "utf8"), "b".repeat(1_000));
    assert.equal(lstatSync(join(out, "run.sh")).mode & 0o777, 0o755);
  });

  it("is understood by tar, and takes what tar makes", async () => {
    const [from, out] = [join(home, "from"), join(home, "by-tar")];
    mkdirSync(join(from, "sub"), { recursive: true });
    mkdirSync(out);
    writeFileSync(join(from, "sub", "file"), "words");
    writeFileSync(join(home, "ours.tar"), await packed(from));
    assert.equal(spawnSync("tar", ["-xf", join(home, "ours.tar"), "-C", out]).status, 0);
    assert.equal(readFileSync(join(out, "sub/file"), "utf8"), "words");
    assert.equal(spawnSync("tar", ["--format=ustar", "-cf", join(home, "theirs.tar"), "-C", from, "."]).status, 0);
    assert.equal(readFileSync(join(await unpacked(readFileSync(join(home, "theirs.tar"))), "sub/file"), "utf8"), "words");
  });

  it("has no links", async () => {
    const place = join(home, "linked");
    mkdirSync(place);
    symlinkSync("/etc/passwd", join(place, "passwd"));
    await assert.rejects(packed(place), { code: "FARM_ARTIFACT_INVALID", message: /link/ });
  });

  const bad: readonly (readonly [string, RawEntry[] | Uint8Array])[] = [
    ["a path that leads out", [{ path: "../evil" }]],
    ["one that leads out in the middle", [{ path: "a/../../evil" }]],
    ["an absolute path", [{ path: "/etc/evil" }]],
    ["a drive", [{ path: "C:/evil" }]],
    ["a backslash", [{ path: "..\\evil" }]],
    ["a control character", [{ path: "a\u001b[2J" }]],
    ["a symbolic link", [{ path: "link", type: "2", link: "/etc" }]],
    ["a hard link", [{ path: "link", type: "1", link: "/etc/passwd" }]],
    ["a device", [{ path: "dev", type: "3" }]],
    ["a pipe", [{ path: "pipe", type: "6" }]],
    ["an extension", [{ path: "pax", type: "x", body: "30 path=../../evil\n" }]],
    ["a file twice", [{ path: "a", body: "1" }, { path: "a", body: "2" }]],
    ["names that differ only in case", [{ path: "Readme" }, { path: "README" }]],
    ["a file where a folder is", [{ path: "a/b" }, { path: "a" }]],
    ["a folder where a file is", [{ path: "a" }, { path: "a/b" }]],
    ["more than it may have", Array.from({ length: 11 }, (_, n) => ({ path: `f${n}` }))],
    ["a size that lies", [{ path: "a", sizeBytes: 10 ** 9, body: "x" }]],
    ["a wrong checksum", [{ path: "a", checksum: 1 }]],
    ["no end", archive([{ path: "a", body: "x" }]).subarray(0, 1_024)],
    ["half a file", archive([{ path: "a", body: "x".repeat(2_000) }]).subarray(0, 1_024)],
    ["what is no tar", Buffer.alloc(2_048, "PK")],
    ["nothing", new Uint8Array()],
  ];
  for (const [what, entries] of bad) {
    it(`is refused with ${what}, and nothing of it is in place`, async () => {
      const before = existsSync(join(home, "evil"));
      await assert.rejects(unpacked(entries instanceof Uint8Array ? entries : archive(entries)), { code: "FARM_ARTIFACT_INVALID" });
      assert.deepEqual(readdirSync(join(home, `case-${count}`)), ["a.tar"]);
      assert.equal(existsSync(join(home, "evil")), before);
    });
  }

  it("is either unpacked or refused with a code, whatever bytes are changed", async () => {
    const good = archive([{ path: "a/b", body: "words" }, { path: "c", body: "x".repeat(600) }]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }), async (changes) => {
        const tar = Buffer.from(good);
        for (const [at, byte] of changes) tar[at] = byte;
        try {
          await unpacked(tar);
        } catch (error) {
          assert.equal((error as { code?: unknown }).code, "FARM_ARTIFACT_INVALID", String(error));
        }
        assert.deepEqual(readdirSync(join(home, `case-${count}`)).filter((name) => name.includes("half")), []);
      }),
      { numRuns: 200 },
    );
  });

  it("says sizes beyond eight GiB", () => {
    const entry = { path: "large", kind: "file", sizeBytes: 20 * 2 ** 30, executable: false } as const;
    assert.deepEqual(decodeHeader(encodeHeader(entry)), entry);
  });
});
