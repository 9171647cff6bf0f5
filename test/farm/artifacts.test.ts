import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Artifacts } from "../../src/farm/artifacts.ts";
import type { ArtifactSource } from "../../src/farm/index.ts";
import { isTribuneError, seededRandom } from "../../src/kernel/index.ts";
import { bytes } from "./farms.ts";

const home = mkdtempSync(join(tmpdir(), "tribune-artifacts-"));
after(() => rmSync(home, { recursive: true, force: true }));
let count = 0;

async function store(maxBytes = 100): Promise<{ readonly artifacts: Artifacts; readonly folder: string }> {
  const folder = join(home, String(++count));
  const artifacts = new Artifacts(folder, seededRandom(count), maxBytes);
  await artifacts.open();
  return { artifacts, folder };
}

describe("artifacts on disk", () => {
  it("have no part beside the whole for longer than somebody fetches it", async () => {
    const { artifacts, folder } = await store();
    const { digest } = await artifacts.take(bytes("one"));
    writeFileSync((await artifacts.part(digest)).path, "on");
    const fetched = Promise.withResolvers<void>();
    const fetching = artifacts.alone(digest, new AbortController().signal, () => fetched.promise);
    await artifacts.keepOnly(() => true);
    assert.equal(readdirSync(folder).length, 2);
    fetched.resolve();
    await fetching;
    await artifacts.keepOnly(() => true);
    assert.deepEqual(readdirSync(folder), [digest]);
  });

  it("are refused where they cannot be read, with the path, what the system says, and a next step", async () => {
    const { artifacts, folder } = await store();
    const [file, directory] = [join(home, "a-file"), join(home, "a-directory")];
    writeFileSync(file, "one");
    mkdirSync(join(directory, "locked"), { recursive: true });
    const refused = async (source: ArtifactSource, path: string, code: string, next: RegExp) =>
      await assert.rejects(artifacts.take(source), (error) => {
        assert.ok(isTribuneError(error, "FARM_ARTIFACT_INVALID"), String(error));
        assert.equal(error.message, `${JSON.stringify(path)} cannot be read: ${code}`);
        assert.equal((error.cause as NodeJS.ErrnoException).code, code);
        assert.match(error.next ?? "", next);
        return true;
      });
    await refused({ file: join(home, "nowhere") }, join(home, "nowhere"), "ENOENT", /path/);
    await refused({ directory: join(home, "nowhere") }, join(home, "nowhere"), "ENOENT", /path/);
    await refused({ file: join(file, "below") }, join(file, "below"), "ENOTDIR", /\{ file \}/);
    await refused({ directory: file }, file, "ENOTDIR", /\{ file \}/);
    await refused({ file: directory }, directory, "EISDIR", /\{ directory \}/);
    await refused({ tar: directory }, directory, "EISDIR", /\{ directory \}/);
    if (process.getuid?.() !== 0) {
      chmodSync(join(directory, "locked"), 0);
      await refused({ directory }, join(directory, "locked"), "EACCES", /read/);
      chmodSync(join(directory, "locked"), 0o700);
    }
    assert.deepEqual(readdirSync(folder), []);
  });

  it("tell who gives a file that is not there, and nobody else: also where they cannot be written either", async () => {
    const { artifacts, folder } = await store();
    rmSync(folder, { recursive: true });
    const file = join(home, "nowhere");
    await assert.rejects(artifacts.take({ file }), (error: NodeJS.ErrnoException) => error.code === "ENOENT" && error.path?.startsWith(folder) === true); // of the farm's own folder, which comes first
    await assert.rejects(stat(file), { code: "ENOENT" }); // by then a stream that was opened before anybody read it has failed, which ends the process
  });

  it("stay from when they are taken in until they are let go, whatever is tidied up meanwhile", async () => {
    const { artifacts, folder } = await store();
    const tidying = Array.from({ length: 20 }, () => artifacts.keepOnly(() => false));
    const taking = artifacts.take(bytes("one"));
    for (let n = 0; n < 20; n++) tidying.push(artifacts.keepOnly(() => false));
    const { digest } = await taking;
    await Promise.all(tidying);
    assert.equal(await artifacts.size(digest), 3);
    artifacts.letGo(digest);
    await artifacts.keepOnly((each) => each === digest);
    assert.equal(await artifacts.size(digest), 3);
    await artifacts.keepOnly(() => false);
    assert.deepEqual(readdirSync(folder), []);
  });

  it("are asked for when it is their turn to go, not before", async () => {
    const { artifacts } = await store();
    const { digest } = await artifacts.take(bytes("one"));
    artifacts.letGo(digest);
    let isNeeded = false;
    const looking = artifacts.size(digest);
    const tidying = artifacts.keepOnly(() => isNeeded);
    isNeeded = true; // a document that names it was read meanwhile
    await tidying;
    assert.deepEqual([await looking, await artifacts.size(digest)], [3, 3]);
  });

  it("are refused where they are too large, and what an ingestion left is removed at the next start", async () => {
    const { artifacts, folder } = await store(2);
    await assert.rejects(artifacts.take(bytes("one")), { code: "FARM_ARTIFACT_INVALID" });
    assert.deepEqual(readdirSync(folder), []);
    writeFileSync(join(folder, "new-half"), "");
    writeFileSync(join(folder, `${"0".repeat(64)}.part`), "a part");
    await artifacts.open();
    assert.deepEqual(readdirSync(folder), [`${"0".repeat(64)}.part`]);
    assert.throws(() => artifacts.path("../evil"), { code: "FARM_ARTIFACT_INVALID" });
  });
});
