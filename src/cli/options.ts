import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { openAdmin } from "../admin/index.ts";
import type { Admin } from "../admin/index.ts";
import { storeFromUrl } from "../cluster/index.ts";
import type { ClusterOptions } from "../cluster/index.ts";
import { checkName, Complaints, TribuneError } from "../kernel/index.ts";
import { PRESETS } from "../presence/index.ts";
import type { Preset } from "../presence/index.ts";
import type { StoreProvider } from "../store/index.ts";
import type { Shell } from "./shell.ts";

/** What every command takes. */
export interface StoreOptions {
  readonly store?: string;
  readonly group?: string;
  readonly verbose?: boolean;
}

export interface AskOptions extends StoreOptions {
  readonly timeoutMs?: number;
}

export interface MemberOptions extends StoreOptions {
  readonly node?: string;
  readonly preset?: Preset;
  readonly leaseMs?: number;
  readonly beatMs?: number;
  readonly stopBudgetMs?: number;
  readonly startTimeoutMs?: number;
  readonly createSchema?: boolean;
  readonly crashDetection?: "evidence" | "lease";
  readonly minimumMembers?: number;
  readonly observer?: boolean;
}

export function withStore(command: Command): Command {
  return command
    .option("--store <url>", "where coordination state lives: sqlite:PATH, postgres://…, mysql://…, etcd://… or zookeeper://… (env: TRIBUNE_STORE)")
    .option("--group <name>", "the group of nodes (env: TRIBUNE_GROUP)")
    .option("--verbose", "tell on standard error what happens inside, and stacks of errors");
}

/** For commands that look at a group from outside. */
export function withTimeout(command: Command): Command {
  return command.addOption(new Option("--timeout-ms <n>", "how long to wait for the store (default 5000)").argParser(wholeNumber(1)));
}

export function withJson(command: Command, what = "print one JSON value"): Command {
  return command.option("--json", what);
}

/** For commands that become a member. */
export function withMember(command: Command, crashDetection: "evidence" | "lease" = "evidence"): Command {
  return command
    .option("--node <name>", "this node's name (default: host name and process id)")
    .addOption(new Option("--preset <name>", "lease and beat as a pair: fast 2 s / 0.5 s, default 4 s / 1 s, calm 15 s / 5 s").choices(Object.keys(PRESETS)))
    .addOption(new Option("--lease-ms <n>", "for how long the store holds this node alive without a beat").argParser(wholeNumber(1)))
    .addOption(new Option("--beat-ms <n>", "how often this node beats").argParser(wholeNumber(1)))
    .addOption(new Option("--stop-budget-ms <n>", "how long work has to stop when a term ends (default: a quarter of the lease)").argParser(wholeNumber(0)))
    .addOption(new Option("--start-timeout-ms <n>", "how long to try to reach the store at first (default 15000)").argParser(wholeNumber(0)))
    .addOption(new Option("--crash-detection <how>", `evidence: use the store's proof that a process is gone, where there is one; lease: only its silence (default: ${crashDetection})`).choices(["evidence", "lease"]))
    .option("--no-create-schema", "do not make the schema, nor bring it up to date");
}

/** An integer, which may be negative. */
export function integer(text: string): number {
  const value = Number(text);
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("It must be a whole number.");
}

export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`It must be a whole number, at least ${min}.`);
  };
}

/** The store's provider and the group's name, from the options or the environment; throws with every complaint at once. Does no I/O. */
export function place(shell: Shell, options: StoreOptions): { readonly store: StoreProvider; readonly group: string } {
  const url = storeUrl(shell, options);
  const group = given(options.group, shell.env["TRIBUNE_GROUP"]);
  const complaints = new Complaints("command line");
  complaints.check(url !== undefined, "no store is given: use --store URL or set TRIBUNE_STORE");
  complaints.check(group !== undefined, "no group is given: use --group NAME or set TRIBUNE_GROUP");
  complaints.throwIfAny();
  return { group: checkName("group", group), store: storeFromUrl(url as string) };
}

/** The group's name, if one is given. */
export function groupIfGiven(shell: Shell, options: StoreOptions): string | undefined {
  return given(options.group, shell.env["TRIBUNE_GROUP"]);
}

/** The store's provider alone, for what concerns no group. */
export function storeOnly(shell: Shell, options: StoreOptions): StoreProvider {
  const url = storeUrl(shell, options);
  if (url === undefined) throw new TribuneError("INVALID_OPTIONS", "no store is given", { next: "use --store URL or set TRIBUNE_STORE" });
  return storeFromUrl(url);
}

/** Also teaches the shell which password must not be printed. */
function storeUrl(shell: Shell, options: StoreOptions): string | undefined {
  shell.verbose = options.verbose === true;
  const url = given(options.store, shell.env["TRIBUNE_STORE"]);
  if (url !== undefined) shell.secrets.learn(url);
  return url;
}

/** An empty variable is one that is not set. */
function given(option: string | undefined, variable: string | undefined): string | undefined {
  return option ?? (variable === "" ? undefined : variable);
}

/** Runs `work` with an admin of the group, and closes it and the store afterwards. `about`: the node that the command is about. */
export async function withAdmin<T>(shell: Shell, options: AskOptions & { readonly intervalMs?: number }, work: (admin: Admin) => Promise<T>, about?: string): Promise<T> {
  const { store, group } = place(shell, options);
  const admin = openAdmin({
    store,
    group,
    clock: shell.clock,
    random: shell.random,
    logger: shell.logger,
    ...(about !== undefined && isOwnNode(shell, group, about) ? { self: about } : {}),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    ...(options.intervalMs === undefined ? {} : { pollMs: options.intervalMs }),
  });
  try {
    return await work(admin);
  } finally {
    await admin.close();
    await store.close();
  }
}

/** The command of `tribune lead` finds its node and group in the environment: what it runs is a part of that node. */
function isOwnNode({ env }: Shell, group: string, node: string): boolean {
  return env["TRIBUNE_NODE"] === node && env["TRIBUNE_GROUP"] === group;
}

/** The options of a cluster node, from the command line. */
export function clusterOptions(shell: Shell, options: MemberOptions): ClusterOptions {
  const { store, group } = place(shell, options);
  const { node, preset, leaseMs, beatMs, stopBudgetMs, startTimeoutMs, crashDetection, minimumMembers, observer } = options;
  return {
    store,
    group,
    clock: shell.clock,
    random: shell.random,
    logger: shell.logger,
    createSchema: options.createSchema !== false,
    ...(node === undefined ? {} : { node }),
    ...(preset === undefined ? {} : { preset }),
    ...(leaseMs === undefined ? {} : { leaseMs }),
    ...(beatMs === undefined ? {} : { beatMs }),
    ...(stopBudgetMs === undefined ? {} : { stopBudgetMs }),
    ...(startTimeoutMs === undefined ? {} : { startTimeoutMs }),
    ...(crashDetection === undefined ? {} : { crashDetection }),
    ...(minimumMembers === undefined ? {} : { minimumMembers }),
    ...(observer === undefined ? {} : { observer }),
  };
}
