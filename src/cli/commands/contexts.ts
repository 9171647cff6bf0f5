import { Option } from "commander";
import type { Command } from "commander";
import { createCluster } from "../../cluster/index.ts";
import type { Cluster } from "../../cluster/index.ts";
import type { Contexts } from "../../contexts/index.ts";
import { isoTime, TribuneError } from "../../kernel/index.ts";
import { Interrupts } from "../interrupts.ts";
import { clusterOptions, withJson, withMember, withStore, wholeNumber } from "../options.ts";
import type { MemberOptions } from "../options.ts";
import { safeJson, safeText } from "../safe-text.ts";
import type { Shell } from "../shell.ts";

interface ContextsCommandOptions extends MemberOptions {
  readonly json?: boolean;
  readonly host?: string;
  readonly timeoutMs?: number;
}

/** How long the group may take to give what it has. */
const TIMEOUT_MS = 15_000;

const EXAMPLES = `
Examples:
  tribune contexts ls
  tribune contexts ls config
  tribune contexts get config/prices coffee
  tribune contexts watch config --json

Contexts are in the memory of the members. So the command joins the group for as long as it takes, as an observer that leads nothing, and gets them from a member: this machine must be able to reach the members, and they this machine.`;

/** `tribune contexts`: what the members of a group share. */
export function contextsCommand(program: Command, shell: Shell): void {
  const contexts = program.command("contexts").description("show the properties that all members share").addHelpText("after", EXAMPLES);
  const subcommand = (name: string, description: string, json?: string) =>
    withMember(withStore(withJson(contexts.command(name).description(description), json)))
      .option("--host <address>", "the address of this machine on which members can reach it (default: that of its host name)")
      .addOption(new Option("--timeout-ms <n>", `how long to wait for the group (default ${TIMEOUT_MS})`).argParser(wholeNumber(1)));
  subcommand("ls", "list contexts, and how many properties each has; one, and those below it, by its path").argument("[path]").action((path: string | undefined, options: ContextsCommandOptions) => withContexts(shell, options, (shared) => list(shell, shared, path, options)));
  subcommand("get", "print the properties of a context, or one of them").argument("<path>").argument("[key]").action((path: string, key: string | undefined, options: ContextsCommandOptions) => withContexts(shell, options, (shared) => get(shell, shared, path, key, options)));
  subcommand("watch", "print what changes; in one context and below it, by its path", "print one JSON value per line").argument("[path]").action((path: string | undefined, options: ContextsCommandOptions) => withContexts(shell, options, (shared, signal) => watch(shell, shared, path, options, signal)));
}

async function withContexts(shell: Shell, options: ContextsCommandOptions, work: (contexts: Contexts, signal: AbortSignal) => unknown): Promise<void> {
  const { host, timeoutMs = TIMEOUT_MS } = options;
  const base = clusterOptions(shell, options);
  const cluster: Cluster = createCluster({ ...base, observer: true, channel: host === undefined ? true : { host }, contexts: true });
  const interrupts = new Interrupts();
  const late = new AbortController();
  const signal = AbortSignal.any([interrupts.signal, shell.gone]);
  const timer = shell.clock.setTimer(timeoutMs, () => late.abort(new TribuneError("STATE_UNAVAILABLE", `no member of ${base.group} gave its contexts within ${timeoutMs} ms`, { about: base.group, next: "see 'tribune members', whether they have contexts, and whether they can be reached from here (--host)" })));
  try {
    await cluster.start({ signal: AbortSignal.any([signal, late.signal]) });
    timer.cancel();
    await work(cluster.contexts, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    timer.cancel();
    await cluster.stop();
    interrupts.release();
  }
}

function list(shell: Shell, contexts: Contexts, path: string | undefined, { json }: ContextsCommandOptions): void {
  if (path !== undefined) there(contexts, path);
  const found = path === undefined ? below(contexts) : [path, ...below(contexts, path)];
  const rows = found.map((each) => ({ path: each, properties: contexts.get(each)?.keys().length ?? 0 }));
  if (json === true) return shell.printJson(rows);
  if (rows.length === 0) return shell.print("there are no contexts in this group");
  shell.print(...rows.map((row) => `${safeText(row.path)}  ${shell.paint("dim", String(row.properties))}`));
}

function below(contexts: Contexts, path?: string): string[] {
  return contexts.list(path).flatMap((each) => [each, ...below(contexts, each)]);
}

function get(shell: Shell, contexts: Contexts, path: string, key: string | undefined, { json }: ContextsCommandOptions): void {
  const context = there(contexts, path);
  if (key !== undefined) {
    if (!context.has(key)) throw new TribuneError("PROPERTY_UNKNOWN", `${path} has no property ${key}`, { about: `${path}: ${key}`, next: `see 'tribune contexts get ${path}'` });
    return shell.printJson(context.get(key));
  }
  if (json === true) return shell.printJson(Object.fromEntries(context.entries()));
  shell.print(...context.entries().map(([name, value]) => `${safeText(name)}  ${safeJson(value)}`));
}

/** Throws `CONTEXT_UNKNOWN`. */
function there(contexts: Contexts, path: string) {
  const context = contexts.get(path);
  if (context === undefined) throw new TribuneError("CONTEXT_UNKNOWN", `there is no context ${path} in this group`, { about: path, next: "see 'tribune contexts ls'" });
  return context;
}

async function watch(shell: Shell, contexts: Contexts, only: string | undefined, { json }: ContextsCommandOptions, signal: AbortSignal): Promise<void> {
  const tell = (event: string, path: string, detail: Readonly<Record<string, unknown>>, sentence: string): void => {
    if (only !== undefined && path !== only && !path.startsWith(`${only}/`)) return;
    const at = isoTime(shell.clock.wallMs());
    if (json === true) shell.printJson({ event, at, path, ...detail });
    else shell.print(`${shell.paint("dim", at)}  ${safeText(sentence)}`);
  };
  contexts.on("created", ({ path }) => tell("created", path, {}, `${path} created`));
  contexts.on("removed", ({ path }) => tell("removed", path, {}, `${path} removed`));
  contexts.on("change", ({ path, key, deleted, value, version }) => {
    if (deleted) tell("deleted", path, { key, version }, `${path} ${key} deleted`);
    else tell("set", path, { key, value, version }, `${path} ${key} ${JSON.stringify(value)}`);
  });
  const isAwaited = only !== undefined && contexts.get(only) === undefined;
  shell.note(`watching ${only ?? "all contexts"}${isAwaited ? ", which is not there yet" : ""}; Ctrl-C ends it`);
  await new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })));
}
