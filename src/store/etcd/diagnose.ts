import { isTribuneError } from "../../kernel/index.ts";
import { roundTripFinding, roundTrips, SCHEMA_VERSION } from "../index.ts";
import type { DiagnoseContext, Finding } from "../index.ts";
import { Connection, OLDEST_ETCD } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { mapEtcdError } from "./errors.ts";
import { storeKeys } from "./keys.ts";
import type { MemberAnswer, StatusAnswer } from "./messages.ts";
import { Reading } from "./rows.ts";
import { throughTheLog } from "./session.ts";

/** How long one of several endpoints may take to show itself. */
const LOOK_MS = 2_000;

/** Below this share of the quota that etcd has by default (2 GiB) there is nothing to say. */
const MUCH_SPACE_BYTES = 1.5 * 2 ** 30;

/** What an endpoint said about itself, or why it did not. */
export interface EndpointLook {
  readonly endpoint: string;
  readonly status?: StatusAnswer;
  readonly trouble?: string;
}

/** Looks at the cluster, the way to each endpoint, and what the user may do, on connections of its own. Changes nothing. */
export async function diagnose(source: ConnectionSource, context: DiagnoseContext, prefix: string): Promise<readonly Finding[]> {
  const operation = "looking at the cluster";
  const store = storeKeys(prefix);
  const { connection } = await Connection.open(source, { context, operation, prepare: () => Promise.resolve() });
  const { clock, deadlineMs, leaseMs } = context;
  try {
    const denied = await connection.txn(throughTheLog(store, [{ key: store.schema }]), deadlineMs).then(
      (answer) => new Reading(answer.items, [{ key: store.schema }]),
      (error: unknown) => deniedBy(mapEtcdError(error, operation, source.label)),
    );
    // Whoever may not write may still be timed: a status is a round trip, without the log.
    const { tookMs } = await roundTrips(clock, async () => {
      if (denied instanceof Reading) await connection.txn(throughTheLog(store, [{ key: store.schema }]), deadlineMs);
      else await connection.currentStatus(deadlineMs);
      return clock.wallMs();
    });
    const members = await connection.members(deadlineMs).catch(() => undefined);
    const looks = await Promise.all(source.endpoints.map(async (_, n) => await lookAt(source, n, context)));
    return [
      serverFinding(connection.status.version),
      roundTripFinding(tookMs, leaseMs),
      { check: "clock", level: "ok", found: "etcd tells no time of its own: times in the record are those of the nodes' wall clocks, and nothing is decided by them" },
      endpointsFinding(looks, members),
      quorumFinding(members, looks),
      writeFinding(denied, { prefix, user: source.user?.name }),
      wayFinding(source, connection.authOff),
      spaceFinding(connection.status),
    ];
  } catch (error) {
    throw mapEtcdError(error, operation, source.label);
  } finally {
    connection.destroy();
  }
}

async function lookAt(source: ConnectionSource, n: number, context: DiagnoseContext): Promise<EndpointLook> {
  const at = source.endpoints[n];
  const endpoint = `${at?.host}:${at?.port}`;
  try {
    const one = { ...source, endpoints: source.endpoints.slice(n, n + 1), turn: 0 };
    const { connection } = await Connection.open(one, { context: { ...context, deadlineMs: Math.min(LOOK_MS, context.deadlineMs) }, operation: "looking at an endpoint", prepare: () => Promise.resolve() });
    connection.destroy();
    return { endpoint, status: connection.status };
  } catch (error) {
    return { endpoint, trouble: isTribuneError(error) ? error.message : String(error) };
  }
}

function deniedBy(error: Error): string {
  if (!isTribuneError(error, "STORE_PERMISSION_DENIED")) throw error;
  return error.message;
}

/** Which server it is, and whether this code was ever run on one. */
export function serverFinding(version: string): Finding {
  const found = `etcd ${version}; ${OLDEST_ETCD.join(".")} is the oldest that is supported`;
  if (version.startsWith("3.4.")) return { check: "server", level: "ok", found };
  return { check: "server", level: "warn", found: `${found}, and this version of Tribune was tested on 3.4 only`, next: "run the conformance suite of tribune/testing on such a cluster before you rely on it" };
}

/** Which of the endpoints that are named answer. */
export function endpointsFinding(looks: readonly EndpointLook[], members: readonly MemberAnswer[] | undefined): Finding {
  const check = "endpoints";
  const silent = looks.filter((look) => look.status === undefined);
  const found = `${looks.length - silent.length} of the ${looks.length} that are named answer${silent.length === 0 ? "" : ` (not ${silent.map((look) => look.endpoint).join(", ")}: ${silent[0]?.trouble})`}`;
  const clusters = new Set(looks.flatMap((look) => look.status?.header.clusterId ?? []));
  if (clusters.size > 1) return { check, level: "fail", found: `${found}, and they are of ${clusters.size} clusters`, next: "name the members of one cluster only" };
  if (silent.length > 0) return { check, level: "warn", found, next: "look at those members, or leave out those that are gone" };
  const voting = members?.filter((member) => !member.learner).length ?? looks.length;
  if (looks.length < voting) return { check, level: "warn", found: `${found}; the cluster has ${voting} members`, next: "name them all, so that a node can turn to another when one fails it" };
  return { check, level: "ok", found };
}

/** How many members the cluster may lose. */
export function quorumFinding(members: readonly MemberAnswer[] | undefined, looks: readonly EndpointLook[]): Finding {
  const check = "quorum";
  if (members === undefined) return { check, level: "ok", found: "this user may not ask who the members are" };
  const voting = members.filter((member) => !member.learner).length;
  const spare = Math.floor((voting - 1) / 2);
  const leader = looks.find((look) => look.status !== undefined)?.status?.leader;
  const found = `${voting} member${voting === 1 ? "" : "s"}, led by ${members.find((member) => member.id === leader)?.name ?? leader ?? "nobody"}; ${spare === 0 ? "none" : spare} of them may fail`;
  if (spare > 0) return { check, level: "ok", found };
  return { check, level: "warn", found, next: "run three members or five" };
}

/** Whether the user may do what a node does. `look`: what was read, or why that was denied. */
export function writeFinding(look: Reading | string, { prefix, user }: { readonly prefix: string; readonly user: string | undefined }): Finding {
  const check = "write";
  const who = user ?? "whoever comes without a user";
  if (typeof look === "string") {
    return { check, level: "fail", found: `${who} may not read and write the keys below ${prefix}`, next: `run 'etcdctl role grant-permission ROLE --prefix=true readwrite ${prefix}' for a role of that user` };
  }
  const version = look.json(storeKeys(prefix).schema)?.version;
  if (version === undefined) return { check, level: "ok", found: `${who} may read and write below ${prefix}, where there is nothing yet` };
  if (version >= SCHEMA_VERSION) return { check, level: "ok", found: `${who} may read and write the keys below ${prefix}` };
  return { check, level: "warn", found: `the keys below ${prefix} are of version ${version}, and this code needs ${SCHEMA_VERSION}`, next: "run 'tribune migrate'" };
}

/** Who may listen, and who may write. */
export function wayFinding({ user, endpoints }: Pick<ConnectionSource, "user" | "endpoints">, authOff: boolean): Finding {
  const check = "way";
  const plain = endpoints.some((endpoint) => !endpoint.secure);
  const found = `${plain ? "without TLS" : "TLS"}, ${user === undefined ? "no user" : `as ${user.name}`}`;
  if (authOff) return { check, level: "warn", found: `${found}, and the cluster asks for none: anybody who reaches it may write`, next: "enable authentication ('etcdctl auth enable')" };
  if (plain && user !== undefined) return { check, level: "warn", found: `${found}: the password can be read on the way`, next: "use TLS" };
  return { check, level: "ok", found };
}

/** What is left of the space, and what the member complains of. */
export function spaceFinding({ dbSizeBytes, errors }: Pick<StatusAnswer, "dbSizeBytes" | "errors">): Finding {
  const check = "space";
  const found = `the store's file has ${(dbSizeBytes / 2 ** 20).toFixed(1)} MiB`;
  if (errors.length > 0) return { check, level: "fail", found: `${found}, and the member complains: ${errors.join("; ")}`, next: "look at 'etcdctl alarm list'" };
  if (dbSizeBytes < MUCH_SPACE_BYTES) return { check, level: "ok", found };
  return { check, level: "warn", found: `${found}; the quota is 2 GiB unless --quota-backend-bytes says otherwise`, next: "set --auto-compaction-retention, since each beat is a revision that is kept until it is compacted; then run 'etcdctl defrag'" };
}
