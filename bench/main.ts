/** `npm run bench`: measures, and says on what; see README.md beside this. */
import { writeFileSync } from "node:fs";
import { beats, beatsText } from "./beats/beats.ts";
import { channel } from "./channel/channel.ts";
import { channelText } from "./channel/text.ts";
import { contexts } from "./contexts/contexts.ts";
import { contextsText } from "./contexts/text.ts";
import { cut, cutText } from "./cut/cut.ts";
import { failover, failoverText } from "./failover/failover.ts";
import { fence, fenceText } from "./fence/fence.ts";
import { installPeers } from "./install.ts";
import { describeMachine, load, machineText } from "./machine.ts";
import { readOptions, USAGE, WrongUsage } from "./options.ts";
import type { Benchmark, BenchOptions } from "./options.ts";
import { Progress } from "./progress.ts";

/** Each benchmark, as its result and as text. */
const RUN: Readonly<Record<Benchmark, (options: BenchOptions, progress: Progress) => Promise<{ readonly result: object; readonly text: string }>>> = {
  failover: async (options, progress) => {
    const result = await failover(options, progress);
    return { result, text: failoverText(result) };
  },
  beats: async (options, progress) => {
    const result = await beats(options, progress);
    return { result, text: beatsText(result) };
  },
  cut: async (options, progress) => {
    const result = await cut(options, progress);
    return { result, text: cutText(result) };
  },
  fence: async (options, progress) => {
    const result = await fence(options, progress);
    return { result, text: fenceText(result) };
  },
  channel: async (options, progress) => {
    const result = await channel(options, progress);
    return { result, text: channelText(result) };
  },
  contexts: async (options, progress) => {
    const result = await contexts(options, progress);
    return { result, text: contextsText(result) };
  },
};

const HAVE_PEERS: readonly Benchmark[] = ["failover", "cut", "channel", "contexts"];

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) return console.log(USAGE);
  const progress = new Progress();
  const machine = describeMachine();
  if (options.benchmarks.some((name) => HAVE_PEERS.includes(name)) && options.peers.length > 0) installPeers((text) => progress.say(text));
  const results: object[] = [];
  for (const name of options.benchmarks) {
    progress.say(name);
    const { result, text } = await RUN[name](options, progress);
    results.push(result);
    console.log(`## ${name[0]?.toUpperCase()}${name.slice(1)}\n\n${text}\n`);
    machine.loadAtEnd = load();
    // After each, so that an interrupted run has left what it measured.
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ machine, quick: options.quick, results }, null, 1)}\n`);
  }
  console.log(`${options.quick ? "A quick run: its numbers say nothing. " : ""}${machineText(machine)}`);
}

// Ended from outside, it takes servers and contenders with it, frozen ones too: all of that happens at the exit.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

try {
  await main();
} catch (error) {
  if (error instanceof WrongUsage) console.error(`${error.message}\n\n${USAGE}`);
  else console.error(error);
  process.exitCode = error instanceof WrongUsage ? 2 : 1;
}
