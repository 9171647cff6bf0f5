import { hostname, userInfo } from "node:os";
import { checkName, Complaints, isTribuneError, nodeNameFrom, silentLogger, systemClock, systemRandom, TribuneError } from "../kernel/index.ts";
import type { Clock, Logger, Random } from "../kernel/index.ts";
import { storeFromUrl } from "../cluster/index.ts";
import type { StoreProvider } from "../store/index.ts";

/** What `openAdmin` takes. */
export interface AdminOptions {
  /** A provider, or a store URL. A provider that you hand in stays yours to close. */
  readonly store: StoreProvider | string;
  /** The group to look at. */
  readonly group: string;
  /** For opening a connection, and for each question. Default 5000. Shorter: an unreachable store is reported sooner. */
  readonly timeoutMs?: number;
  /** How often the follow… calls look when no hint comes. Default 1000. */
  readonly pollMs?: number;
  /** Who gives the commands, for the record: 1 to 200 characters. Default: the user and host of this process. */
  readonly by?: string;
  /** The node of this very process, or of the one that this is a part of, if there is one: it is not evicted from here. */
  readonly self?: string;
  /** Four methods, pino's argument order. Default: silent. */
  readonly logger?: Logger;
  /** For tests and simulations. */
  readonly clock?: Clock;
  /** For tests and simulations. */
  readonly random?: Random;
}

/** The defaults of {@link AdminOptions}. */
export const ADMIN_DEFAULTS = { timeoutMs: 5_000, pollMs: 1_000 } as const;

export interface CheckedAdminOptions {
  readonly store: StoreProvider;
  /** Whether the provider was made here, and is closed here. */
  readonly ownsStore: boolean;
  readonly group: string;
  /** Names the connection on the server. */
  readonly connectionName: string;
  readonly by: string;
  readonly self: string | undefined;
  readonly timeoutMs: number;
  readonly pollMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** More is not a name. */
const LONGEST_BY = 200;

const KNOWN: readonly (keyof AdminOptions)[] = ["store", "group", "timeoutMs", "pollMs", "by", "self", "logger", "clock", "random"];

/** Checks everything and fills in the defaults; one complaint with a code of its own keeps it, several become one `INVALID_OPTIONS`. */
export function checkAdminOptions(options: AdminOptions): CheckedAdminOptions {
  if (typeof options !== "object" || options === null) throw new TribuneError("INVALID_OPTIONS", "openAdmin needs an object of options", { about: "options", next: "give store and group" });
  const complaints = new Complaints("admin options");
  const coded: TribuneError[] = [];
  const attempt = <T>(check: () => T): T | undefined => {
    try {
      return check();
    } catch (error) {
      if (isTribuneError(error)) coded.push(error);
      complaints.add(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  complaints.unknownKeys(options, KNOWN);
  const group = attempt(() => checkName("group", options.group));
  const store = attempt(() => (typeof options.store === "string" ? storeFromUrl(options.store) : checkProvider(options.store)));
  const timeoutMs = options.timeoutMs ?? ADMIN_DEFAULTS.timeoutMs;
  complaints.milliseconds("timeoutMs", timeoutMs, { min: 1, max: 3_600_000 });
  const pollMs = options.pollMs ?? ADMIN_DEFAULTS.pollMs;
  complaints.milliseconds("pollMs", pollMs, { min: 10, max: 3_600_000 });
  const by = options.by ?? operator();
  complaints.check(typeof by === "string" && by.trim() !== "" && by.length <= LONGEST_BY, `by must be a text of 1 to ${LONGEST_BY} characters`);
  const self = options.self === undefined ? undefined : attempt(() => checkName("node", options.self));
  if (coded.length === 1 && coded[0] !== undefined && complaints.count === 1) throw coded[0];
  complaints.throwIfAny();
  return {
    store: store as StoreProvider,
    ownsStore: typeof options.store === "string",
    group: group as string,
    connectionName: nodeNameFrom(hostname(), `admin-${process.pid}`),
    by,
    self,
    timeoutMs,
    pollMs,
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  };
}

/** Who runs this process, as far as the system tells. */
function operator(): string {
  try {
    return `${userInfo().username}@${hostname()}`.slice(0, LONGEST_BY);
  } catch {
    return hostname(); // a user that the system does not know, as in some containers
  }
}

function checkProvider(store: unknown): StoreProvider {
  if (typeof store === "object" && store !== null && typeof (store as Partial<StoreProvider>).open === "function") return store as StoreProvider;
  throw new TribuneError("INVALID_OPTIONS", "store must be a provider, such as sqlite({ path }), or a store URL", { about: "store" });
}
