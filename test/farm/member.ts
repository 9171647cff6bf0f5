/**
 * A member in a process of its own, told by its parent what to do: `node member.ts NAME STORE DIR`. With every order it says one thing.
 *
 * - `{}`: what it has now.
 * - `{ deploy }`: what that comes to.
 * - `{ decided: VERSION }`: how the change to that version ended, once it has read it.
 * - `{ status: true }`: what `status` says.
 * - `{ dieAtDecision: "before" | "after" }`: as the coordinator it kills itself before it writes its next decision, or when that is written.
 * - `{ isDeaf }`: whether it hears of no document of the farm by a hint, so that it reads at its next poll what others have decided.
 * - `{ stop: true }`: nothing; it leaves and ends.
 */
import { createCluster, storeFromUrl } from "../../src/cluster/index.ts";
import type { FarmStatus } from "../../src/farm/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import type { Hint, StoreProvider, StoreSession, WriteDocumentInput } from "../../src/store/index.ts";

/** What a parent may order. */
export interface MemberOrder {
  readonly deploy?: { readonly version: string; readonly file: string };
  readonly decided?: string;
  readonly status?: true;
  readonly dieAtDecision?: "before" | "after";
  readonly isDeaf?: boolean;
  readonly stop?: true;
}

/** What a member has. */
export interface MemberState {
  readonly running: string | null;
  readonly coordinator: string | null;
  readonly members: readonly string[];
  readonly bytesFetched: number;
  readonly bytesGiven: number;
}

/** What a member says, one of them at a time. */
export interface MemberWords {
  readonly started: MemberState;
  readonly state: MemberState;
  /** Rows of the report, as "node state version". */
  readonly deployed: readonly string[];
  /** Code and words of the error. */
  readonly failed: string;
  /** Each end of a change to that version that the member was told of, as "version result". */
  readonly decided: readonly string[];
  readonly status: readonly FarmStatus[];
}

const [node = "", url = "", dir = ""] = process.argv.slice(2);
/** How the versions begin that no member called so can run. */
const refused = `not-for-${node}-`;

let dieAtDecision: "before" | "after" | undefined;
let isDeaf = false;
const die = () => process.kill(process.pid, "SIGKILL");

const provider = storeFromUrl(url);
const store: StoreProvider = { kind: provider.kind, label: provider.label, capabilities: provider.capabilities, fenced: provider.fenced, schema: provider.schema, open: async (context) => mortal(await provider.open(context)), close: () => provider.close() };

/** A session that ends the process at a decision: nothing of it is stored, or all of it. */
function mortal(session: StoreSession): StoreSession {
  return new Proxy(session, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const method = (value as (...args: unknown[]) => unknown).bind(target);
      if (name === "onHint") return (listener: (hint: Hint) => void) => method((hint: Hint) => (isDeaf && hint.kind === "document" && hint.name.startsWith("farm.") ? undefined : listener(hint)));
      if (name !== "writeDocument") return method;
      return async (input: WriteDocumentInput, ...rest: unknown[]) => {
        const mortally = isDecision(input) ? dieAtDecision : undefined;
        if (mortally === "before") die();
        const written = await method(input, ...rest);
        if (mortally === "after" && written === true) die();
        return written;
      };
    },
  });
}

/** A change has come to its end. */
function isDecision({ name, text }: WriteDocumentInput): boolean {
  return name.startsWith("farm.app.") && (JSON.parse(text) as { readonly change: unknown }).change === null;
}

let running: string | null = null;
const cluster = createCluster({
  group: "farm",
  node,
  store,
  channel: { host: "127.0.0.1" },
  farm: { dir, catchUpMs: 120_000, handlers: { "*": { prepare: ({ version }) => refuse(version), activate: ({ version }) => void (running = version), deactivate: () => void (running = null) } } },
});
const ends: { readonly version: string; readonly result: string }[] = [];
const waiting = new Set<() => void>();
cluster.farm.on("decided", ({ version, result }) => {
  ends.push({ version, result });
  for (const look of waiting) look();
});
await cluster.start();
say({ started: state() });
process.on("message", (order: MemberOrder) => void obey(order));

async function obey({ deploy, decided, status, stop, ...later }: MemberOrder): Promise<void> {
  if (stop === true) return void cluster.stop().then(() => process.disconnect());
  if (deploy !== undefined) return say(await deployed(deploy));
  if (decided !== undefined) return say({ decided: await ended(decided) });
  if (status === true) return say({ status: await cluster.farm.status() });
  dieAtDecision = later.dieAtDecision ?? dieAtDecision;
  isDeaf = later.isDeaf ?? isDeaf;
  say({ state: state() });
}

async function deployed({ version, file }: { readonly version: string; readonly file: string }): Promise<Partial<MemberWords>> {
  return await cluster.farm.deploy({ name: "app", version, artifact: { file } }).then(
    ({ members }) => ({ deployed: members.map((member) => `${member.node} ${member.state} ${member.version}`) }),
    (error: unknown) => ({ failed: isTribuneError(error) ? `${error.code}: ${error.message}` : String(error) }),
  );
}

async function ended(version: string): Promise<readonly string[]> {
  const found = () => ends.filter((end) => end.version === version).map(({ result }) => `${version} ${result}`);
  while (found().length === 0) {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.add(resolve);
    await promise;
    waiting.delete(resolve);
  }
  return found();
}

function refuse(version: string): void {
  if (version.startsWith(refused)) throw new Error("it cannot run here");
}

function state(): MemberState {
  return { running, coordinator: cluster.view.coordinator?.node ?? null, members: cluster.view.members.map((member) => member.node), ...cluster.farm.counts };
}

function say(word: Partial<MemberWords>): void {
  process.send?.(word);
}
