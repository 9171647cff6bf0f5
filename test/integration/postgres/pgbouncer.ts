import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chown, constants, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { installOnDebian } from "../../support/postgres-server.ts";
import type { PostgresServer } from "../../support/postgres-server.ts";

export interface PgBouncer {
  readonly version: string;
  readonly port: number;
  readonly pid: number | undefined;
  urlOf(database: string): string;
  stop(): Promise<void>;
}

export interface PgBouncerOptions {
  /** As whom everybody comes to the server. Default: its superuser. */
  readonly user?: { readonly name: string; readonly password: string };
}

/** PgBouncer in front of `server`, where that is and on its address; or why there is none. */
export async function startPgBouncer(server: PostgresServer, mode: "transaction" | "session" = "transaction", { user = { name: "tribune", password: server.password } }: PgBouncerOptions = {}): Promise<PgBouncer | { readonly missing: string }> {
  const program = (await findPgBouncer()) ?? (await afterInstalling());
  if (typeof program !== "string") return program;
  const folder = await mkdtemp(join(tmpdir(), "tribune-pgbouncer-"));
  const port = await freePort();
  const { owner, surroundings } = server.place;
  const settings = [
    "[databases]",
    `* = host=${server.host} port=${server.port} user=${user.name} password=${user.password}`,
    "[pgbouncer]",
    `listen_addr = ${server.host}`,
    `listen_port = ${port}`,
    `unix_socket_dir = ${folder}`,
    "auth_type = any", // whoever reaches this port of the test is let in, as the user above
    `pool_mode = ${mode}`,
    "max_client_conn = 200",
    "default_pool_size = 8",
    "",
  ];
  await writeFile(join(folder, "pgbouncer.ini"), settings.join("\n"));
  if (owner !== undefined) for (const path of [folder, join(folder, "pgbouncer.ini")]) await chown(path, owner.uid, owner.gid);
  const before = surroundings?.through(owner) ?? [];
  const [first, ...rest] = [...before, program];
  const child = spawn(first, [...rest, join(folder, "pgbouncer.ini")], { ...(owner === undefined || before.length > 0 ? {} : owner), cwd: folder, stdio: "ignore" });
  const killed = () => child.kill("SIGKILL");
  process.once("exit", killed);
  const urlOf = (database: string) => `postgres://${user.name}@${server.host}:${port}/${database}`;
  await untilReady(`postgres://${user.name}@/postgres?host=${encodeURIComponent(folder)}&port=${port}`, () => child.exitCode !== null);
  const { stdout } = await promisify(execFile)(program, ["--version"]);
  return {
    version: stdout.split("\n")[0] ?? "PgBouncer",
    port,
    pid: child.pid,
    urlOf,
    async stop() {
      process.removeListener("exit", killed);
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function findPgBouncer(): Promise<string | undefined> {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"]) {
    const program = join(folder, "pgbouncer");
    const found = await access(program, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return program;
  }
  return undefined;
}

async function afterInstalling(): Promise<string | { readonly missing: string }> {
  const trouble = await installOnDebian("pgbouncer");
  return (await findPgBouncer()) ?? { missing: `PgBouncer was not found, and ${trouble ?? "installing it made no difference"}` };
}

async function untilReady(url: string, ended: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    const trouble = await client.connect().then(
      () => undefined,
      (error: unknown) => error,
    );
    await client.end().catch(() => undefined);
    if (trouble === undefined) return;
    if (ended()) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("PgBouncer did not start");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
