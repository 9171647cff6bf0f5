import { Complaints, shown } from "../../kernel/index.ts";

/** Which cluster of etcd the store is in: one of a URL, or of a list of endpoints. */
export type EtcdOptions = EtcdUrlOptions | EtcdEndpointOptions;

/** A store by URL. */
export interface EtcdUrlOptions {
  /**
   * `etcd://user:password@host:port,host:port/prefix`; user, password, ports and prefix may be left out. Behind `?`: `tls=true`, and the files `ca`, `cert` and `key`, each of
   * which implies it.
   */
  readonly url: string;
  readonly endpoints?: undefined;
}

/** A store by the addresses of the cluster's members. */
export interface EtcdEndpointOptions {
  /** `host:port`, `http://host:port` or `https://host:port`, several if there are: a node speaks to one, and to another when that fails it. */
  readonly endpoints: readonly string[];
  /** `true`: with the certificates that Node trusts. */
  readonly tls?: boolean | EtcdTls | undefined;
  /** Together with `password`. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** What all of Tribune's keys begin with. Default `tribune/`. All members must agree. */
  readonly prefix?: string | undefined;
  readonly url?: undefined;
}

/** How TLS is agreed on: the texts themselves, as `node:tls` takes them, or files that are read at each connection. */
export interface EtcdTls {
  readonly ca?: string | Buffer | undefined;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** The name that the certificate must have, where that is not the host's. */
  readonly servername?: string | undefined;
}

export const DEFAULT_PREFIX = "tribune/";
const DEFAULT_PORT = 2379;
const LONGEST_PREFIX = 200;

/** One member of the cluster. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
}

/** The options after checking. `password` must never be shown. */
export interface CheckedOptions {
  readonly endpoints: readonly Endpoint[];
  readonly tls: EtcdTls;
  readonly user: { readonly name: string; readonly password: string } | undefined;
  readonly prefix: string;
  readonly label: string;
}

type Given = { readonly [Name in "url" | "endpoints" | "tls" | "username" | "password" | "prefix"]?: unknown };

/** Checks the options without any I/O; throws `INVALID_OPTIONS` with every complaint. No complaint repeats a URL or an endpoint: it may hold a password. */
export function checkOptions(options: EtcdOptions): CheckedOptions {
  const complaints = new Complaints("etcd store");
  const given: Given = isObject(options) ? options : {};
  complaints.check(given === options, `options must be an object with a url or endpoints, not ${typeof options}`);
  complaints.unknownKeys(given, given.url === undefined ? ["url", "endpoints", "tls", "username", "password", "prefix"] : ["url", "endpoints"]);
  const places = (["url", "endpoints"] as const).filter((name) => given[name] !== undefined);
  complaints.check(given !== options || places.length === 1, `give either a url or endpoints, not ${places.length === 0 ? "none" : "both"}`);
  const named = given.url === undefined ? given : fromUrl(given.url, complaints);
  const wantsTls = named.tls !== undefined && named.tls !== false;
  const tls = checkTls(named.tls, complaints);
  const endpoints = named.endpoints === undefined ? [] : checkEndpoints(named.endpoints, wantsTls, complaints);
  const user = checkUser(named, complaints);
  const prefix = checkPrefix(named.prefix ?? DEFAULT_PREFIX, complaints);
  complaints.throwIfAny();
  return { endpoints, tls, user, prefix, label: labelOf(endpoints, user?.name, prefix) };
}

function checkEndpoints(value: unknown, wantsTls: boolean, complaints: Complaints): readonly Endpoint[] {
  if (!complaints.check(Array.isArray(value) && value.length > 0, "endpoints must be a list of at least one host:port")) return [];
  return (value as readonly unknown[]).flatMap((each, n) => {
    const parts = typeof each === "string" ? /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?\/?$/.exec(each) : null;
    const port = Number(parts?.[3] ?? DEFAULT_PORT);
    if (!complaints.check(parts !== null && port > 0 && port < 65_536, `endpoint ${n + 1} must be host:port, http://host:port or https://host:port`)) return [];
    complaints.check(!(wantsTls && parts?.[1] === "http"), `endpoint ${n + 1} is http://, and tls is asked for`);
    return [{ host: parts?.[2] ?? "", port, secure: wantsTls || parts?.[1] === "https" }];
  });
}

function checkTls(value: unknown, complaints: Complaints): EtcdTls {
  if (value === undefined || typeof value === "boolean") return {};
  if (!complaints.check(isObject(value), `tls must be true, or an object with ca, cert and key, not ${typeof value}`)) return {};
  const tls = value as EtcdTls;
  complaints.unknownKeys(tls, ["ca", "cert", "key", "caFile", "certFile", "keyFile", "servername"]);
  const has = (name: "ca" | "cert" | "key") => tls[name] !== undefined || tls[`${name}File`] !== undefined;
  for (const name of ["ca", "cert", "key"] as const) complaints.check(tls[name] === undefined || tls[`${name}File`] === undefined, `tls: give ${name} or ${name}File, not both`);
  complaints.check(has("cert") === has("key"), "tls: a certificate of one's own needs its key, and the other way round");
  return tls;
}

function checkUser({ username, password }: Given, complaints: Complaints): CheckedOptions["user"] {
  if (username === undefined && password === undefined) return undefined;
  complaints.check(typeof username === "string" && username !== "", "username must be a text, together with password");
  complaints.check(typeof password === "string", "password must be a text, together with username");
  return { name: String(username), password: String(password) };
}

function checkPrefix(value: unknown, complaints: Complaints): string {
  const fits = typeof value === "string" && value.length <= LONGEST_PREFIX && /^[A-Za-z0-9._/-]*[A-Za-z0-9._-]\/?$/.test(value);
  if (!complaints.check(fits, `prefix must be 1 to ${LONGEST_PREFIX} letters, digits, '.', '_', '-' and '/', not ${shown(value)}`)) return DEFAULT_PREFIX;
  return (value as string).endsWith("/") ? (value as string) : `${value as string}/`;
}

/** A URL with several hosts is none to `URL`. */
function fromUrl(value: unknown, complaints: Complaints): Given {
  if (!complaints.check(typeof value === "string", `url must be a string that begins with etcd://, not ${typeof value}`)) return {};
  // An '@' behind the hosts is one behind a password with a '/' or '?' in it that was not encoded.
  const parts = /^etcd:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(\/[^@?#]*)?(?:\?([^@#]*))?$/i.exec(value as string);
  if (!complaints.check(parts !== null, "url must be etcd://user:password@host:port,host:port/prefix; encode what is special in user and password, such as '@' as %40 and '/' as %2F")) return {};
  const [, credentials, hosts = "", path = "", query = ""] = parts as RegExpExecArray;
  const settings = new URLSearchParams(query);
  for (const name of new Set(settings.keys())) complaints.check(["tls", "ca", "cert", "key"].includes(name), `url: there is no setting ${shown(name)}; there are tls, ca, cert and key`);
  const files = (["ca", "cert", "key"] as const).flatMap((name) => (settings.get(name) === null ? [] : [[`${name}File`, settings.get(name)] as const]));
  const tls = settings.get("tls");
  complaints.check(tls === null || ["true", "false"].includes(tls), "url: tls must be true or false");
  complaints.check(tls !== "false" || files.length === 0, "url: tls is false, and files for it are named");
  try {
    const [name, ...rest] = (credentials ?? "").split(":");
    const user = credentials === undefined ? {} : { username: decodeURIComponent(name ?? ""), password: decodeURIComponent(rest.join(":")) };
    const prefix = decodeURIComponent(path).replace(/^\//, "");
    return { endpoints: hosts.split(","), ...user, ...(prefix === "" ? {} : { prefix }), ...(files.length > 0 ? { tls: Object.fromEntries(files) } : { tls: tls === "true" }) };
  } catch {
    complaints.add("url has a '%' in its user, password or prefix that stands for nothing; write it as %25");
    return {};
  }
}

/** Where it points: user, hosts and prefix. Never the password. */
function labelOf(endpoints: readonly Endpoint[], user: string | undefined, prefix: string): string {
  const name = user === undefined ? "" : `${user.replace(/[^\x21-\x7e]/g, "?")}@`;
  return `etcd://${name}${endpoints.map(({ host, port }) => `${host}:${port}`).join(",")}/${prefix}`;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
