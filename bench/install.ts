import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

/** Installs the packages of the peers into `bench/`, if they are not there as the lockfile says. The Node that runs this comes first in their path. */
export function installPeers(say: (text: string) => void): void {
  const folder = import.meta.dirname;
  const installed = join(folder, "node_modules/.package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(folder, "package-lock.json")).mtimeMs) return;
  say("installing the peers' packages into bench/, once");
  const { status, error } = spawnSync("npm", ["ci", "--prefix", folder, "--no-audit", "--no-fund"], {
    stdio: ["ignore", 2, 2],
    env: { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}` },
  });
  if (status !== 0) throw new Error(`npm ci --prefix bench failed${error === undefined ? "" : `: ${error.message}`}; mend that, or leave the peers out with --peers none`);
}
