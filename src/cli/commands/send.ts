import { Option } from "commander";
import type { Command } from "commander";
import type { DeliveryResult } from "../../channel/index.ts";
import type { Cluster } from "../../cluster/index.ts";
import { isTribuneError, TribuneError } from "../../kernel/index.ts";
import type { Random } from "../../kernel/index.ts";
import { asMessenger, correspondents, withMessenger } from "../messenger.ts";
import type { MessengerOptions } from "../messenger.ts";
import { wholeNumber, withJson } from "../options.ts";
import { safeText } from "../safe-text.ts";
import type { Shell } from "../shell.ts";

interface SendCommandOptions extends MessengerOptions {
  readonly json?: boolean;
  readonly to: string;
  readonly ack?: boolean;
  readonly raw?: boolean;
  readonly deadlineMs: number;
}

const EXAMPLES = `
Examples:
  tribune send cache '{"drop":17}'
  tribune send cache --ack --to billing-1,billing-2 '{"drop":17}'
  tribune send reload --ack --json < settings.json

DATA is JSON; what is none is sent as a string. With --raw its bytes go as they are. Without DATA standard input is read, to its end.
It joins as an observer, sends, and leaves; a member that starts just now may not be there yet.
Exit code 1: a member did not handle it (--ack), or could not be reached in time. 4: there is no such member with a channel.`;

/** `tribune send TOPIC [DATA]`: one message to the members. */
export function sendCommand(program: Command, shell: Shell): void {
  const command = program.command("send").description("send a message to the members of a group").argument("<topic>", "the topic").argument("[data]", "what to send (default: standard input)");
  withMessenger(withJson(command))
    .option("--to <whom>", "others, coordinator, oldest, any, or nodes with commas between them", "others")
    .option("--ack", "wait until each has handled it")
    .option("--raw", "send the bytes as they are")
    .addOption(new Option("--deadline-ms <n>", "how long to try").argParser(wholeNumber(1)).default(10_000))
    .addHelpText("after", EXAMPLES)
    .action(async (topic: string, data: string | undefined, options: SendCommandOptions) => {
      const bytes = data === undefined ? await shell.input() : Buffer.from(data);
      const payload = options.raw === true ? bytes : asJson(bytes);
      await asMessenger(shell, options, {
        work: async (cluster, signal) => {
          const wait = { deadlineMs: options.deadlineMs, signal, random: shell.random };
          const send = options.ack === true ? acknowledged : handedOver;
          tell(shell, options, topic, await send(cluster, topic, payload, options.to, wait));
        },
      });
    });
}

type Result = DeliveryResult | { readonly status: "sent" } | { readonly status: "unreachable" };
type Results = ReadonlyMap<string, Result>;

interface SendWait {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  readonly random: Random;
}

async function acknowledged(cluster: Cluster, topic: string, payload: Uint8Array, to: string, { random, ...wait }: SendWait): Promise<Results> {
  const { results } = await cluster.channel.send(topic, payload, { to: targetsOf(cluster, to, random), mode: "ack", ...wait });
  return results;
}

/** Over connections that are there, so that what was sent is under way when this node leaves. */
async function handedOver(cluster: Cluster, topic: string, payload: Uint8Array, to: string, { random, ...wait }: SendWait): Promise<Results> {
  const nodes = targetsOf(cluster, to, random);
  const results = await Promise.all(
    nodes.map(async (node): Promise<readonly [string, Result]> => {
      try {
        await cluster.channel.ping(node, wait);
        await cluster.channel.send(topic, payload, { to: [node], mode: "async", ...wait });
        return [node, { status: "sent" }];
      } catch (error) {
        if (!isTribuneError(error, "PEER_UNREACHABLE") && !isTribuneError(error, "TRANSPORT_TIMEOUT")) throw error;
        return [node, { status: "unreachable" }];
      }
    }),
  );
  return new Map(results);
}

/** The nodes that are meant. Throws `NODE_UNKNOWN`. */
function targetsOf(cluster: Cluster, to: string, random: Random): readonly string[] {
  const there = correspondents(cluster).map(({ node }) => node);
  const known = (node: string | undefined, what: string) => {
    if (node !== undefined && there.includes(node)) return node;
    throw new TribuneError("NODE_UNKNOWN", `${what} is no other member with a channel`, { about: what, next: "see tribune members" });
  };
  switch (to) {
    case "others":
    case "all":
      return there;
    case "coordinator":
      return [known(cluster.view.coordinator?.node, "the coordinator")];
    case "oldest":
      return there.slice(0, 1);
    case "any":
      return [there[Math.floor(random.next() * there.length)] ?? ""];
    default:
      return [...new Set(to.split(","))].map((node) => known(node, node));
  }
}

function tell(shell: Shell, options: SendCommandOptions, topic: string, results: Results): void {
  const ok = [...results.values()].every(({ status }) => status === "delivered" || status === "sent");
  if (!ok) shell.exitCode = 1;
  if (options.json === true) return shell.printJson({ topic, ok, results: Object.fromEntries(results) });
  for (const [node, result] of results) shell.print(`${safeText(node)} ${sentence(shell, result)}`);
}

function sentence(shell: Shell, result: Result): string {
  if (result.status === "delivered" || result.status === "sent") return shell.paint("green", result.status === "sent" ? "was sent it" : "has handled it");
  if (result.status === "failed") return shell.paint("red", `failed: ${safeText(result.code)} ${safeText(result.message)}`);
  return shell.paint("yellow", result.status === "left" ? "left" : result.status === "unreachable" ? "could not be reached in time" : "did not answer in time");
}

function asJson(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString("utf8");
  try {
    JSON.parse(text);
    return bytes;
  } catch {
    return Buffer.from(JSON.stringify(text.replace(/\r?\n$/, ""))); // as a shell's $(…) leaves it out
  }
}
