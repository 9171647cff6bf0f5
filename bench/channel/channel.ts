import { systemRandom } from "../../src/kernel/index.ts";
import { encodeRing, newRing } from "../../src/transport/index.ts";
import { installedVersion } from "../failover/peers.ts";
import type { BenchOptions } from "../options.ts";
import type { Progress } from "../progress.ts";
import { targetsOf } from "./figures.ts";
import type { ChannelRow, Target } from "./figures.ts";
import { startNats } from "./nats-server.ts";
import type { NatsServer } from "./nats-server.ts";
import { CARRIERS } from "./protocol.ts";
import type { Carrier, CarrierName } from "./protocol.ts";
import { round } from "./rounds.ts";
import type { Round } from "./rounds.ts";

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

const BYTES = 1_024;
const USUAL = { rounds: 7, messages: 300_000, echoes: 3_000 };
const QUICK = { rounds: 1, messages: 2_000, echoes: 20 };

/** Broadcasts, acknowledged broadcasts and requests between three processes. Carriers take turns, so that what else happens on the machine meets all of them. */
export async function channel(options: BenchOptions, progress: Progress): Promise<ChannelResult> {
  const { rounds, messages, echoes } = options.quick ? QUICK : USUAL;
  const leftOut = new Map<string, string>();
  const peers: string[] = [];
  const nats = options.peers.includes("nats") ? await startNats() : undefined;
  const server = nats !== undefined && !("missing" in nats) ? nats : undefined;
  try {
    const carriers = CARRIERS.filter((carrier) => carrier.kind !== "peer" || isThere(carrier, options, nats, peers, leftOut));
    const measured = new Map<CarrierName, Round[]>(carriers.map(({ name }) => [name, []]));
    const orders = { messages, echoes, bytes: BYTES, ring: encodeRing(newRing(systemRandom, 0)), server: server?.url ?? "" };
    const wanted = options.runs ?? rounds;
    for (let n = 1; n <= wanted; n++) {
      for (const { name } of carriers) {
        if (leftOut.has(name)) continue;
        progress.say(`channel: round ${n} of ${wanted}: ${name}`);
        try {
          measured.get(name)?.push(await round(name, orders));
        } catch (error) {
          leftOut.set(name, `round ${n} failed: ${(error as Error).message}`);
          if (!options.peers.includes(name)) process.exitCode = 1; // what is ours has to run
        }
      }
    }
    const rows = [...measured].filter(([, each]) => each.length > 0).map(([carrier, each]) => ({ carrier, rounds: each }));
    return { benchmark: "channel", bytes: BYTES, messages, echoes, rows, targets: targetsOf(rows), peers, leftOut: [...leftOut].map(([who, why]) => ({ who, why })) };
  } finally {
    await server?.close();
  }
}

/** Whether a peer can be measured; says so in one of the two lists. */
function isThere(carrier: Carrier, options: BenchOptions, nats: NatsServer | { readonly missing: string } | undefined, peers: string[], leftOut: Map<string, string>): boolean {
  if (!options.peers.includes(carrier.name) || carrier.package === undefined) return false;
  const version = installedVersion({ package: carrier.package });
  const missing = version === undefined ? `${carrier.package} is not installed` : carrier.name === "nats" && nats !== undefined && "missing" in nats ? nats.missing : undefined;
  if (missing !== undefined) leftOut.set(carrier.name, missing);
  else peers.push(`${carrier.package} ${version}`, ...(carrier.name === "nats" && nats !== undefined && "label" in nats ? [nats.label] : []));
  return missing === undefined;
}
