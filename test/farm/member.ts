/** A member in a process of its own, told by its parent what to do: `node member.ts NAME STORE DIR [before-decision | after-decision]`. With the last one it kills itself there, as the coordinator. */
import { createCluster } from "../../src/cluster/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { sqlite } from "../../src/store/sqlite/index.ts";
import type { StoreSession, WriteDocumentInput } from "../../src/store/index.ts";

const [node = "", path = "", dir = "", dieAt = ""] = process.argv.slice(2);

const provider = sqlite({ path });
const store = { kind: provider.kind, label: provider.label, capabilities: provider.capabilities, fenced: provider.fenced, schema: provider.schema, open: async (context: Parameters<typeof provider.open>[0]) => mortal(await provider.open(context)), close: () => provider.close() };

/** A session that ends the process at the decision: nothing of it is stored, or all of it. */
function mortal(session: StoreSession): StoreSession {
  return new Proxy(session, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const method = (value as (...args: unknown[]) => unknown).bind(target);
      if (name !== "writeDocument" || dieAt === "") return method;
      return async (input: WriteDocumentInput, ...rest: unknown[]) => {
        const isDecision = input.name.startsWith("farm.app.") && (JSON.parse(input.text) as { readonly current: unknown }).current !== null;
        if (isDecision && dieAt === "before-decision") process.kill(process.pid, "SIGKILL");
        const written = await method(input, ...rest);
        if (isDecision) process.kill(process.pid, "SIGKILL");
        return written;
      };
    },
  });
}

let running: string | null = null;
const cluster = createCluster({
  group: "farm",
  node,
  store,
  channel: { host: "127.0.0.1" },
  farm: { dir, catchUpMs: 120_000, handlers: { "*": { activate: ({ version }) => void (running = version), deactivate: () => void (running = null) } } },
});
await cluster.start();
process.send?.({ started: state() });

process.on("message", (order: { readonly deploy?: { readonly version: string; readonly file: string }; readonly stop?: true }) => {
  if (order.stop === true) return void cluster.stop().then(() => process.disconnect());
  if (order.deploy === undefined) return void process.send?.({ state: state() });
  cluster.farm.deploy({ name: "app", version: order.deploy.version, artifact: { file: order.deploy.file } }).then(
    ({ members }) => process.send?.({ deployed: members.map((member) => `${member.node} ${member.state} ${member.version}`) }),
    (error: unknown) => process.send?.({ failed: isTribuneError(error) ? `${error.code}: ${error.message}` : String(error) }),
  );
});

function state() {
  return { running, coordinator: cluster.view.coordinator?.node ?? null, members: cluster.view.members.map((member) => member.node), ...cluster.farm.counts };
}
