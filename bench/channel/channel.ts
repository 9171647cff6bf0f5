import { systemRandom } from "../../src/kernel/index.ts";
import { encodeRing, newRing } from "../../src/transport/index.ts";
import { installedVersion } from "../failover/peers.ts";
import type { BenchOptions } from "../options.ts";
import type { Progress } from "../progress.ts";
import { carrierOf, targetsOf } from "./figures.ts";
import type { ChannelRow, Target } from "./figures.ts";
import { startNats } from "./nats-server.ts";
import { BYTES, CARRIERS } from "./protocol.ts";
import type { Carrier, CarrierName, Need, Needed } from "./protocol.ts";
import { round } from "./rounds.ts";
import type { Round } from "./rounds.ts";
import { compileTribes } from "./tribes-program.ts";

export interface ChannelResult {
  readonly benchmark: "channel";
  readonly bytes: number;
  readonly messages: number;
  readonly echoes: number;
  /** In the order of {@link CARRIERS}; rounds of the same number were measured one after the other. */
  readonly rows: readonly ChannelRow[];
  readonly targets: readonly Target[];
  /** What was there, with versions. */
  readonly peers: readonly string[];
  readonly leftOut: ReadonlyArray<{ readonly who: string; readonly why: string }>;
}

const USUAL = { rounds: 7, messages: 300_000, echoes: 3_000, warmUpMs: 2_000 };
const QUICK = { rounds: 1, messages: 2_000, echoes: 20, warmUpMs: 0 };

const FIND: Readonly<Record<Need, () => Promise<Needed>>> = { nats: startNats, tribes: compileTribes };

/** Broadcasts, acknowledged broadcasts and requests between three processes. Carriers take turns, so that what else happens on the machine meets all of them. */
export async function channel(options: BenchOptions, progress: Progress): Promise<ChannelResult> {
  const { rounds, warmUpMs, ...counts } = options.quick ? QUICK : USUAL;
  const bytes = options.bytes ?? BYTES;
  const [messages, echoes] = [fewer(counts.messages, bytes), fewer(counts.echoes, bytes)];
  const leftOut = new Map<string, string>();
  const peers: string[] = [];
  const needed = new Map<Need, Needed>();
  try {
    for (const { name, needs } of CARRIERS as readonly Carrier[]) {
      if (needs !== undefined && options.peers.includes(name) && !needed.has(needs)) needed.set(needs, await FIND[needs]());
    }
    const carriers = CARRIERS.filter((carrier) => carrier.kind !== "peer" || isThere(carrier, options, needed, peers, leftOut));
    const measured = new Map<CarrierName, Round[]>(carriers.map(({ name }) => [name, []]));
    const orders = { echoes, bytes, ring: encodeRing(newRing(systemRandom, 0)), warmUpMs };
    const wanted = options.runs ?? rounds;
    for (let n = 1; n <= wanted; n++) {
      for (const { name } of carriers) {
        if (leftOut.has(name)) continue;
        progress.say(`channel: round ${n} of ${wanted}: ${name}`);
        try {
          const { needs, oneIn = 1 } = carrierOf(name);
          const need = needs && needed.get(needs);
          const server = need !== undefined && "server" in need ? need.server : "";
          measured.get(name)?.push(await round(name, { ...orders, server, messages: Math.ceil(messages / oneIn) }));
        } catch (error) {
          leftOut.set(name, `round ${n} failed: ${(error as Error).message}`);
          if (!options.peers.includes(name)) process.exitCode = 1; // what is ours has to run
        }
      }
    }
    const rows = [...measured].filter(([, each]) => each.length > 0).map(([carrier, each]) => ({ carrier, rounds: each }));
    return { benchmark: "channel", bytes, messages, echoes, rows, targets: bytes === BYTES ? targetsOf(rows) : [], peers, leftOut: [...leftOut].map(([who, why]) => ({ who, why })) };
  } finally {
    for (const each of needed.values()) if ("close" in each) await each.close();
  }
}

/** As many bytes in all as with {@link BYTES}. */
function fewer(count: number, bytes: number): number {
  return Math.min(count, Math.max(20, Math.round((count * BYTES) / bytes)));
}

/** Whether a peer can be measured; says so in one of the two lists. */
function isThere(carrier: Carrier, options: BenchOptions, needed: ReadonlyMap<Need, Needed>, peers: string[], leftOut: Map<string, string>): boolean {
  if (!options.peers.includes(carrier.name)) return false;
  const version = carrier.package === undefined ? undefined : installedVersion({ package: carrier.package });
  const need = carrier.needs && needed.get(carrier.needs);
  const missing = carrier.package !== undefined && version === undefined ? `${carrier.package} is not installed` : need !== undefined && "missing" in need ? need.missing : undefined;
  if (missing !== undefined) leftOut.set(carrier.name, missing);
  else {
    const found = [...(version === undefined ? [] : [`${carrier.package} ${version}`]), ...(need !== undefined && "label" in need ? [need.label] : [])];
    peers.push(...found.filter((each) => !peers.includes(each)));
  }
  return missing === undefined;
}
