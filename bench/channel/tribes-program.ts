import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { installOnDebian } from "../../test/support/postgres-server.ts";
import type { Needed, Orders } from "./protocol.ts";

/** Where Debian's libtomcat10-java puts them. */
const JARS = ["tribes", "juli"].map((name) => `/usr/share/java/tomcat10-${name}.jar`);

/** Compiles Tribes.java into a temporary folder, or says what is missing. As root on Debian the jars are installed if need be; Java is not. */
export async function compileTribes(): Promise<Needed> {
  const java = /\d\S*/.exec(spawnSync("javac", ["-version"], { encoding: "utf8" }).stdout ?? "")?.[0];
  if (java === undefined) return { missing: "no JDK was found: java and javac have to be on the path" };
  if (!JARS.every((jar) => existsSync(jar))) {
    const trouble = await installOnDebian("libtomcat10-java");
    if (trouble !== undefined) return { missing: `${JARS.join(" and ")} were not found, and ${trouble}` };
  }
  const folder = await mkdtemp(join(tmpdir(), "tribune-tribes-"));
  const close = () => rm(folder, { recursive: true, force: true });
  const server = [folder, ...JARS].join(delimiter);
  const { status, stderr } = spawnSync("javac", ["-cp", server, "-d", folder, join(import.meta.dirname, "Tribes.java")], { encoding: "utf8" });
  if (status !== 0) {
    await close();
    return { missing: `Tribes.java was not compiled: ${stderr}` };
  }
  const version = /-([\d.]+)\.jar$/.exec(realpathSync(JARS[0] ?? ""))?.[1] ?? "10";
  return { label: `Apache Tribes ${version} on Java ${java}`, server, close };
}

/** A process of {@link compileTribes}' program that is spoken with as with a forked one; its orders are its arguments, and a line each what is said after that. */
export function startTribes({ carrier, messages, echoes, bytes, warmUpMs, targets, server }: Orders): ChildProcess {
  const args = [carrier, messages, echoes, bytes, warmUpMs, ...targets.map(({ address }) => address)].map(String);
  const child = spawn("java", ["-cp", server, "Tribes", ...args], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => undefined); // it has ended, which is noticed
  createInterface(child.stdout).on("line", (line) => void (line.startsWith("{") && child.emit("message", JSON.parse(line))));
  return Object.assign(child, { send: (question: unknown) => child.stdin.write(`${JSON.stringify(question)}\n`) });
}
