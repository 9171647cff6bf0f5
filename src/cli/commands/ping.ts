import { Option } from "commander";
import type { Command } from "commander";
import type { Cluster } from "../../cluster/index.ts";
import { isTribuneError } from "../../kernel/index.ts";
import { asMessenger, correspondents, withMessenger } from "../messenger.ts";
import type { MessengerOptions } from "../messenger.ts";
import { wholeNumber, withJson } from "../options.ts";
import type { Shell } from "../shell.ts";
import { table } from "../table.ts";

interface PingOptions extends MessengerOptions {
  readonly json?: boolean;
  readonly deadlineMs: number;
}

/** What is said about one member. */
type PingResult =
  | { readonly node: string; readonly incarnation: string; readonly ok: true; readonly roundTripMs: number; readonly encryption: string; readonly provedBy: string | null; readonly version: number }
  | { readonly node: string; readonly ok: false; readonly code: string; readonly message: string };

/** The shortest of so many counts: the first one meets a process that is busy with its handshakes. */
const TIMES = 5;

const EXAMPLES = `
Examples:
  tribune ping
  tribune ping billing-2
  tribune ping --json | jq '.[] | select(.ok | not) | .node'

It joins as an observer, and shows for each member how long a frame takes there and back, how the connection is encrypted, with which key of the group the member has proved itself, and the version of the protocol.
Exit code 1: a member could not be reached in time; that says nothing about whether it lives. 4: there is no such member with a channel.`;

/** `tribune ping [NODE]`: the ways between this machine and the members. */
export function pingCommand(program: Command, shell: Shell): void {
  const command = program.command("ping").description("show how members can be reached from here, and how the way is protected").argument("[node]", "one member (default: all)");
  withMessenger(withJson(command))
    .addOption(new Option("--deadline-ms <n>", "how long to try").argParser(wholeNumber(1)).default(5_000))
    .addHelpText("after", EXAMPLES)
    .action(async (node: string | undefined, options: PingOptions) => {
      await asMessenger(shell, options, {
        work: async (cluster, signal) => {
          const nodes = node === undefined ? correspondents(cluster).map((member) => member.node) : [node];
          const results = await Promise.all(nodes.map((each) => ping(cluster, each, { deadlineMs: options.deadlineMs, signal })));
          if (results.some(({ ok }) => !ok)) shell.exitCode = 1;
          if (options.json === true) shell.printJson(results);
          else shell.print(...table(["NODE", "ROUND TRIP", "ENCRYPTION", "PROVED BY", "VERSION", "NOTE"], results.map((result) => cells(shell, result))));
        },
      });
    });
}

async function ping(cluster: Cluster, node: string, wait: { readonly deadlineMs: number; readonly signal: AbortSignal }): Promise<PingResult> {
  try {
    const { incarnation, security, ...first } = await cluster.channel.ping(node, wait);
    let { roundTripMs } = first;
    for (let n = 1; n < TIMES; n++) roundTripMs = Math.min(roundTripMs, (await cluster.channel.ping(node, wait)).roundTripMs);
    return { node, incarnation, ok: true, roundTripMs: Math.round(roundTripMs * 100) / 100, encryption: security?.protocol ?? "", provedBy: security?.provedBy ?? null, version: security?.version ?? 0 };
  } catch (error) {
    if (!isTribuneError(error, "PEER_UNREACHABLE") && !isTribuneError(error, "TRANSPORT_TIMEOUT")) throw error;
    return { node, ok: false, code: error.code, message: error.message };
  }
}

function cells(shell: Shell, result: PingResult): Array<string | { readonly text: string; readonly paint: (text: string) => string }> {
  if (!result.ok) return [result.node, { text: "unreachable", paint: (text) => shell.paint("red", text) }, "", "", "", result.message];
  return [result.node, `${result.roundTripMs} ms`, result.encryption, result.provedBy ?? "nothing", String(result.version), ""];
}
