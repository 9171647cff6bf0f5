/** Three processes serve HTTP from what is deployed on them. New versions come while clients ask all three as fast as they can; one process is killed and comes back. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CLIENTS = 6;
const folder = mkdtempSync(join(tmpdir(), "farm-of-three-"));
const store = `sqlite:${join(folder, "cluster.db")}`;
const members = new Map<string, { readonly process: ChildProcess; readonly port: number }>();
const agent = new Agent({ keepAlive: true });

try {
  for (const name of ["web-1", "web-2", "web-3"]) await start(name);
  console.log(await deploy("1"));
  await underLoad("version 2 is deployed", async () => console.log(await deploy("2")), /version [12] /);
  await underLoad("version 3 is deployed, and does not become healthy", async () => console.log(await deploy("3")), /version [23] /);
  console.log(`now: ${(await answers()).join(", ")}`);

  const killed = members.get("web-3");
  members.delete("web-3");
  killed?.process.kill("SIGKILL");
  await start("web-3");
  console.log(`web-3 was killed and is back: ${(await answers()).at(-1)}`);
} finally {
  agent.destroy();
  for (const member of members.values()) member.process.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

async function start(name: string): Promise<void> {
  const member = fork(join(import.meta.dirname, "member.ts"), [name, store, join(folder, name)]);
  const [{ listening }] = (await once(member, "message")) as [{ readonly listening: { readonly port: number } }];
  members.set(name, { process: member, port: listening.port });
}

/** What the member says that is told to deploy it. */
async function deploy(version: string): Promise<string> {
  const member = members.get("web-1")?.process as ChildProcess;
  member.send({ version, directory: join(import.meta.dirname, `v${version}`) });
  const [{ deployed, refused }] = (await once(member, "message")) as [{ readonly deployed?: readonly string[]; readonly refused?: string }];
  return deployed === undefined ? `version ${version} refused: ${refused}` : `version ${version}: ${deployed.join(", ")}`;
}

/** Asks all members without a pause while `work` goes on; counts what was not answered as it should be. */
async function underLoad(what: string, work: () => Promise<void>, expected: RegExp): Promise<void> {
  let isOver = false;
  let asked = 0;
  let failed = 0;
  const client = async (first: number) => {
    for (let n = first; !isOver; n++) {
      const { port } = [...members.values()][n % members.size] as { readonly port: number };
      asked++;
      if (!expected.test(await ask(port))) failed++;
    }
  };
  const clients = Array.from({ length: CLIENTS }, (_, n) => client(n));
  await work();
  isOver = true;
  await Promise.all(clients);
  console.log(`while ${what}: ${asked > 100 ? "over 100" : asked} requests, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

async function answers(): Promise<string[]> {
  const found: string[] = [];
  for (const { port } of members.values()) found.push(await ask(port));
  return found;
}

/** The body of a good answer; what went wrong otherwise. */
function ask(port: number): Promise<string> {
  return new Promise((resolve) => {
    get({ port, agent }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => resolve(response.statusCode === 200 ? body : `${response.statusCode}: ${body}`));
    }).on("error", (error) => resolve(error.message));
  });
}
