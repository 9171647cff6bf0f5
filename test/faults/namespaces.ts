import { execFile, execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { createInterface } from "node:readline";
import type { Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CROWD, memberPlace, SERVERS } from "./world.ts";
import type { Through, Weather, World } from "./world.ts";

const run = promisify(execFile);
const SWITCH = fileURLToPath(new URL("switch.py", import.meta.url));
const NETWORK = "10.99.0";

/** A number for each world of this process, so that names are its own. */
let worlds = 0;

/** Why there can be no namespaces here; `undefined` if there can. */
export function namespacesMissing(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "making network namespaces needs root";
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch {
    return "/dev/net/tun is not to be had";
  }
  for (const [program, ...args] of [["ip", "-V"], ["nsenter", "--version"], ["python3", "--version"]] as const) {
    try {
      execFileSync(program, args, { stdio: "ignore" });
    } catch {
      return `${program} is missing`;
    }
  }
  try {
    const name = `tribune-${process.pid}-try`;
    execFileSync("ip", ["netns", "add", name], { stdio: "pipe" });
    execFileSync("ip", ["netns", "del", name], { stdio: "pipe" });
  } catch (error) {
    return `ip netns add failed: ${(error as Error).message.trim().split("\n").at(-1)}`;
  }
  return undefined;
}

/**
 * A namespace of the network for each node, one for all servers or for each member of an ensemble, one for the crowd. Nothing connects them but the packet switch, which is a process of ours (`switch.py`): what it drops is gone,
 * as from a cable. Names are of this process, so that worlds do not meet.
 */
export async function openNamespaces(nodes: readonly string[], seed: number, members = 1): Promise<World> {
  const servers = Array.from({ length: members }, (_, member) => memberPlace(member));
  const places = [...servers, ...nodes, CROWD];
  const prefix = `tribune-${process.pid}-${++worlds}-`;
  const nameOf = (place: string) => `${prefix}${place}`;
  const addressOf = (place: string) => `${NETWORK}.${places.indexOf(place) + 1}`;
  const removeAll = () => {
    for (const place of places) {
      try {
        execFileSync("ip", ["netns", "del", nameOf(place)], { stdio: "ignore" });
      } catch {
        // The switch has removed it already.
      }
    }
  };
  process.once("exit", removeAll);
  let packets: PacketSwitch | undefined;
  const close = async () => {
    await packets?.close();
    removeAll();
    process.off("exit", removeAll);
  };
  try {
    for (const place of places) await run("ip", ["netns", "add", nameOf(place)]);
    packets = await PacketSwitch.start(seed, places.map((place) => `${nameOf(place)}=${addressOf(place)}`));
    for (const place of places) {
      const inside = ["-n", nameOf(place)];
      await run("ip", [...inside, "link", "set", "lo", "up"]);
      await run("ip", [...inside, "addr", "add", `${addressOf(place)}/24`, "dev", "mesh0"]);
      await run("ip", [...inside, "link", "set", "mesh0", "up"]);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const ready = packets;
  return {
    kind: "namespaces",
    label: `${places.length} network namespaces with a packet switch`,
    lacks: new Map(),
    serverHost: addressOf(SERVERS),
    nodesFrom: `${NETWORK}.0/24`,
    through: (place): Through => ["nsenter", `--net=/run/netns/${nameOf(place)}`],
    memberHost: (member) => addressOf(memberPlace(member)),
    addressOf: (_node, port, member = 0) => Promise.resolve({ host: addressOf(memberPlace(member)), port }),
    async disturb(node, weather) {
      for (const server of servers) await ready.disturb(places.indexOf(node), places.indexOf(server), weather);
    },
    async isolate(group, isCut) {
      for (const one of group) {
        for (const other of places) if (!group.includes(other)) await ready.disturb(places.indexOf(one), places.indexOf(other), isCut ? { cut: "both" } : {});
      }
    },
    close,
  };
}

/** The process that carries packets. */
class PacketSwitch {
  readonly #child: ChildProcess;
  readonly #answers: Interface;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess, answers: Interface) {
    this.#child = child;
    this.#answers = answers;
  }

  static async start(seed: number, places: readonly string[]): Promise<PacketSwitch> {
    const child = spawn("python3", [SWITCH, String(seed), ...places], { stdio: ["pipe", "pipe", "pipe"], detached: true });
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.stdin?.on("error", () => undefined); // its end is told by `exit`
    const packets = new PacketSwitch(child, createInterface({ input: child.stdout as NodeJS.ReadableStream }));
    const ended = once(child, "exit").then(() => {
      throw new Error(`the packet switch ended: ${said.trim()}`);
    });
    ended.catch(() => undefined);
    await Promise.race([once(packets.#answers, "line"), ended]);
    return packets;
  }

  async disturb(node: number, servers: number, weather: Weather): Promise<void> {
    const { cut, delayMs = 0, jitterMs = 0, lossPercent = 0 } = weather;
    const rule = (from: number, to: number, isCut: boolean) => this.#tell(`rule ${from} ${to} ${isCut ? 1 : 0} ${delayMs} ${jitterMs} ${lossPercent}`);
    await rule(node, servers, cut === "both" || cut === "requests");
    await rule(servers, node, cut === "both" || cut === "replies");
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await gone;
    clearTimeout(timer);
  }

  /** One line, and the answer to it: they come in the order of the questions. */
  #tell(line: string): Promise<void> {
    const told = this.#last.then(() => this.#ask(line));
    this.#last = told.catch(() => undefined);
    return told;
  }

  async #ask(line: string): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error("the packet switch has ended");
    const answered = once(this.#answers, "line", { signal: AbortSignal.timeout(10_000) });
    this.#child.stdin?.write(`${line}\n`);
    await answered;
  }
}
