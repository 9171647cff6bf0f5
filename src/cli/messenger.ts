import { readFileSync } from "node:fs";
import { Option } from "commander";
import type { Command } from "commander";
import { createCluster } from "../cluster/index.ts";
import type { Cluster, ClusterChannelOptions } from "../cluster/index.ts";
import type { FarmOptions } from "../farm/index.ts";
import { Complaints, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Member } from "../membership/index.ts";
import { Interrupts } from "./interrupts.ts";
import { clusterOptions, wholeNumber, withStore } from "./options.ts";
import type { MemberOptions } from "./options.ts";
import type { Shell } from "./shell.ts";

/** What a command takes that talks to the members. */
export interface MessengerOptions extends MemberOptions {
  readonly host?: string;
  readonly port?: number;
  readonly advertise?: string;
  readonly security?: "keys" | "plaintext";
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
}

export function withMessenger(command: Command): Command {
  return withStore(command)
    .option("--node <name>", "this node's name (default: host name and process id)")
    .addOption(new Option("--start-timeout-ms <n>", "how long to try to reach the store, and to be in a view (default 15000)").argParser(wholeNumber(1)))
    .option("--host <address>", "the address of this machine to listen on (default: all)")
    .addOption(new Option("--port <n>", "the port to listen on (default: a free one)").argParser(wholeNumber(0)))
    .option("--advertise <host:port>", "what the members dial to reach this node (default: what it listens on)")
    .addOption(new Option("--security <how>", "as the group has it: keys, that it keeps in its store; plaintext (default: keys)").choices(["keys", "plaintext"]))
    .option("--cert <file>", "where the group has certificates of its own: this node's, in PEM; with --key and --ca")
    .option("--key <file>", "its key")
    .option("--ca <file>", "the authority that signs the members' certificates");
}

/** An observer publishes no view: where nobody else is, it would wait for ever. */
const START_TIMEOUT_MS = 15_000;

/** Joins a group that is there as an observer with a channel, runs `work`, and leaves. `register`: before it starts. Makes no schema. */
export async function asMessenger(
  shell: Shell,
  options: MessengerOptions,
  parts: { readonly register?: (cluster: Cluster) => void; readonly farm?: FarmOptions; readonly work: (cluster: Cluster, signal: AbortSignal) => Promise<void> },
): Promise<void> {
  const cluster = createCluster({ ...clusterOptions(shell, options), createSchema: false, observer: true, channel: channelOptions(options), ...(parts.farm === undefined ? {} : { farm: parts.farm }) });
  const interrupts = new Interrupts();
  const signal = AbortSignal.any([interrupts.signal, shell.gone]);
  let evicted: TribuneError | undefined;
  cluster.on("error", (error) => {
    if (error.code === "EVICTED") evicted = error;
  });
  try {
    parts.register?.(cluster);
    const ms = options.startTimeoutMs ?? START_TIMEOUT_MS;
    await withDeadline(cluster.start({ signal }), { clock: shell.clock, ms, operation: "joining the group", code: "NODE_UNKNOWN", next: "start members first: those who only look on, as this does, make no group; tribune status says who is there" });
    await parts.work(cluster, signal);
  } catch (error) {
    if (!signal.aborted && evicted === undefined) throw error;
  } finally {
    await cluster.stop();
    interrupts.release();
  }
  if (evicted !== undefined) throw evicted;
}

/** The other members that have a channel, the oldest first. Throws `NODE_UNKNOWN` where there is none. */
export function correspondents(cluster: Cluster): readonly Member[] {
  const found = cluster.view.members.filter(({ incarnation }) => cluster.channel.reachability(incarnation) !== undefined);
  if (found.length > 0) return found;
  throw new TribuneError("NODE_UNKNOWN", `no other member of ${cluster.group} has a channel`, { about: cluster.group, next: "start members with channel: true" });
}

function channelOptions(options: MessengerOptions): ClusterChannelOptions {
  const { host, port, advertise, security, cert, key, ca } = options;
  const files = [cert, key, ca].filter((file) => file !== undefined);
  const complaints = new Complaints("command line");
  complaints.check(files.length === 0 || files.length === 3, "--cert, --key and --ca belong together");
  complaints.check(files.length === 0 || security === undefined, "--security is not for certificates of your own: leave it out");
  complaints.throwIfAny();
  return {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(advertise === undefined ? {} : { advertise }),
    ...(security === undefined ? {} : { security }),
    ...(cert === undefined || key === undefined || ca === undefined ? {} : { security: { cert: pem("--cert", cert), key: pem("--key", key), ca: pem("--ca", ca) } }),
  };
}

function pem(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new TribuneError("INVALID_OPTIONS", `${option} cannot be read: ${(error as NodeJS.ErrnoException).code ?? "it failed"}`, { about: file, next: "name a file in PEM", cause: error });
  }
}
