import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { hostMonotonicMs } from "../../src/testing/history/index.ts";
import { startTcpFaultProxy } from "../../src/testing/tcp-fault-proxy.ts";
import { Contender } from "../failover/contender.ts";
import { startEtcd } from "../failover/etcd-server.ts";
import { EQUAL_LEASE_MS, installedVersion, PEERS } from "../failover/peers.ts";
import type { Peer } from "../failover/peers.ts";
import { ms, table } from "../markdown.ts";
import type { BenchOptions } from "../options.ts";
import type { Progress } from "../progress.ts";
import { STORES } from "../stores.ts";

/** What became of a leader whose way to its store was cut. Times since the cut; `null`: not while it lasted. */
export interface CutRow {
  readonly who: string;
  readonly settings: string;
  /** Until the other contender was told that it leads. */
  readonly succeededMs: readonly (number | null)[];
  /** Until the leader knew that it leads no more. */
  readonly stoppedMs: readonly (number | null)[];
  /** How long both believed that they lead. */
  readonly bothMs: readonly number[];
  readonly cutMs: number;
}

export interface CutResult {
  readonly benchmark: "cut";
  readonly servers: readonly string[];
  readonly rows: readonly CutRow[];
  readonly leftOut: readonly { readonly who: string; readonly why: string }[];
}

/** Who leads, and how its store is reached. */
interface Subject {
  readonly who: string;
  readonly settings: string;
  readonly file: string;
  readonly contender: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly fresh: () => Promise<string>;
}

const NODE = fileURLToPath(new URL("../failover/node.ts", import.meta.url));
const PEER = fileURLToPath(new URL("../peers/worker.mjs", import.meta.url));
const TIMING = { leaseMs: EQUAL_LEASE_MS, beatMs: 1_000 };
/** Bytes are swallowed for ten leases; no connection is closed or reset meanwhile. */
const CUT_MS = 10 * EQUAL_LEASE_MS;
const QUICK_CUT_MS = 2 * EQUAL_LEASE_MS;
const ROUNDS = { usual: 5, quick: 1 };
const START_PATIENCE_MS = 60_000;
const SETTLE_MS = 2_000;

/** Cuts a leader off from its store, as a firewall does that forgot its connections, and asks everybody what they believe. */
export async function cut(options: BenchOptions, progress: Progress): Promise<CutResult> {
  const rows: CutRow[] = [];
  const servers: string[] = [];
  const leftOut: Array<{ readonly who: string; readonly why: string }> = [];
  const rounds = options.quick ? ROUNDS.quick : (options.runs ?? ROUNDS.usual);
  const cutMs = options.quick ? QUICK_CUT_MS : CUT_MS;
  const measure = async (subject: Subject) => {
    const seen: Believed[] = [];
    try {
      for (let n = 0; n < rounds; n++) {
        progress.say(`${subject.who}, ${subject.settings}: ${n + 1} of ${rounds}`);
        seen.push(await oneCut(subject, cutMs, `cut${n}`));
      }
    } catch (error) {
      leftOut.push({ who: `${subject.who}, ${subject.settings}`, why: (error as Error).message });
      if (subject.file === NODE) process.exitCode = 1; // what is ours has to run
      return;
    }
    rows.push({ who: subject.who, settings: subject.settings, succeededMs: seen.map((each) => each.succeededMs), stoppedMs: seen.map((each) => each.stoppedMs), bothMs: seen.map((each) => each.bothMs), cutMs });
  };
  for (const store of STORES.filter(({ name }) => options.stores.includes(name))) {
    if (store.name === "sqlite") {
      leftOut.push({ who: store.title, why: "its store is a file on the same host: there is no way to cut" });
      continue;
    }
    const place = await store.open();
    if ("missing" in place) {
      leftOut.push({ who: store.title, why: place.missing });
      continue;
    }
    servers.push(place.label);
    try {
      await measure({ who: `Tribune on ${store.title}`, settings: "defaults: lease 4 s", file: NODE, contender: "tribune", options: TIMING, fresh: () => place.fresh() });
      if (store.name === "postgres") for (const peer of peersOn("postgres", options, leftOut)) for (const subject of subjectsOf(peer, () => place.fresh())) await measure(subject);
    } finally {
      await place.close();
    }
  }
  const onEtcd = peersOn("etcd", options, leftOut);
  if (onEtcd.length > 0) {
    const etcd = await startEtcd();
    if ("missing" in etcd) leftOut.push({ who: "etcd3, Election", why: etcd.missing });
    else {
      servers.push(etcd.label);
      try {
        for (const peer of onEtcd) for (const subject of subjectsOf(peer, () => Promise.resolve(etcd.url))) await measure(subject);
      } finally {
        await etcd.close();
      }
    }
  }
  return { benchmark: "cut", servers, rows, leftOut };
}

/** Those that have a leader for as long as they keep their connection or their lease. */
function peersOn(store: Peer["store"], options: BenchOptions, leftOut: Array<{ readonly who: string; readonly why: string }>): readonly Peer[] {
  return PEERS.filter((peer) => {
    if (peer.store !== store || peer.kind !== "leader" || !options.peers.includes(peer.name)) return false;
    if (installedVersion(peer) !== undefined) return true;
    leftOut.push({ who: peer.title, why: `${peer.package} is not installed${peer.note === undefined ? "" : `: ${peer.note}`}` });
    return false;
  });
}

/** The variants that are like ours, if there are any: with an equal lease, or with the shortest periods. */
function subjectsOf(peer: Peer, fresh: () => Promise<string>): readonly Subject[] {
  const alike = peer.variants.filter(({ title }) => /equal lease|every second|waits in the server/.test(title));
  return alike.map(({ title, options }) => ({ who: peer.title, settings: title, file: PEER, contender: peer.name, options, fresh }));
}

interface Believed {
  readonly succeededMs: number | null;
  readonly stoppedMs: number | null;
  readonly bothMs: number;
}

async function oneCut({ file, contender, options, fresh }: Subject, cutMs: number, group: string): Promise<Believed> {
  const direct = new URL(await fresh());
  const proxy = await startTcpFaultProxy({ targetHost: direct.hostname, targetPort: Number(direct.port) });
  const detour = new URL(direct);
  detour.hostname = "127.0.0.1";
  detour.port = String(proxy.port);
  let wake = () => {};
  const start = (node: string, url: URL) => new Contender(file, { contender, node, group: `${group}-${proxy.port}`, url: url.href.replace(/\/$/, ""), options, trace: false }, () => wake());
  const until = async (what: string, condition: () => boolean, patienceMs: number): Promise<boolean> => {
    const giveUp = AbortSignal.timeout(patienceMs);
    while (!condition() && !giveUp.aborted) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        giveUp.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    if (!condition() && what !== "") throw new Error(`waited in vain until ${what}`);
    return condition();
  };
  const contenders: Contender[] = [];
  try {
    const leader = start("cut-off", detour);
    contenders.push(leader);
    await until("the first contender leads", () => leader.holds !== undefined, START_PATIENCE_MS);
    const other = start("connected", direct);
    contenders.push(other);
    await until("the second contender is ready", () => other.ready !== undefined, START_PATIENCE_MS);
    await pause(SETTLE_MS + Math.random() * TIMING.beatMs);
    await proxy.mode({ kind: "blackhole" });
    const cutAtMs = hostMonotonicMs();
    await until("", () => false, cutMs);
    const overMs = hostMonotonicMs();
    const succeededAtMs = other.holds?.t;
    const stoppedAtMs = leader.holds === undefined ? leader.lastEnded?.t : undefined;
    return {
      succeededMs: succeededAtMs === undefined ? null : succeededAtMs - cutAtMs,
      stoppedMs: stoppedAtMs === undefined ? null : stoppedAtMs - cutAtMs,
      bothMs: succeededAtMs === undefined ? 0 : Math.max(0, (stoppedAtMs ?? overMs) - succeededAtMs),
    };
  } finally {
    await Promise.all(contenders.map(async (each) => await each.end()));
    await proxy.close();
  }
}

/** The result as Markdown. */
export function cutText({ servers, rows, leftOut }: CutResult): string {
  const worst = (values: readonly (number | null)[]) => (values.includes(null) ? "not while it lasted" : `${ms(Math.min(...(values as readonly number[])))} to ${ms(Math.max(...(values as readonly number[])))}`);
  const [first] = rows;
  if (first === undefined) return leftOut.map(({ who, why }) => `Left out: ${who}: ${why}.`).join("\n\n");
  return [
    `A leader whose bytes to and from its store are swallowed for ${first.cutMs / 1_000} s, with no connection closed or reset; a second contender is not cut off. ${servers.join("; ")}.`,
    table(
      ["who", "settings", "succeeded after", "knew that it leads no more after", "both believed, at the longest", "rounds"],
      rows.map((row) => [row.who, row.settings, worst(row.succeededMs), worst(row.stoppedMs), Math.max(...row.bothMs) === 0 ? "at no time" : ms(Math.max(...row.bothMs)), String(row.bothMs.length)]),
    ),
    ...leftOut.map(({ who, why }) => `Left out: ${who}: ${why}.`),
  ].join("\n\n");
}
