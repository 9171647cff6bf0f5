/** A node of ours in a process of its own: contends, says when a term is announced to it, and does what it is told. */
import { createCluster } from "../../src/index.ts";
import { storeFromUrl } from "../../src/cluster/store-url.ts";
import { hostMonotonicMs } from "../../src/testing/history/index.ts";
import { observed } from "../observed-store.ts";
import { CONFIG_VARIABLE } from "./protocol.ts";
import type { ContenderConfig, Order, Report, TraceLine } from "./protocol.ts";

/** How often the end of the trust is noted. Between two notes a beat may have moved it by up to a beat. */
const TRUST_NOTE_MS = 2;

const ELECTION = "work";
const TRACE_LINES_KEPT = 2_000;

const config = JSON.parse(process.env[CONFIG_VARIABLE] ?? "") as ContenderConfig;
const tell = (report: Report) => void process.send?.(report);
const trace: TraceLine[] = [];
const note = (line: TraceLine) => {
  trace.push(line);
  if (trace.length > TRACE_LINES_KEPT) trace.shift();
};

const provider = storeFromUrl(config.url);
const log = (_fields: Readonly<Record<string, unknown>>, message: string) => note({ t: hostMonotonicMs(), what: `log: ${message}` });
const cluster = createCluster({
  group: config.group,
  node: config.node,
  store: config.trace ? observed(provider, ({ operation, t, tookMs }) => note({ t, what: operation, tookMs })) : provider,
  ...(config.trace ? { logger: { debug: log, info: log, warn: log, error: log } } : {}),
  ...config.options,
});
const election = cluster.election(ELECTION);
let trustEndMs: number | null = null;
let noting: NodeJS.Timeout | undefined;

election.on("term", ({ token }) => {
  const t = hostMonotonicMs();
  note({ t, what: "term announced" });
  tell({ report: "announced", t, token });
});
election.on("ended", () => {
  const t = hostMonotonicMs();
  clearInterval(noting);
  tell({ report: "ended", t, trustEndMs });
  trustEndMs = null;
});
cluster.on("view", ({ view }) => tell({ report: "view", members: view.members.map(({ node }) => node), coordinator: view.coordinator?.node ?? null }));

let goOn: (() => void) | undefined;

/** A fenced transaction that waits between its statements. They need not write: its commit is refused or not all the same. */
async function writeSlowly(): Promise<void> {
  const told = new Promise<void>((resolve) => (goOn = resolve));
  const statement = async (tx: unknown) => void (await (tx as { query(text: string): Promise<unknown> }).query("select 1"));
  const writing = election.term?.transaction(async (tx) => {
    await statement(tx);
    tell({ report: "inside" });
    await told;
    await statement(tx);
  });
  await writing?.then(
    () => tell({ report: "outcome", outcome: "committed" }),
    (error: unknown) => tell({ report: "outcome", outcome: (error as { readonly code?: string }).code ?? String(error) }),
  );
}

function failed(error: unknown): void {
  tell({ report: "failed", message: String(error) });
}

process.on("message", (order: Order) => {
  switch (order.order) {
    case "resign":
      tell({ report: "handing-over", t: hostMonotonicMs() });
      election.resign().catch(failed);
      return;
    case "transfer":
      tell({ report: "handing-over", t: hostMonotonicMs() });
      election.transferTo(order.to).catch(failed);
      return;
    case "watch-trust": {
      const noteTrust = () => {
        const leftMs = election.term?.trustLeftMs() ?? 0;
        if (leftMs > 0) trustEndMs = hostMonotonicMs() + leftMs;
      };
      noteTrust();
      noting = setInterval(noteTrust, TRUST_NOTE_MS);
      tell({ report: "watching" });
      return;
    }
    case "open-transaction":
      void writeSlowly();
      return;
    case "commit":
      goOn?.();
      return;
    case "tell-trace":
      tell({ report: "trace", lines: trace });
      return;
    default:
      order satisfies never;
  }
});
process.once("disconnect", () => process.exit(0));

await cluster.start();
// Work that stops when it is asked to, as all work should.
void election.lead((term) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve(), { once: true })));
// Beside the first beats, so that evidence is armed where it is going to be.
tell({ report: "ready", detail: `${cluster.health().crashDetection.inForce}: ${cluster.health().crashDetection.why}` });
