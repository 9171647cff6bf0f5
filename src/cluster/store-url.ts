import { nearest, shown, TribuneError } from "../kernel/index.ts";
import { etcd } from "../store/etcd/index.ts";
import { memory } from "../store/memory/index.ts";
import { mysql } from "../store/mysql/index.ts";
import { postgres } from "../store/postgres/index.ts";
import { sqlite } from "../store/sqlite/index.ts";
import { zookeeper } from "../store/zookeeper/index.ts";
import type { StoreProvider } from "../store/index.ts";

/** What each scheme makes of a URL. Making a provider does no I/O and loads no driver. */
const SCHEMES: Readonly<Record<string, (url: string) => StoreProvider>> = {
  memory: () => memory(),
  sqlite: (url) => sqlite({ path: sqlitePath(url) }),
  postgres: (url) => postgres({ url }),
  postgresql: (url) => postgres({ url }),
  mysql: (url) => mysql({ url }),
  mariadb: (url) => mysql({ url }),
  etcd: (url) => etcd({ url }),
  zookeeper: (url) => zookeeper({ url }),
};

/**
 * The provider for a store URL: `sqlite:PATH`, `postgres://…`, `mysql://…`, `etcd://…`, `zookeeper://…`, `memory:`. Throws `UNKNOWN_STORE` for anything else; the message never
 * repeats more of the URL than its scheme, since the rest may hold a password.
 */
export function storeFromUrl(url: string): StoreProvider {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(url)?.[1]?.toLowerCase();
  const make = scheme === undefined || !Object.hasOwn(SCHEMES, scheme) ? undefined : SCHEMES[scheme];
  if (make !== undefined) return make(url);
  const known = Object.keys(SCHEMES);
  const near = scheme === undefined ? undefined : nearest(scheme, known);
  throw new TribuneError("UNKNOWN_STORE", scheme === undefined ? "a store URL begins with a scheme, such as sqlite: or postgres:" : `there is no store for the scheme ${shown(scheme)}`, {
    about: "store",
    next: near === undefined ? `use one of ${known.map((name) => `${name}:`).join(", ")}` : `did you mean ${near}: ?`,
  });
}

/** `sqlite:data/x.db`, `sqlite:/var/x.db` and `sqlite:///var/x.db` all name a file. */
function sqlitePath(url: string): string {
  const rest = url.slice(url.indexOf(":") + 1);
  return rest.startsWith("//") ? rest.replace(/^\/\/(localhost)?/, "") : rest;
}
