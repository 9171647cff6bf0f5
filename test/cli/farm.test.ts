import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { groupWith } from "./group.ts";
import { place, tribune } from "./run.ts";

const LOCAL = ["--host", "127.0.0.1"];
const keys = generateKeyPairSync("ed25519");

/** Two members with farms, what runs on them, and something to be deployed. */
async function farms(t: TestContext, trustedKeys: readonly string[] = []) {
  const where = place(t);
  const running = new Map<string, string>();
  for (const node of ["a", "b"]) {
    const prices = {
      prepare: ({ config }: { readonly config: unknown }) => {
        if (config === "bad" && node === "b") throw new Error("\u001b[2Jnot here");
      },
      activate: ({ version }: { readonly version: string }) => void running.set(node, version),
      deactivate: () => void running.delete(node),
    };
    await groupWith(t, where, { channel: { host: "127.0.0.1" }, farm: { dir: join(where.folder, node), handlers: { prices }, trustedKeys, pollMs: 200 } }, node);
  }
  const artifact = join(where.folder, "dist");
  mkdirSync(artifact);
  writeFileSync(join(artifact, "index.js"), "export {};");
  const farm = (...args: string[]) => tribune(t, ["farm", ...args, ...LOCAL], where.env);
  return { where, running, artifact, farm };
}

describe("tribune farm", () => {
  it("deploys a directory on all members with progress, shows it, goes back, and removes it", async (t) => {
    const { running, artifact, farm } = await farms(t);
    const one = await farm("deploy", "prices", "1", artifact, "--config", '{"port":1}');
    assert.equal(one.code, 0, one.stderr);
    assert.match(one.stdout, /^prices 1\n/);
    for (const node of ["a", "b"]) {
      assert.match(one.stdout, new RegExp(`^${node} +applied +1`, "m"));
      assert.match(one.stderr, new RegExp(`^${node}: prices 1 fetching \\d+ % of \\d+ bytes$`, "m"));
    }
    assert.deepEqual([...running.values()], ["1", "1"]);
    const two = await farm("deploy", "prices", "2", artifact, "--rolling", "1", "--json");
    assert.deepEqual((JSON.parse(two.stdout) as { ok: boolean }).ok, true);
    const status = await farm("status");
    assert.match(status.stdout, /^prices 2 +directory, \d+ bytes, [0-9a-f]{12}\n +earlier: 1\n/);
    assert.equal((await farm("rollback", "prices")).code, 0);
    assert.deepEqual([...running.values()], ["1", "1"]);
    assert.equal((await farm("undeploy", "prices")).code, 0);
    assert.equal(running.size, 0);
    const [row] = JSON.parse((await farm("status", "prices", "--json")).stdout) as { desired: unknown; earlier: string[] }[];
    assert.deepEqual([row?.desired, row?.earlier], [null, ["1", "2"]]);
  });

  it("says who refused it and why, in words that cannot act upon the terminal, and leaves everybody as they are", async (t) => {
    const { running, artifact, farm } = await farms(t);
    const refused = await farm("deploy", "prices", "1", artifact, "--config", '"bad"');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^error FARM_PREPARE_FAILED: deploying prices 1 was rolled back everywhere, because of b: .*not here/m);
    assert.ok(!refused.stderr.includes("\u001b[2J"));
    assert.equal(running.size, 0);
    assert.match((await farm("status")).stdout, /deploy of 1 was rolled back because of b: FARM_PREPARE_FAILED/);
  });

  it("has an exit code and a next step for what cannot be", async (t) => {
    const { artifact, where, farm } = await farms(t, [keys.publicKey.export({ type: "spki", format: "pem" }).toString()]);
    const pem = join(where.folder, "key.pem");
    writeFileSync(pem, keys.privateKey.export({ type: "pkcs8", format: "pem" }));
    const cases: readonly (readonly [args: readonly string[], code: number, error: RegExp])[] = [
      [["deploy", "prices", "1", join(where.folder, "nowhere")], 2, /^error FARM_ARTIFACT_INVALID: .*give the path/m],
      [["deploy", "prices", "1", artifact, "--config", "{"], 2, /^error INVALID_OPTIONS: --config/m],
      [["deploy", "prices", "1", artifact, "--wave-ms", "5"], 2, /^error INVALID_OPTIONS: --wave-ms goes with --rolling/m],
      [["deploy", "prices", "1", artifact, "--rolling", "some"], 2, /^error INVALID_OPTIONS: .*whole number, at least 1, or zone/m],
      [["deploy", "prices", "1", artifact, "--sign-with", join(where.folder, "none.pem")], 2, /^error INVALID_OPTIONS: --sign-with/m],
      [["deploy", "prices", "1", artifact], 4, /^error FARM_UNSIGNED: .*signWith/m],
      [["undeploy", "prices"], 4, /^error FARM_NOT_DEPLOYED: /m],
      [["status", "other"], 4, /^error FARM_NOT_DEPLOYED: /m],
      [["deploy", "prices", "1", artifact, "--sign-with", pem], 0, /applied/],
      [["deploy", "prices", "1", artifact, "--sign-with", pem], 4, /^error FARM_VERSION_EXISTS: .*rollback/m],
    ];
    for (const [args, code, error] of cases) {
      const ended = await farm(...args);
      assert.equal(ended.code, code, `${args.join(" ")}: ${ended.stderr}`);
      assert.match(ended.stderr + ended.stdout, error);
    }
  });
});
