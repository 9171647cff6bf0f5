import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { installOnDebian } from "../../test/support/postgres-server.ts";
import { freePort } from "../../test/support/zookeeper-server.ts";

const call = promisify(execFile);

export interface RedisServer {
  readonly label: string;
  readonly url: string;
  readonly pid: number;
  /** Forgets all. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a server that keeps nothing on disk on a free port, or says why there is none. As root on Debian it is installed if need be. */
export async function startRedis(): Promise<RedisServer | { readonly missing: string }> {
  if (version() === undefined) {
    const trouble = await installOnDebian("redis-server");
    if (trouble !== undefined) return { missing: `no redis-server was found, and ${trouble}` };
  }
  const found = version();
  if (found === undefined) return { missing: "no redis-server was found, also after installing it" };
  const folder = await mkdtemp(join(tmpdir(), "tribune-redis-"));
  const port = await freePort();
  const child = spawn("redis-server", ["--bind", "127.0.0.1", "--port", String(port), "--dir", folder, "--save", "", "--appendonly", "no"], { stdio: ["ignore", "pipe", "ignore"] });
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
  const ready = new Promise<boolean>((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", () => resolve(false));
    createInterface(child.stdout).on("line", (line) => (line.includes("Ready to accept connections") ? resolve(true) : undefined));
  });
  if (await ready) return { label: `Redis ${found}, nothing kept on disk`, url: `redis://127.0.0.1:${port}`, pid: child.pid ?? 0, empty: async () => void (await call("redis-cli", ["-p", String(port), "flushall"])), close };
  await close();
  return { missing: "redis-server did not start" };
}

function version(): string | undefined {
  const { stdout } = spawnSync("redis-server", ["--version"], { encoding: "utf8" });
  return /v=(\d\S*)/.exec(stdout ?? "")?.[1];
}
