/** One person in the room: what is typed goes to all others, what they type is printed, and who comes gets what was said before. */
import { createInterface } from "node:readline";
import { createCluster } from "tribune";

const LINES_KEPT = 100;

interface Line {
  /** Says where a line belongs, at all members: the time at its author's, and who that is. */
  readonly key: string;
  readonly text: string;
}

const [name = "somebody", store = "sqlite:chat.db"] = process.argv.slice(2);
const cluster = createCluster({ group: "chat-room", node: name, store, channel: { deadlineMs: 5_000 }, handleSignals: true });
const { channel } = cluster;
const history = new Map<string, Line>();

const print = (text: string) => console.log(text.replace(/\p{Cc}/gu, "?")); // what others type shall not act upon this terminal
const keep = (line: Line) => {
  history.set(line.key, line);
  const [oldest] = inOrder();
  if (history.size > LINES_KEPT && oldest !== undefined) history.delete(oldest.key);
};
const inOrder = () => [...history.values()].sort((a, b) => (a.key < b.key ? -1 : 1));

channel.listen("said", (message) => {
  const line = message.value() as Line;
  keep(line);
  print(line.text);
});
channel.listen("whispered", (message) => print(`(${message.from.node} whispers) ${String(message.value())}`));
channel.state("history", {
  snapshot: function* (after) {
    for (const line of inOrder()) if (line.key > after) yield { bytes: Buffer.from(JSON.stringify(line)), cursor: line.key };
  },
  apply: ({ bytes }) => keep(JSON.parse(Buffer.from(bytes).toString()) as Line),
});

cluster.on("view", ({ joined, left }) => {
  for (const { node } of joined) if (node !== name) print(`* ${node} is here`);
  for (const { node } of left) print(`* ${node} is gone`);
});

await cluster.start(); // from here on this member has the history
for (const { text } of inOrder()) print(`(before) ${text}`);
print(`* you are ${name}; /who, /whisper NAME TEXT, or just type`);

for await (const typed of createInterface({ input: process.stdin })) {
  const [, to = "", secret = ""] = /^\/whisper (\S+) (.+)$/.exec(typed) ?? [];
  if (typed === "/who") print(`* here: ${cluster.view.members.map(({ node }) => node).join(", ")}`);
  else if (to !== "") report(await channel.send("whispered", secret, { to: [to] }));
  else if (typed.trim() !== "") await say(typed);
}
await cluster.stop();

async function say(typed: string): Promise<void> {
  const line: Line = { key: `${new Date().toISOString()} ${name}`, text: `${name}: ${typed}` };
  keep(line);
  report(await channel.send("said", line));
}

/** One result for each member: nothing is silently partial. */
function report({ results }: Awaited<ReturnType<typeof channel.send>>): void {
  for (const [node, { status }] of results) print(`  ${status === "delivered" ? "heard by" : `${status}:`} ${node}`);
}
