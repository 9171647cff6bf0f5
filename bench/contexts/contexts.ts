import { installedVersion } from "../failover/peers.ts";
import type { BenchOptions } from "../options.ts";
import type { Progress } from "../progress.ts";
import { KEEPERS } from "./protocol.ts";
import type { Keeper, KeeperName } from "./protocol.ts";
import { startRedis } from "./redis-server.ts";
import type { RedisServer } from "./redis-server.ts";
import { round } from "./rounds.ts";
import type { Round, Size } from "./rounds.ts";

export interface ContextsResult {
  readonly benchmark: "contexts";
  readonly size: Size;
  /** In the order of {@link KEEPERS}; rounds of the same number were measured one after the other. */
  readonly rows: ReadonlyArray<{ readonly keeper: KeeperName; readonly rounds: readonly Round[] }>;
  /** What was there, with versions. */
  readonly peers: readonly string[];
  readonly leftOut: ReadonlyArray<{ readonly who: string; readonly why: string }>;
}

const USUAL: Size & { readonly rounds: number } = { rounds: 3, contexts: 1_000, properties: 100, bytes: 32, flushes: 5 };
const QUICK: typeof USUAL = { rounds: 1, contexts: 10, properties: 20, bytes: 32, flushes: 1 };

/** A map of properties in three processes. Keepers take turns, so that what else happens on the machine meets all of them. */
export async function contexts(options: BenchOptions, progress: Progress): Promise<ContextsResult> {
  const { rounds, ...size } = options.quick ? QUICK : USUAL;
  const leftOut = new Map<string, string>();
  const peers: string[] = [];
  const found = options.peers.includes("redis") ? await startRedis() : undefined;
  const server = found !== undefined && !("missing" in found) ? found : undefined;
  try {
    const keepers = KEEPERS.filter((keeper) => keeper.kind === "ours" || isThere(keeper, options, found, peers, leftOut));
    const measured = new Map<KeeperName, Round[]>(keepers.map(({ name }) => [name, []]));
    const wanted = options.runs ?? rounds;
    for (let n = 1; n <= wanted; n++) {
      for (const keeper of keepers) {
        if (leftOut.has(keeper.name)) continue;
        progress.say(`contexts: round ${n} of ${wanted}: ${keeper.name}`);
        try {
          if (keeper.name === "redis") await server?.empty();
          measured.get(keeper.name)?.push(await round(keeper, size, keeper.name === "redis" ? server : undefined));
        } catch (error) {
          leftOut.set(keeper.name, `round ${n} failed: ${(error as Error).message}`);
          if (keeper.kind === "ours") process.exitCode = 1; // what is ours has to run
        }
      }
    }
    const rows = [...measured].filter(([, each]) => each.length > 0).map(([keeper, each]) => ({ keeper, rounds: each }));
    return { benchmark: "contexts", size, rows, peers, leftOut: [...leftOut].map(([who, why]) => ({ who, why })) };
  } finally {
    await server?.close();
  }
}

/** Whether a peer can be measured; says so in one of the two lists. */
function isThere(keeper: Keeper, options: BenchOptions, redis: RedisServer | { readonly missing: string } | undefined, peers: string[], leftOut: Map<string, string>): boolean {
  if (!options.peers.includes(keeper.name) || keeper.package === undefined) return false;
  const version = installedVersion({ package: keeper.package });
  const missing = version === undefined ? `${keeper.package} is not installed` : keeper.name === "redis" && redis !== undefined && "missing" in redis ? redis.missing : undefined;
  if (missing !== undefined) leftOut.set(keeper.name, missing);
  else peers.push(`${keeper.package} ${version}`, ...(keeper.name === "redis" && redis !== undefined && "label" in redis ? [redis.label] : []));
  return missing === undefined;
}
