import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

/** A single etcd of the benchmark's own, with default settings. */
export interface EtcdServer {
  readonly label: string;
  readonly url: string;
  close(): Promise<void>;
}

/** Until it says that it is ready. */
const START_TIMEOUT_MS = 30_000;

/** Starts etcd in a temporary folder, if it is on the path. */
export async function startEtcd(): Promise<EtcdServer | { readonly missing: string }> {
  const program = await findEtcd();
  if (program === undefined) return { missing: "there is no etcd on the path; on Debian, apt-get install etcd-server brings it" };
  const folder = await mkdtemp(join(tmpdir(), "tribune-etcd-"));
  const [client, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const child = spawn(program, ["--data-dir", join(folder, "data"), "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const killed = () => child.kill("SIGKILL");
  process.once("exit", killed);
  const gone = once(child, "exit").finally(() => process.removeListener("exit", killed));
  const close = async () => {
    child.kill("SIGTERM");
    await gone;
    await rm(folder, { recursive: true, force: true });
  };
  const lines = createInterface({ input: child.stderr });
  lines.on("line", () => undefined); // or the pipe fills up
  try {
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    while (!(await answers(client))) {
      if (signal.aborted || child.exitCode !== null) throw new Error(child.exitCode === null ? `it does not answer within ${START_TIMEOUT_MS} ms` : `it ended with code ${child.exitCode}`);
      await pause(50);
    }
    return { label: `etcd ${await version(client)}, one server, default settings`, url: client, close };
  } catch (error) {
    await close();
    throw new Error("etcd did not start", { cause: error });
  }
}

async function answers(url: string): Promise<boolean> {
  return await fetch(`${url}/health`).then(
    (response) => response.ok,
    () => false,
  );
}

async function version(url: string): Promise<string> {
  const { etcdserver } = (await (await fetch(`${url}/version`)).json()) as { readonly etcdserver: string };
  return etcdserver;
}

async function findEtcd(): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const program = join(folder, "etcd");
    if (
      await access(program, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return program;
  }
  return undefined;
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
