import type { Command } from "commander";
import { createCluster } from "../../cluster/index.ts";
import type { Cluster, ClusterOptions } from "../../cluster/index.ts";
import { shown, TribuneError } from "../../kernel/index.ts";
import type { ViewChange } from "../../membership/index.ts";
import { ailmentsInWords } from "../ailments.ts";
import { duration } from "../duration.ts";
import { Interrupts } from "../interrupts.ts";
import { clusterOptions, withJson, withMember, withStore } from "../options.ts";
import type { MemberOptions } from "../options.ts";
import type { Shell } from "../shell.ts";
import { Teller } from "../teller.ts";

interface JoinOptions extends MemberOptions {
  readonly json?: boolean;
  readonly metadata?: string;
}

const EXAMPLES = `
Examples:
  tribune join --store sqlite:/var/lib/app/cluster.db --group billing --node probe
  tribune join --metadata '{"zone":"a"}' --preset fast
  tribune join --observer --node watcher
  tribune join --json | jq -c 'select(.event == "view") | [.joined, .left]'

Ends with Ctrl-C: it leaves the group first. Evicted, it ends with exit code 4.`;

/** `tribune join`: a member that contends for nothing of its own and tells what it sees. */
export function joinCommand(program: Command, shell: Shell): void {
  withMember(withStore(withJson(program.command("join").description("be a member of a group, and print what changes"), "print one JSON value per line")))
    .option("--observer", "take part, but lead nothing: never the coordinator, and not counted as a member that could lead")
    .option("--metadata <json>", "what this node says about itself: a JSON object")
    .addHelpText("after", EXAMPLES)
    .action((options: JoinOptions) => join(shell, options));
}

async function join(shell: Shell, options: JoinOptions): Promise<void> {
  const base = clusterOptions(shell, options);
  const cluster = createCluster(options.metadata === undefined ? base : { ...base, metadata: metadataFrom(options.metadata) });
  const interrupts = new Interrupts();
  const signal = AbortSignal.any([interrupts.signal, shell.gone]);
  const tell = new Teller(shell, options.json === true);
  let started = false;
  let evicted: TribuneError | undefined;
  cluster.on("error", (error) => {
    if (error.code === "EVICTED") evicted = error;
  });
  try {
    listen(cluster, tell);
    await cluster.start({ signal });
    started = true;
    const { node, incarnation } = cluster.self;
    tell.say("joined", { group: cluster.group, node, incarnation, worstFailoverMs: cluster.worstFailoverMs }, `${node} joined ${cluster.group} as incarnation ${incarnation.slice(0, 8)}; a leader that dies is succeeded within ${duration(cluster.worstFailoverMs)}`);
    for await (const change of cluster.changes({ signal })) tellView(change, tell);
  } catch (error) {
    if (!signal.aborted && evicted === undefined) throw error;
  } finally {
    await cluster.stop();
    if (started) tell.say("left", { group: cluster.group, node: cluster.node }, `${cluster.node} left ${cluster.group}`);
    interrupts.release();
  }
  if (evicted !== undefined) throw evicted;
}

function metadataFrom(text: string): NonNullable<ClusterOptions["metadata"]> {
  try {
    return JSON.parse(text) as NonNullable<ClusterOptions["metadata"]>; // the cluster checks that it is an object
  } catch {
    throw new TribuneError("INVALID_METADATA", `--metadata ${shown(text)} is not JSON`, { next: `give an object, such as '{"zone":"a"}'` });
  }
}

function listen(cluster: Cluster, tell: Teller): void {
  cluster.on("coordinator", ({ coordinator, previous }) => {
    tell.say("coordinator", { coordinator: coordinator?.node ?? null, previous: previous?.node ?? null }, coordinator === null ? "there is no coordinator" : `${coordinator.node} is the coordinator`);
  });
  cluster.on("suspended", ({ reason, trustLeftMs }) => tell.say("suspended", { reason: reason.toJSON(), trustLeftMs: Math.round(trustLeftMs) }, `the store does not answer (${reason.message}); trusted for another ${duration(trustLeftMs)}`));
  cluster.on("lost", ({ cause, incarnation, reason }) => tell.say("lost", { cause, incarnation, reason: reason.toJSON() }, `no longer trusted: ${reason.message}`));
  cluster.on("rejoined", ({ incarnation, sameIncarnation }) => tell.say("rejoined", { incarnation, sameIncarnation }, `a member again, as ${sameIncarnation ? "the same" : "a new"} incarnation ${incarnation.slice(0, 8)}`));
  cluster.on("recovered", ({ from, afterMs }) => tell.say("recovered", { from, afterMs: Math.round(afterMs) }, `no longer ${from}, after ${duration(afterMs)}`));
  cluster.on("degraded", ({ ailments }) => tell.say("degraded", { ailments }, `degraded: ${ailmentsInWords(ailments)}`));
  cluster.on("error", (error) => {
    if (error.code !== "EVICTED") tell.say("error", { error: error.toJSON() }, `trouble ${error.code}: ${error.message}`); // that one ends the command, which says it
  });
}

function tellView({ view, joined, left }: ViewChange, tell: Teller): void {
  const names = (members: ViewChange["joined"]) => members.map((member) => member.node);
  const changes = [...names(joined).map((name) => `+${name}`), ...names(left).map((name) => `-${name}`)].join(" ");
  const words = `view ${view.version}${view.skipped ? " (some before it were missed)" : ""}: ${names(view.members).join(", ")}${changes === "" ? "" : `  [${changes}]`}`;
  tell.say("view", { version: view.version, skipped: view.skipped, coordinator: view.coordinator?.node ?? null, members: view.members, joined: names(joined), left: names(left) }, words);
}
