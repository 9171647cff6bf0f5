import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../architecture/source.ts";

/** Generous: it ends a hang, and judges nothing. */
const LIMIT_MS = 240_000;

describe("the example of replicated settings", () => {
  it("runs, and says that all have the same settings", async () => {
    assert.ok(existsSync(join(ROOT, "dist/index.js")), "there is no dist/: run 'npm run build' first");
    const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, "examples/replicated-settings/main.js")], { timeout: LIMIT_MS, killSignal: "SIGKILL" });
    assert.match(stdout, /shop-3: changed \{"key":"prices","value":\{"coffee":250,"tea":200\},"local":false\}/);
    assert.match(stdout, /shop-4 began with \{"closed":true,"prices":\{"coffee":250,"tea":200\}\}/);
    assert.match(stdout, /all have the same settings\n$/);
  });
});
