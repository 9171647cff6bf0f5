import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { AppRecord } from "../../src/farm/index.ts";
import { NODE_PREFIX, nodeDocument, VOTE_PREFIX } from "../../src/farm/record.ts";

/** Documents of the store that nobody needs, while these records are all there is and these nodes live. */
export function* documentsLeft(names: readonly string[], records: readonly AppRecord[], nodes: readonly string[]): Generator<string> {
  const open = records.map(({ change }) => change?.id);
  const reports = nodes.map(nodeDocument);
  for (const name of names) {
    if (name.startsWith(VOTE_PREFIX) && !open.includes(name.split(".")[2])) yield `the vote ${name} on a change that has ended stays for ever`;
    if (name.startsWith(NODE_PREFIX) && !reports.includes(name)) yield `the report ${name} of a node that is gone stays for ever`;
  }
}

/** What is in the folder of a farm and no record refers to, or nobody goes on with. */
export function* filesLeft(dir: string, records: readonly AppRecord[]): Generator<string> {
  const digests = records.flatMap(({ current, history, change }) => [current, ...history, change?.release]).map((release) => release?.digest);
  const artifacts = filesIn(join(dir, "artifacts"));
  for (const name of artifacts) {
    const [digest, rest] = name.split(".");
    if (!digests.includes(digest) || (rest !== undefined && rest !== "part")) yield `the artifact ${name}, which no record refers to, stays for ever`;
    else if (rest === "part" && artifacts.includes(digest ?? "")) yield `the half artifact ${name} stays for ever beside the whole one`;
  }
  for (const app of filesIn(join(dir, "releases"))) {
    const record = records.find(({ name }) => name === app);
    for (const id of filesIn(join(dir, "releases", app))) if (id !== record?.current?.id && id !== record?.change?.release.id) yield `the release ${app}/${id}, which is neither active nor wanted, stays unpacked for ever`;
  }
}

function filesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}
