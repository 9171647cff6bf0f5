import type { ConnectionOptions } from "node:tls";
import { Complaints, shown } from "../../kernel/index.ts";
import type { Proof, ServerAddress } from "./client/client.ts";

/** Where the ZooKeeper ensemble of the store is: a URL, or its servers. */
export type ZookeeperOptions = ZookeeperUrlOptions | ZookeeperServersOptions;

/** A store by URL. */
export interface ZookeeperUrlOptions extends ZookeeperPlace {
  /** `zookeeper://user:password@host:port,host:port/chroot`. Behind `?` may stand `root`, `auth=sasl`, `tls=true`, and `ca`, `cert` and `key` with names of files. */
  readonly url: string;
  readonly servers?: undefined;
  readonly chroot?: undefined;
}

/** A store by the addresses of its servers. */
export interface ZookeeperServersOptions extends ZookeeperPlace {
  /** `host:port` of each server; the port is 2181 where none is given. */
  readonly servers: readonly string[];
  /** A path that all others are below, as other clients have it at the end of their connect string. Default: none. */
  readonly chroot?: string | undefined;
  readonly url?: undefined;
}

interface ZookeeperPlace {
  /** The znode that Tribune's are below, inside the chroot. Default `/tribune`. All members must agree. */
  readonly root?: string | undefined;
  /**
   * Who the sessions are: `digest` is what access lists of ZooKeeper name, `sasl` is DIGEST-MD5 as servers with a JAAS configuration have it. What is made is then open to this
   * identity only; without one it is open to everybody.
   */
  readonly auth?: ZookeeperAuth | undefined;
  /** `true`, or what `tls.connect` of Node takes: `ca`, `cert`, `key`, `servername`, … Default: plain TCP. */
  readonly tls?: boolean | ConnectionOptions | undefined;
  /** After how long without a word a server may end a session; it grants what lies between its own limits (4 s and 40 s by default). Nothing waits for it. Default 30 s. */
  readonly sessionTimeoutMs?: number | undefined;
}

/** How sessions prove who they are. */
export interface ZookeeperAuth {
  /** Default `digest`. */
  readonly scheme?: "digest" | "sasl" | undefined;
  readonly user: string;
  readonly password: string;
}

export const DEFAULT_ROOT = "/tribune";
const DEFAULT_PORT = 2181;
const DEFAULT_SESSION_TIMEOUT_MS = 30_000;
const TLS_FILES = ["ca", "cert", "key"] as const;

/** The options after checking. `proof` has a password and must never be shown. */
export interface CheckedOptions {
  readonly servers: readonly ServerAddress[];
  /** The whole path of Tribune's root: chroot and root. */
  readonly root: string;
  readonly chroot: string;
  readonly proof: Proof | undefined;
  readonly tls: ConnectionOptions | undefined;
  /** Files that are to be read into `tls` before the first connection, by the name of the setting. */
  readonly tlsFiles: ReadonlyMap<(typeof TLS_FILES)[number], string>;
  readonly sessionTimeoutMs: number;
  readonly label: string;
}

interface Given {
  readonly servers: readonly ServerAddress[];
  readonly chroot: string;
  readonly proof: Proof | undefined;
  readonly settings: ReadonlyMap<string, string>;
}

/** Checks the options without any I/O; throws `INVALID_OPTIONS` with every complaint. No complaint repeats a URL or a password. */
export function checkOptions(options: ZookeeperOptions): CheckedOptions {
  const complaints = new Complaints("zookeeper store");
  const isThere = typeof options === "object" && options !== null;
  complaints.check(isThere, `options must be an object with a url or servers, not ${typeof options}`);
  const given: { readonly [Name in "url" | "servers" | "chroot" | "root" | "auth" | "tls" | "sessionTimeoutMs"]?: unknown } = isThere ? options : {};
  complaints.unknownKeys(given, ["url", "servers", "chroot", "root", "auth", "tls", "sessionTimeoutMs"]);
  const places = (["url", "servers"] as const).filter((name) => given[name] !== undefined);
  complaints.check(!isThere || places.length === 1, `give exactly one of url and servers, not ${places.length === 0 ? "none" : "both"}`);
  complaints.check(given.url === undefined || given.chroot === undefined, "chroot goes with servers; in a url it is the path");
  const place = given.url === undefined ? fromServers(given.servers, given.chroot, complaints) : fromUrl(given.url, complaints);
  const root = checkPath("root", given.root ?? place.settings.get("root") ?? DEFAULT_ROOT, complaints);
  const auth = given.auth === undefined ? place.proof : checkAuth(given.auth, complaints);
  const { tls, tlsFiles } = checkTls(given.tls, place.settings, complaints);
  const sessionTimeoutMs = given.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS;
  complaints.milliseconds("sessionTimeoutMs", sessionTimeoutMs, { min: 1_000, max: 600_000 });
  complaints.throwIfAny();
  const label = `zookeeper://${auth === undefined ? "" : `${printable(auth.user)}@`}${place.servers.map(addressOf).join(",")}${place.chroot}${root === DEFAULT_ROOT ? "" : `?root=${root}`}`;
  return { servers: place.servers, chroot: place.chroot, root: `${place.chroot}${root}`, proof: auth, tls, tlsFiles, sessionTimeoutMs: sessionTimeoutMs as number, label };
}

/** An address as one writes it. */
export function addressOf({ host, port }: ServerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function fromServers(value: unknown, chroot: unknown, complaints: Complaints): Given {
  const listed = Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === "string");
  if (value !== undefined) complaints.check(listed, `servers must be a list of host:port, not ${shown(value)}`);
  const servers = listed ? checkServers(value, complaints) : [];
  return { servers, chroot: chroot === undefined ? "" : checkPath("chroot", chroot, complaints), proof: undefined, settings: new Map() };
}

/** Not left to the URL class, which knows one host only. */
function fromUrl(value: unknown, complaints: Complaints): Given {
  const nothing: Given = { servers: [], chroot: "", proof: undefined, settings: new Map() };
  if (!complaints.check(typeof value === "string", `url must be a string that begins with zookeeper://, not ${typeof value}`)) return nothing;
  // An '@' behind the hosts is one behind a password with a '/' in it that was not encoded.
  const parts = /^zookeeper:\/\/(?:([^@/]*)@)?([^@/?#]+)(\/[^@?#]*)?(?:\?([^@#]*))?$/.exec(value as string);
  if (!complaints.check(parts !== null, "url must be like zookeeper://user:password@host:port,host:port/chroot; encode what is special in user and password, such as '@' as %40 and '/' as %2F")) return nothing;
  const [, who, hosts = "", path = "", query = ""] = parts as RegExpExecArray;
  const settings = new Map(new URLSearchParams(query));
  for (const name of settings.keys()) complaints.check(["root", "auth", "tls", ...TLS_FILES].includes(name), `the url has an unknown setting ${shown(name)}; known are root, auth, tls, ca, cert, key`);
  const chroot = path === "" || path === "/" ? "" : checkPath("the path of the url", path.replace(/\/$/, ""), complaints);
  return { servers: checkServers(hosts.split(","), complaints), chroot, proof: proofOf(who, settings.get("auth"), complaints), settings };
}

function proofOf(who: string | undefined, scheme: string | undefined, complaints: Complaints): Proof | undefined {
  complaints.check(scheme === undefined || scheme === "digest" || scheme === "sasl", `auth in the url must be digest or sasl, not ${shown(scheme)}`);
  complaints.check(who !== undefined || scheme === undefined, "auth in the url needs a user and a password in it");
  if (who === undefined) return undefined;
  try {
    const at = who.indexOf(":");
    const [user, password] = [decodeURIComponent(at === -1 ? who : who.slice(0, at)), decodeURIComponent(at === -1 ? "" : who.slice(at + 1))];
    complaints.check(at > 0 && password !== "", "the url needs a user and a password, as in zookeeper://user:password@host");
    complaints.check(!user.includes(":"), "a user cannot have a ':' in it");
    return { scheme: scheme === "sasl" ? "sasl" : "digest", user, password };
  } catch {
    complaints.add("user and password in the url cannot be read; encode what is special in them, such as '%' as %25");
    return undefined;
  }
}

function checkServers(texts: readonly string[], complaints: Complaints): readonly ServerAddress[] {
  const servers = texts.map((text, n) => {
    const parts = /^(?:\[([\da-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text.trim());
    const port = Number(parts?.[3] ?? DEFAULT_PORT);
    if (!complaints.check(parts !== null && port > 0 && port < 65_536, `server ${n + 1}: a server is a host and perhaps a port, like zk1.internal:2181`)) return undefined;
    return { host: parts?.[1] ?? parts?.[2] ?? "", port };
  });
  return servers.filter((server) => server !== undefined);
}

/** As `PathUtils` of ZooKeeper has it, and without what could be taken for something else. */
function checkPath(name: string, value: unknown, complaints: Complaints): string {
  const fits = typeof value === "string" && /^(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/.test(value) && value.length <= 200 && value !== "/zookeeper" && !value.startsWith("/zookeeper/");
  const rule = "must be a path like /apps/tribune: of letters, digits, '.', '_' and '-', not below /zookeeper";
  return complaints.check(fits, `${name} ${rule}, not ${shown(value)}`) ? (value as string) : DEFAULT_ROOT;
}

function checkAuth(value: unknown, complaints: Complaints): Proof | undefined {
  if (!complaints.check(typeof value === "object" && value !== null, `auth must be an object with user and password, not ${typeof value}`)) return undefined;
  const { scheme = "digest", user, password, ...rest } = value as Readonly<Record<string, unknown>>;
  complaints.unknownKeys(rest, ["scheme", "user", "password"]);
  complaints.check(scheme === "digest" || scheme === "sasl", `auth.scheme must be digest or sasl, not ${shown(scheme)}`);
  complaints.check(typeof user === "string" && user !== "" && !user.includes(":"), "auth.user must be a text without ':'");
  complaints.check(typeof password === "string" && password !== "", "auth.password must be a text");
  return { scheme: scheme === "sasl" ? "sasl" : "digest", user: String(user), password: String(password) };
}

function checkTls(value: unknown, settings: ReadonlyMap<string, string>, complaints: Complaints): Pick<CheckedOptions, "tls" | "tlsFiles"> {
  const tlsFiles = new Map(TLS_FILES.flatMap((name) => (settings.has(name) ? [[name, settings.get(name) ?? ""] as const] : [])));
  const wanted = settings.get("tls");
  complaints.check(wanted === undefined || wanted === "true" || wanted === "false", `tls in the url must be true or false, not ${shown(wanted)}`);
  if (!complaints.check(value === undefined || typeof value === "boolean" || (typeof value === "object" && value !== null), `tls must be true or an object as tls.connect takes it, not ${shown(value)}`)) return { tls: undefined, tlsFiles };
  if (typeof value === "object" && value !== null) return { tls: value, tlsFiles };
  complaints.check(wanted !== "false" || tlsFiles.size === 0, "the url names files for TLS and says tls=false");
  const on = value === true || wanted === "true" || (wanted !== "false" && tlsFiles.size > 0);
  return { tls: on ? {} : undefined, tlsFiles };
}

function printable(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, "?");
}
