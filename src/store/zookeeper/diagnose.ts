import { clockFinding, roundTripFinding, roundTrips } from "../index.ts";
import type { ClockReading, DiagnoseContext, Finding, InstalledSchema } from "../index.ts";
import type { ZookeeperClient } from "./client/client.ts";
import { isZookeeperError } from "./client/codes.ts";
import { askFourLetters, factsOf } from "./client/four-letters.ts";
import type { ServerFacts } from "./client/four-letters.ts";
import { ANY_VERSION, OPEN_ACL, PERMISSION } from "./client/records.ts";
import type { Acl } from "./client/records.ts";
import { OLDEST, withConnection } from "./connection.ts";
import type { Connection, ConnectionSource } from "./connection.ts";
import { addressOf } from "./options.ts";
import { readRoot } from "./schema.ts";

/** A version that no znode has. */
const NO_SUCH_VERSION = 2 ** 31 - 2;

/** Looks at servers, way and permissions on connections of the diagnosis's own. Changes nothing. */
export async function diagnose(source: ConnectionSource, context: DiagnoseContext): Promise<readonly Finding[]> {
  return await withConnection(source, context, { operation: "looking at the servers" }, async (connection) => await findingsOn(connection, source, context));
}

async function findingsOn(connection: Connection, source: ConnectionSource, context: DiagnoseContext): Promise<readonly Finding[]> {
  const { client, facts } = connection;
  const { leaseMs } = context;
  const installed = await schemaOf(client, source);
  const path = installed !== "denied" && installed.version > 0 ? source.options.root : await nearestAbove(client, source.options.root);
  const { tookMs, clock: reading, mayMake } = await trips(client, path, context);
  return [
    serverFinding(facts),
    roundTripFinding(tookMs, leaseMs),
    ...(reading === undefined ? [] : [clockFinding(reading)]),
    await ensembleFinding(source, context, connection),
    await writeFinding(client, source, { installed, path, mayMake }),
    sessionFinding(connection, source, leaseMs),
    tlsFinding(source),
  ];
}

/** `"denied"`: this identity may not even look. */
async function schemaOf(client: ZookeeperClient, source: ConnectionSource): Promise<InstalledSchema | "denied"> {
  try {
    return (await readRoot(client, source))?.data ?? { version: 0, worksWith: 0 };
  } catch (error) {
    if (isZookeeperError(error, "NOAUTH")) return "denied";
    throw error;
  }
}

interface Trips {
  readonly tookMs: readonly number[];
  readonly clock: ClockReading | undefined;
  /** Whether znodes may be made and removed below the path. */
  readonly mayMake: boolean;
}

/** Makes a znode and removes it, in one transaction: that costs what a beat costs, tells the leader's clock, and leaves nothing. Without permission for it, what it costs to ask the leader. */
async function trips(client: ZookeeperClient, path: string, { clock, random }: DiagnoseContext): Promise<Trips> {
  const probe = `${path === "/" ? "" : path}/doctor-${random.id()}`;
  const operations = [
    { op: "create", path: probe, data: Buffer.alloc(0), acl: OPEN_ACL },
    { op: "setData", path: probe, data: Buffer.alloc(0), version: ANY_VERSION }, // unlike the others it answers when it was
    { op: "delete", path: probe, version: ANY_VERSION },
  ] as const;
  try {
    const { tookMs, reading } = await roundTrips(clock, async () => (await client.request({ op: "multi", operations })).results[1]?.stat?.modifiedMs ?? 0);
    return { tookMs, clock: reading, mayMake: true };
  } catch (error) {
    if (!isZookeeperError(error, "NOAUTH")) throw error;
  }
  const { tookMs } = await roundTrips(clock, async () => {
    await client.request({ op: "sync", path });
    return 0;
  });
  return { tookMs, clock: undefined, mayMake: false };
}

/** Which server it is. */
export function serverFinding({ version, mode }: Pick<ServerFacts, "version" | "mode">): Finding {
  const check = "server";
  const oldest = OLDEST.slice(0, 2).join(".");
  if (version === undefined) return { check, level: "ok", found: `ZooKeeper of a version that it does not tell, since srvr is not on its list of commands; ${oldest} is the oldest that is supported` };
  return { check, level: "ok", found: `ZooKeeper ${version}${mode === undefined ? "" : `, ${mode}`}; ${oldest} is the oldest that is supported` };
}

/** Each server of the connect string, and whether they are an ensemble. */
async function ensembleFinding(source: ConnectionSource, { clock, deadlineMs }: DiagnoseContext, connection: Connection): Promise<Finding> {
  const tls = await source.tls();
  const limitMs = Math.min(2_000, deadlineMs / 4);
  const asked = source.options.servers.map(async (server) => {
    const late = new AbortController();
    const timer = clock.setTimer(limitMs, () => late.abort());
    try {
      return { server, facts: factsOf(await askFourLetters(server, "srvr", { tls, signal: late.signal })) };
    } catch (error) {
      return { server, trouble: error instanceof Error ? error.message : String(error) };
    } finally {
      timer.cancel();
    }
  });
  return judgeEnsemble(
    (await Promise.all(asked)).map((each) => ({ address: addressOf(each.server), mode: each.facts?.mode, silent: each.trouble !== undefined })),
    addressOf(connection.client.server),
  );
}

/** What the servers of the connect string say of their part. */
export function judgeEnsemble(servers: readonly { readonly address: string; readonly mode: ServerFacts["mode"]; readonly silent: boolean }[], connectedTo: string): Finding {
  const check = "ensemble";
  const told = servers.map(({ address, mode, silent }) => `${address} ${silent ? "does not answer" : (mode ?? "does not tell its part")}`).join(", ");
  const silent = servers.filter((each) => each.silent);
  if (silent.length > 0) return { check, level: "warn", found: told, next: "bring the servers back that do not answer, or take them out of the URL" };
  const readOnly = servers.filter(({ mode }) => mode === "read-only");
  if (readOnly.length > 0) return { check, level: "warn", found: told, next: "look why some of the servers have lost their quorum" };
  if (servers.some(({ mode }) => mode === "standalone")) {
    if (servers.length > 1) return { check, level: "fail", found: told, next: "servers that stand alone are no ensemble: members that reach different ones do not see each other. Name one of them, or make them an ensemble" };
    return { check, level: "warn", found: `${told}: without it nobody is elected`, next: "run an ensemble of three" };
  }
  if (servers.length === 1) return { check, level: "warn", found: `${told}; it is the only one that the URL names, and ${connectedTo} may go away`, next: "name all servers of the ensemble in the URL" };
  return { check, level: "ok", found: told };
}

/** What this identity may do. */
async function writeFinding(client: ZookeeperClient, { options, paths }: ConnectionSource, { installed, path, mayMake }: { readonly installed: InstalledSchema | "denied"; readonly path: string; readonly mayMake: boolean }): Promise<Finding> {
  const check = "write";
  const { root, proof } = options;
  const who = proof === undefined ? "everybody" : `${proof.user} (${proof.scheme})`;
  const next = "give this identity all permissions on the root and what is below it ('setAcl -R' in zkCli.sh), or mend user and password";
  if (installed === "denied") return { check, level: "fail", found: `${who} may not read ${root}`, next };
  if (installed.version === 0) return mayMake ? { check, level: "ok", found: `${who} may make ${root} below ${path}` } : { check, level: "fail", found: `${who} may not make ${root} below ${path}`, next: "run 'tribune migrate' with an identity that may, or mend user and password" };
  if (!mayMake || !(await maySet(client, [paths.clock, paths.root]))) return { check, level: "fail", found: `${who} may not write to ${path}`, next };
  if (await isOpenToAll(client, path)) return { check, level: "warn", found: `${who} may write to ${path}${proof === undefined ? "" : ", and so may everybody who reaches the servers"}`, next: "give user and password in the URL before the root is made, or set access lists by hand" };
  return { check, level: "ok", found: `${who} may write to ${path}` };
}

/** Tries it in a way that cannot come true: the server looks at permissions before it looks at versions. */
async function maySet(client: ZookeeperClient, paths: readonly string[]): Promise<boolean> {
  try {
    await client.request({ op: "multi", operations: paths.map((path) => ({ op: "setData", path, data: Buffer.alloc(0), version: NO_SUCH_VERSION }) as const) });
    return true;
  } catch (error) {
    if (isZookeeperError(error, "NOAUTH")) return false;
    if (isZookeeperError(error, "BADVERSION", "NONODE")) return true;
    throw error;
  }
}

async function isOpenToAll(client: ZookeeperClient, path: string): Promise<boolean> {
  const acl: readonly Acl[] = await client.request({ op: "getAcl", path }).then(
    (answer) => answer.acl,
    (error: unknown) => {
      if (isZookeeperError(error, "NOAUTH", "NONODE")) return [];
      throw error;
    },
  );
  return acl.some(({ scheme, permissions }) => scheme === "world" && (permissions & PERMISSION.write) !== 0);
}

async function nearestAbove(client: ZookeeperClient, path: string): Promise<string> {
  for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    const there = await client.request({ op: "exists", path: at }).then(
      () => true,
      (error: unknown) => {
        if (isZookeeperError(error, "NONODE")) return false;
        throw error;
      },
    );
    if (there) return at;
  }
  return "/";
}

function sessionFinding({ client }: Connection, { options }: ConnectionSource, leaseMs: number): Finding {
  const check = "session";
  const found = `a session may be silent for ${client.sessionTimeoutMs} ms; ${options.sessionTimeoutMs} ms were asked for`;
  if (client.sessionTimeoutMs >= leaseMs) return { check, level: "ok", found };
  return { check, level: "warn", found: `${found}, and the lease is ${leaseMs} ms: a node that is slow loses its connection before its lease`, next: "raise maxSessionTimeout on the servers, or shorten the lease" };
}

function tlsFinding({ options }: ConnectionSource): Finding {
  const check = "way";
  if (options.tls !== undefined) return { check, level: "ok", found: "the way is encrypted (TLS)" };
  if (options.proof?.scheme === "digest") return { check, level: "warn", found: "the way is not encrypted, and a digest sends the password as it is", next: "use TLS (tls=true in the URL), or sasl" };
  return { check, level: "ok", found: "the way is not encrypted" };
}
