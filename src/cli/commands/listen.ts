import type { Command } from "commander";
import { Option } from "commander";
import type { Message } from "../../channel/index.ts";
import { asMessenger, withMessenger } from "../messenger.ts";
import type { MessengerOptions } from "../messenger.ts";
import { wholeNumber, withJson } from "../options.ts";
import { safeJson } from "../safe-text.ts";
import type { Shell } from "../shell.ts";
import { Teller } from "../teller.ts";

interface ListenOptions extends MessengerOptions {
  readonly json?: boolean;
  readonly count?: number;
}

const EXAMPLES = `
Examples:
  tribune listen cache
  tribune listen cache orders --json | jq -c 'select(.event == "message") | .value'
  tribune listen reload --count 1 && systemctl reload app

It is an observer of the group with a channel, so messages to all reach it, and whoever waits for all waits for it.
Ends with Ctrl-C: it leaves the group first. Evicted, it ends with exit code 4.`;

/** `tribune listen TOPIC…`: an observer that prints what members send. */
export function listenCommand(program: Command, shell: Shell): void {
  const command = program.command("listen").description("print the messages of a group").argument("<topics...>", "the topics");
  withMessenger(withJson(command, "print one JSON value per line"))
    .addOption(new Option("--count <n>", "end after so many messages").argParser(wholeNumber(1)))
    .addHelpText("after", EXAMPLES)
    .action((topics: readonly string[], options: ListenOptions) => listen(shell, topics, options));
}

async function listen(shell: Shell, topics: readonly string[], options: ListenOptions): Promise<void> {
  const tell = new Teller(shell, options.json === true);
  const enough = new AbortController();
  let left = options.count ?? Infinity;
  await asMessenger(shell, options, {
    register: (cluster) => {
      for (const topic of topics) {
        cluster.channel.listen(topic, (message) => {
          if (left <= 0) return;
          tellMessage(tell, message);
          if (--left <= 0) enough.abort();
        });
      }
      cluster.channel.on("gap", ({ topic, from }) => tell.say("gap", { topic, from: from.node }, `${from.node} has given up a message on ${topic}`));
    },
    work: async (cluster, signal) => {
      tell.say("listening", { group: cluster.group, node: cluster.node, topics }, `${cluster.node} listens to ${topics.join(", ")}`);
      const ends = AbortSignal.any([signal, enough.signal]);
      // The cluster's own end counts too: an eviction.
      for await (const _change of cluster.changes({ signal: ends }));
    },
  });
}

function tellMessage(tell: Teller, { topic, from, payload, token }: Message): void {
  const body = read(payload);
  const detail = { topic, from: from.node, incarnation: from.incarnation, ...(token === undefined ? {} : { token: String(token) }), ...body };
  tell.say("message", detail, `${topic}  ${from.node}  ${"value" in body ? safeJson(body.value) : "text" in body ? body.text : `${payload.length} bytes`}`);
}

/** JSON if it is, text if it is, or else what it is. */
function read(payload: Uint8Array): { readonly value: unknown } | { readonly text: string } | { readonly base64: string } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(payload);
    try {
      return { value: JSON.parse(text) as unknown };
    } catch {
      return { text };
    }
  } catch {
    return { base64: Buffer.from(payload).toString("base64") };
  }
}
