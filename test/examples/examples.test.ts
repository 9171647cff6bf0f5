import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../architecture/source.ts";

const FOLDER = join(ROOT, "examples");

/** Generous: it ends a hang, and judges nothing. */
const LIMIT_MS = 120_000;

/** What must be seen of each; all of them are run. */
const SEEN: Readonly<Record<string, readonly RegExp[]>> = {
  "chat-room": [/cyd \| \(before\) ada: good morning/, /bob \| \(cyd whispers\) it is cold here/, /ada \| \* bob is gone/, /cyd \| ada: poor bob/],
  "replicated-settings": [/^shop-3: prices is now \{"coffee":250,"tea":200\}, by another node$/m, /^shop-1 was killed$/m, /^shop-4 began with closed, prices$/m, /^all have the same settings$/m],
  "cache-invalidation": [/^100 changes of prices; 300 prices read right after them, 0 of them old$/m, /not told: shop-3$/m, /shop-3 goes on, and serves the new price/, /shop-2 was killed, and shop-3 serves the new price/],
  "farm-of-three": [
    /^version 1: web-1 applied 1, web-2 applied 1, web-3 applied 1$/m,
    /^version 2: web-1 applied 2, web-2 applied 2, web-3 applied 2$/m,
    /^while version 2 is deployed: over 100 requests, 0 failed$/m,
    /^version 3 refused: FARM_TIMEOUT: .*web-1 did not become healthy/m,
    /^while version 3 is deployed, .*: over 100 requests, 0 failed$/m,
    /^web-3 was killed and is back: hello from version 2 on web-3$/m,
  ],
};

describe("the examples", () => {
  it("compile against the package", () => {
    assert.ok(existsSync(join(ROOT, "dist/index.d.ts")), "there is no dist/: run 'npm run build' first, or the tests by 'npm test'");
    const { stdout, status } = spawnSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", FOLDER, "--pretty", "false"], { encoding: "utf8" });
    assert.equal(stdout, "");
    assert.equal(status, 0);
  });

  it("are all run here, each by a command of its own that its README names", () => {
    const folders = readdirSync(FOLDER, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
    assert.deepEqual(folders.toSorted(), Object.keys(SEEN).toSorted());
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> };
    for (const name of folders) {
      assert.match(scripts[`example:${name}`] ?? "", new RegExp(`node examples/${name}/main\\.ts$`));
      assert.ok(readFileSync(join(FOLDER, name, "README.md"), "utf8").includes(`npm run example:${name}`));
    }
  });

  for (const [name, patterns] of Object.entries(SEEN)) {
    it(`run to their end: ${name}`, async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [join(FOLDER, name, "main.ts")], { timeout: LIMIT_MS, killSignal: "SIGKILL" });
      for (const pattern of patterns) assert.match(stdout, pattern);
    });
  }
});
