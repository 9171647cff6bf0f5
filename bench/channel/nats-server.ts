import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { installOnDebian } from "../../test/support/postgres-server.ts";
import type { Needed } from "./protocol.ts";

const START_MS = 30_000;

/** Starts a server with default settings on a free port, or says why there is none. As root on Debian it is installed if need be. */
export async function startNats(): Promise<Needed> {
  if (version() === undefined) {
    const trouble = await installOnDebian("nats-server");
    if (trouble !== undefined) return { missing: `no nats-server was found, and ${trouble}` };
  }
  const found = version();
  if (found === undefined) return { missing: "no nats-server was found, also after installing it" };
  const folder = await mkdtemp(join(tmpdir(), "tribune-nats-"));
  const child = spawn("nats-server", ["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", folder], { stdio: "ignore" });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const close = async () => {
    process.off("exit", kill);
    if (child.exitCode === null && child.signalCode === null) {
      kill();
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  for (const untilMs = performance.now() + START_MS; performance.now() < untilMs && child.exitCode === null; await pause(20)) {
    const url = await portOf(folder);
    if (url !== undefined) return { label: `NATS ${found}, default settings`, server: url, close };
  }
  await close();
  return { missing: "nats-server did not start" };
}

function version(): string | undefined {
  const { stdout } = spawnSync("nats-server", ["--version"], { encoding: "utf8" });
  return /v(\d\S*)/.exec(stdout ?? "")?.[1];
}

/** It writes a file with its ports when it listens. */
async function portOf(folder: string): Promise<string | undefined> {
  const [file] = (await readdir(folder)).filter((name) => name.endsWith(".ports"));
  if (file === undefined) return undefined;
  return /nats:\/\/[\d.]+:\d+/.exec(await readFile(join(folder, file), "utf8"))?.[0];
}
