import { subpaths } from "./packed.ts";

// Programs of somebody who has installed the package.

/** Prints what each subpath exports, by name. */
export const LOAD_BY_IMPORT = `
const loaded = {};
for (const subpath of JSON.parse(process.argv[2])) {
  const module = subpath.endsWith(".json") ? (await import(subpath, { with: { type: "json" } })).default : await import(subpath);
  loaded[subpath] = Object.keys(module).filter((name) => name !== "default" && name !== "module.exports").sort();
}
console.log(JSON.stringify(loaded));
`;

/** The same, the other way. */
export const LOAD_BY_REQUIRE = `
const loaded = {};
for (const subpath of JSON.parse(process.argv[2])) loaded[subpath] = Object.keys(require(subpath)).filter((name) => name !== "default" && name !== "__esModule").sort();
console.log(JSON.stringify(loaded));
`;

/** A node of its own, from start to stop. */
export const ELECT = `
import { createCluster } from "tribune";
import { sqlite } from "tribune/sqlite";
const cluster = createCluster({ group: "g", node: "n", store: sqlite({ path: process.argv[2] }) });
await cluster.start();
const term = await cluster.election("e").campaign();
const rows = await term.transaction((tx) => {
  tx.exec("create table mine (token integer)");
  tx.prepare("insert into mine values (?)").run(term.token);
  return tx.prepare("select count(*) as n from mine").get().n;
});
await cluster.stop();
console.log(JSON.stringify({ rows, isAfterStop: term.signal.reason.code }));
`;

/** A typed program that uses a little of everything. */
export const CONSUMER = `
import { createCluster, isTribuneError } from "tribune";
import type { Cluster, ClusterOptions, ErrorCode, Member, StoreProvider, Term, View } from "tribune";
import { sqlite } from "tribune/sqlite";
import { postgres } from "tribune/postgres";
import { memory } from "tribune/memory";
${subpaths.filter((subpath) => !subpath.endsWith(".json")).map((subpath, n) => `import * as room${n} from "${subpath}";\nexport const names${n}: string[] = Object.keys(room${n});`).join("\n")}

export async function main(): Promise<number> {
  const cluster = createCluster({ group: "g", store: sqlite({ path: "x.db" }), preset: "fast" });
  cluster.on("view", ({ view, joined, left }) => console.log(view.version, joined.length, left.length));
  const term = await cluster.election("e").campaign({ signal: new AbortController().signal });
  const token: number = term.token;
  await term.transaction((tx) => tx.exec("select 1"));
  const others: StoreProvider[] = [memory() as StoreProvider, postgres({ url: "postgres://h/d" }) as StoreProvider];
  const member: Member | undefined = cluster.view.members[0];
  const code: ErrorCode = "TERM_LOST";
  if (isTribuneError(member, code)) return 0;
  return token + others.length;
}
export type All = [Cluster, ClusterOptions, Term, View];
`;

/** The same of CommonJS. */
export const CONSUMER_BY_REQUIRE = `
import tribune = require("tribune");
import sqlite = require("tribune/sqlite");
export const cluster: tribune.Cluster<import("node:sqlite").DatabaseSync> = tribune.createCluster({ group: "g", store: sqlite.sqlite({ path: "x.db" }) });
`;
