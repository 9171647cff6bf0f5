import { posix } from "node:path";
import type { Import, Source } from "./source.ts";

/**
 * The rooms from left to right; those of one rung stand side by side and do not import each other. A new room gets its place here.
 * `testing` is not on it: it may import anything, and only tests import it.
 */
export const LADDER: readonly (readonly string[])[] = [
  ["kernel"],
  ["store"],
  ["presence"],
  ["election"],
  ["membership"],
  ["transport"],
  ["channel"],
  ["contexts", "farm", "partitions", "tasks", "slots"],
  ["sessions", "balancer"],
  ["cluster"],
  ["index.ts"], // the package's front door
  ["admin"],
  ["cli", "dashboard"],
];

/** Rooms that choose a provider by name. All others get one handed in, and never ask which it is. */
const CHOOSES_PROVIDER = ["cluster", "cli", "testing"];

/** What providers of the same kind share: a folder beside them that is not a provider itself. */
const SHARED_BY_PROVIDERS = "store/sql";

/** Third-party packages that a room may import; the core rooms have none. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = { cli: ["commander"] };

/** Who loads a database client besides the providers. The demo is a program like any user's, and makes its own table. */
const LOADS_CLIENTS = ["src/cli/demo/"];

/** Loads modules that users deploy, wherever those are. */
const LOADS_ARTIFACTS = ["src/farm/module-worker.ts"];

/** Which room a file of src belongs to: `src/store/sqlite/turns.ts` is in `store/sqlite`, `src/index.ts` in `index.ts`. */
export function roomOf(path: string): string {
  const [, first = "", second = "", third] = path.split("/");
  return first === "store" && third !== undefined ? `store/${second}` : first;
}

/** What is wrong with one import of one file, as a sentence that says what to do; `undefined` if nothing is. */
export function judge(source: Source, each: Import, peers: readonly string[]): string | undefined {
  const where = `${source.path}:${each.line}`;
  const from = roomOf(source.path);
  if (each.specifier === "?" && !LOADS_ARTIFACTS.includes(source.path)) return `${where} imports something that is only known when it runs; name it in the call`;
  if (each.specifier === "?" || each.specifier.startsWith("node:")) return undefined;
  if (!each.specifier.startsWith(".")) return judgePackage(where, source.path, each, peers);
  const target = posix.join(posix.dirname(source.path), each.specifier);
  if (!target.startsWith("src/")) return `${where} imports ${target}: what ships stands on nothing outside of src; move what it needs into a room`;
  const to = roomOf(target);
  if (from === to) return undefined;
  return judgeDirection(where, from, to) ?? judgeDoor(where, from, to, target);
}

function judgePackage(where: string, path: string, each: Import, peers: readonly string[]): string | undefined {
  const from = roomOf(path);
  if (PACKAGES[from]?.includes(each.specifier)) return undefined;
  if (peers.includes(each.specifier) && (from.startsWith("store/") || LOADS_CLIENTS.some((folder) => path.startsWith(folder)))) {
    if (each.kind === "dynamic") return undefined;
    return `${where} imports ${each.specifier} for everybody who imports this file: load it where it is used, by await import("${each.specifier}"), and describe its shape instead of importing its types`;
  }
  return `${where} imports the package ${each.specifier}: ${from} has no third-party dependency; write the little that is needed, or hand it in as a port`;
}

function judgeDirection(where: string, from: string, to: string): string | undefined {
  if (from === "testing") return undefined;
  if (to === "testing") return `${where} imports testing: that is for tests only; move what both need left`;
  if (to === "index.ts" && rungOf(from) > rungOf(to)) return undefined;
  if (to.startsWith("store/")) return judgeProvider(where, from, to);
  const fromRung = rungOf(from);
  const toRung = rungOf(to);
  if (fromRung === -1) return `${where} is in ${from}, which has no place on the ladder: give it one in test/architecture/ladder.ts`;
  if (toRung === -1) return `${where} imports ${to}, which has no place on the ladder: give it one in test/architecture/ladder.ts`;
  if (from.startsWith("store/") && toRung >= rungOf("store") && to !== "store") return `${where} imports ${to}: ${from} is left of ${to}; move what both need left, or hand it in as a port`;
  if (toRung < fromRung || (from.startsWith("store/") && to === "store")) return undefined;
  const relation = toRung === fromRung ? "stands beside" : "is left of";
  return `${where} imports ${to}: ${from} ${relation} ${to}; move what both need left, or hand it in as a port`;
}

function judgeProvider(where: string, from: string, to: string): string | undefined {
  if (to === SHARED_BY_PROVIDERS && from.startsWith("store/")) return undefined;
  if (from === "index.ts" || CHOOSES_PROVIDER.includes(from)) return undefined;
  if (from === "store") return `${where} imports ${to}: the store room does not know its providers; move what both need into the store room`;
  if (from.startsWith("store/")) return `${where} imports ${to}: providers do not import each other; move what both need into the store room`;
  return `${where} imports ${to}: ${from} does not ask which provider it is; take the StoreProvider that it is handed`;
}

function judgeDoor(where: string, from: string, to: string, target: string): string | undefined {
  if (target === `src/${to}/index.ts` || to === "index.ts") return undefined;
  if (from.startsWith("store/") && (to === "store" || to === SHARED_BY_PROVIDERS)) return undefined; // parts of one room
  if (from === "store" && to.startsWith("store/")) return undefined;
  return `${where} imports ${target}, past the door of ${to}: import src/${to}/index.ts, and export it there if others shall have it`;
}

/** Its place from the left; -1 if it has none. */
function rungOf(room: string): number {
  return LADDER.findIndex((rung) => rung.includes(room.startsWith("store/") ? "store" : room));
}
