import { appendFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ms, plain, table } from "../markdown.ts";
import type { BenchOptions } from "../options.ts";
import type { Progress } from "../progress.ts";
import { spread } from "../statistics.ts";
import type { Spread } from "../statistics.ts";
import { STORES } from "../stores.ts";
import type { BenchStore, StorePlace } from "../stores.ts";
import { startEtcd } from "./etcd-server.ts";
import { EQUAL_LEASE_MS, installedVersion, PEERS } from "./peers.ts";
import type { Peer, PeerVariant } from "./peers.ts";
import { run } from "./rounds.ts";
import type { Departure, Round } from "./rounds.ts";
import { judge } from "./verdict.ts";
import type { BenchTiming, Detection, Verdict } from "./verdict.ts";

/** What one way of going away came to, for one contender. */
export interface FailoverRow {
  readonly who: string;
  readonly store: string;
  readonly settings: string;
  readonly token: string;
  readonly kind: "leader" | "work";
  readonly departure: Departure;
  readonly role: "coordinator" | "other" | null;
  readonly tookMs: Spread;
  readonly verdict: Verdict | null;
  /** Of frozen leaders of ours: how long after the end of its trust the earliest successor was announced. */
  readonly leastAfterTrustMs: number | null;
  /** Of frozen leaders: the longest that one took to know after it went on; infinite if one never did. */
  readonly slowestToNoticeMs: number | null;
  readonly unsucceeded: number;
  readonly rounds: readonly Round[];
}

export interface FailoverResult {
  readonly benchmark: "failover";
  readonly timing: BenchTiming;
  readonly servers: readonly string[];
  readonly rows: readonly FailoverRow[];
  readonly leftOut: readonly { readonly who: string; readonly why: string }[];
}

const NODE = fileURLToPath(new URL("node.ts", import.meta.url));
const PEER = fileURLToPath(new URL("../peers/worker.mjs", import.meta.url));

/** Of ours, and of the others. */
const ROUNDS = { ours: 50, peers: 10, quick: 1 };

/** Side by side, where a round takes seconds of waiting and a millisecond does not matter. */
const LANES = { slow: 4, fast: 1 };

const DEFAULT_TIMING: BenchTiming = { leaseMs: 4_000, beatMs: 1_000 };
const QUICK_TIMING: BenchTiming = { leaseMs: 1_000, beatMs: 250 };

interface OurCourse {
  readonly departure: Departure;
  readonly detection: Detection;
  readonly role: "coordinator" | "other";
}

const ORDER: readonly (readonly [Departure, Detection])[] = [
  ["kill", "evidence"],
  ["kill", "channel"],
  ["resign", "evidence"],
  ["transfer", "evidence"],
  ["kill", "lease"],
  ["freeze", "evidence"],
  ["freeze-writing", "evidence"],
];

/** A connection of the channel is one that stood after this, which is the longest pause between two of its dials, and a little. */
const STANDS_MS = 5_500;

const SETTINGS: Readonly<Record<Detection, string>> = { evidence: "evidence of death", channel: "evidence and channel", lease: "lease only" };

const OUR_COURSES: readonly OurCourse[] = ORDER.flatMap(([departure, detection]) => (["coordinator", "other"] as const).map((role) => ({ departure, detection, role })));
const QUICK_COURSES: readonly OurCourse[] = [
  { departure: "resign", detection: "evidence", role: "other" },
  { departure: "kill", detection: "evidence", role: "other" },
];

/** Measures how long a group is without a leader, by how the leader goes away. */
export async function failover(options: BenchOptions, progress: Progress): Promise<FailoverResult> {
  const bench = new Failover(options, progress);
  await bench.run();
  return bench.result();
}

class Failover {
  readonly #options: BenchOptions;
  readonly #progress: Progress;
  readonly #timing: BenchTiming;
  readonly #servers: string[] = [];
  readonly #rows: FailoverRow[] = [];
  readonly #leftOut: Array<{ readonly who: string; readonly why: string }> = [];

  constructor(options: BenchOptions, progress: Progress) {
    this.#options = options;
    this.#progress = progress;
    this.#timing = options.quick ? QUICK_TIMING : DEFAULT_TIMING;
    if (options.trace !== undefined) writeFileSync(options.trace, "");
  }

  result(): FailoverResult {
    return { benchmark: "failover", timing: this.#timing, servers: this.#servers, rows: this.#rows, leftOut: this.#leftOut };
  }

  async run(): Promise<void> {
    for (const store of STORES.filter(({ name }) => this.#options.stores.includes(name))) {
      const place = await store.open();
      if ("missing" in place) this.#leaveOut(`Tribune on ${store.title}`, place.missing);
      else await this.#onPlace(place, () => this.#ours(store, place));
    }
    await this.#peers(PEERS.filter(({ name, store }) => store === "postgres" && this.#options.peers.includes(name)), async () => await (STORES.find(({ name }) => name === "postgres") as BenchStore).open());
    await this.#peers(PEERS.filter(({ name, store }) => store === "etcd" && this.#options.peers.includes(name)), async () => {
      const server = await startEtcd();
      return "missing" in server ? server : { ...server, fresh: () => Promise.resolve(server.url) };
    });
  }

  async #onPlace(place: Pick<StorePlace, "label" | "close">, work: () => Promise<void>): Promise<void> {
    if (!this.#servers.includes(place.label)) this.#servers.push(place.label);
    try {
      await work();
    } finally {
      await place.close();
    }
  }

  #leaveOut(who: string, why: string): void {
    this.#progress.say(`left out: ${who}: ${why}`);
    this.#leftOut.push({ who, why });
  }

  // ---- ours

  async #ours(store: BenchStore, place: StorePlace): Promise<void> {
    const { quick, departures } = this.#options;
    const courses = (quick ? QUICK_COURSES : OUR_COURSES)
      .filter(({ departure }) => departures.includes(departure) && (departure !== "freeze-writing" || store.boundsFrozenTransactions))
      // Without evidence, what is not about it is measured by lease.
      .filter(({ departure, detection }) => store.evidence || detection === "lease" || departure === "resign" || departure === "transfer")
      .map((course) => (store.evidence ? course : { ...course, detection: "lease" as const }));
    for (const course of courses) {
      const { departure, detection, role } = course;
      try {
        const taken = await this.#ourCourse(store, place, course);
        const verdict = quick ? null : judge(departure, detection, taken, store.targets, this.#timing);
        this.#note({ who: "Tribune", store: store.title, settings: SETTINGS[detection], token: "yes", kind: "leader", departure, role, verdict }, taken);
      } catch (error) {
        this.#leaveOut(`Tribune on ${store.title}, ${detection}, ${role}, ${departure}`, (error as Error).message);
        process.exitCode = 1; // what is ours has to run
      }
    }
  }

  async #ourCourse(store: BenchStore, place: StorePlace, { departure, detection, role }: OurCourse): Promise<readonly Round[]> {
    const { quick, trace } = this.#options;
    const { beatMs } = this.#timing;
    const rounds = this.#options.runs ?? (quick ? ROUNDS.quick : ROUNDS.ours);
    const isSlow = departure === "freeze" || departure === "freeze-writing" || detection === "lease";
    return await run({
      line: { file: NODE, contender: "tribune", fresh: () => place.fresh(), options: { ...this.#timing, crashDetection: detection === "lease" ? "lease" : "evidence", channel: detection === "channel" }, tellsViews: true, leads: "one", trace: trace !== undefined },
      departure,
      role,
      rounds,
      lanes: isSlow ? LANES.slow : LANES.fast,
      // Whoever resigned contends again after one and a half. The channel dials at once only where a connection broke that had stood: in a group that has just formed a pause comes first, and with it the grace.
      settleMs: detection === "channel" ? STANDS_MS : 1.6 * beatMs,
      spreadMs: beatMs,
      patienceMs: 60_000,
      onRound: this.#progress.rounds(`${departure}, ${detection}, ${role === "coordinator" ? "coordinator" : "not the coordinator"}, ${store.title}`, rounds),
      onTrace: (traced) => trace !== undefined && appendFileSync(trace, `${JSON.stringify({ store: store.name, detection, ...traced })}\n`),
    });
  }

  // ---- the others

  async #peers(peers: readonly Peer[], open: () => Promise<Pick<StorePlace, "label" | "fresh" | "close"> | { readonly missing: string }>): Promise<void> {
    const installed = peers.filter((peer) => {
      if (installedVersion(peer) !== undefined) return true;
      this.#leaveOut(peer.title, peer.note ?? `its package ${peer.package} is not installed in bench/`);
      return false;
    });
    if (installed.length === 0) return;
    const place = await open();
    if ("missing" in place) return installed.forEach((peer) => this.#leaveOut(peer.title, place.missing));
    await this.#onPlace(place, async () => {
      for (const peer of installed) for (const variant of peer.variants) await this.#peer(peer, variant, () => place.fresh());
    });
  }

  async #peer(peer: Peer, variant: PeerVariant, fresh: () => Promise<string>): Promise<void> {
    for (const [departure, patienceMs] of Object.entries(variant.patienceMs) as Array<[Departure, number]>) {
      if (!this.#options.departures.includes(departure)) continue;
      const rounds = this.#options.peerRuns ?? (this.#options.quick ? ROUNDS.quick : ROUNDS.peers);
      const isQuick = departure === "resign" && variant.spreadMs <= 2_000;
      try {
        const taken = await run({
          line: { file: PEER, contender: peer.name, fresh, options: variant.options, tellsViews: false, leads: peer.kind === "work" ? "latest" : "one", trace: false },
          departure,
          role: undefined,
          rounds,
          lanes: isQuick ? LANES.fast : LANES.slow,
          settleMs: variant.settleMs,
          spreadMs: variant.spreadMs,
          patienceMs,
          onRound: this.#progress.rounds(`${departure}, ${peer.title}, ${variant.title}`, rounds),
        });
        const who = `${peer.title} ${installedVersion(peer) ?? ""}`;
        this.#note({ who: peer.name === "advisory-lock" ? `${peer.title} (pg ${installedVersion(peer) ?? ""})` : who, store: peer.store === "etcd" ? "etcd" : "PostgreSQL", settings: variant.title, token: peer.token, kind: peer.kind, departure, role: null, verdict: null }, taken);
      } catch (error) {
        this.#leaveOut(`${peer.title}, ${variant.title}, ${departure}`, (error as Error).message.split("\n")[0] ?? "");
      }
    }
  }

  #note(row: Omit<FailoverRow, "tookMs" | "leastAfterTrustMs" | "slowestToNoticeMs" | "unsucceeded" | "rounds">, rounds: readonly Round[]): void {
    const afterTrust = rounds.flatMap(({ afterTrustMs }) => afterTrustMs ?? []);
    const noticed = rounds.flatMap(({ noticedMs }) => (noticedMs === undefined ? [] : [noticedMs ?? Number.POSITIVE_INFINITY]));
    this.#rows.push({
      ...row,
      tookMs: spread(rounds.map(({ tookMs }) => tookMs)),
      leastAfterTrustMs: afterTrust.length === 0 ? null : Math.min(...afterTrust),
      slowestToNoticeMs: noticed.length === 0 ? null : Math.max(...noticed),
      unsucceeded: rounds.filter(({ tookMs }) => tookMs === Number.POSITIVE_INFINITY).length,
      rounds,
    });
  }
}

// ---- for people

const WORDS: Readonly<Record<Departure, string>> = { kill: "SIGKILL", freeze: "SIGSTOP", "freeze-writing": "SIGSTOP in term.transaction", resign: "resigns", transfer: "transfers" };

/** The tables of a result. */
export function failoverText({ rows, leftOut, timing, servers }: FailoverResult): string {
  const ours = rows.filter(({ who }) => who === "Tribune");
  const others = rows.filter(({ who, kind }) => who !== "Tribune" && kind === "leader");
  const work = rows.filter(({ kind }) => kind === "work");
  const parts = [`From the departure of a leader to the announcement of its successor's term. Lease ${timing.leaseMs} ms, beat ${timing.beatMs} ms. ${servers.join("; ")}.`];
  if (ours.length > 0) parts.push(table(["store", "leader", "which was", "detection", "p50", "p99", "max", "rounds", "target", "met"], ours.map(ourRow)));
  const frozen = ours.filter(({ leastAfterTrustMs }) => leastAfterTrustMs !== null);
  for (const { store, departure, role, leastAfterTrustMs, slowestToNoticeMs } of frozen) {
    parts.push(`${store}, ${WORDS[departure]}, ${roleText(role)}: the earliest successor was announced ${ms(leastAfterTrustMs ?? Number.NaN)} after the trust of the frozen leader had ended; once it went on, the slowest knew within ${ms(slowestToNoticeMs ?? Number.NaN)}.`);
  }
  if (others.length > 0) {
    parts.push(`Others, in the same run. *× ours*: how many times the median of Tribune on PostgreSQL with evidence of death and a leader that is not the coordinator; *equal lease*: ${EQUAL_LEASE_MS} ms.`);
    parts.push(table(["who", "settings", "leader", "p50", "p99", "max", "rounds", "× ours", "token", "frozen leader knows after"], others.map((row) => otherRow(row, rows))));
  }
  if (work.length > 0) {
    parts.push("Not a leader, but what people use for the same purpose: work that is scheduled once a minute. From SIGKILL of the process that ran it last to its next run.");
    parts.push(table(["who", "settings", "p50", "p99", "max", "rounds", "token"], work.map(({ who, settings, tookMs, token }) => [who, settings, ...times(tookMs), token])));
  }
  if (leftOut.length > 0) parts.push(`Left out:\n\n${leftOut.map(({ who, why }) => `- ${who}: ${why}`).join("\n")}`);
  return parts.join("\n\n");
}

function roleText(role: FailoverRow["role"]): string {
  return role === "coordinator" ? "coordinator" : "not the coordinator";
}

function ourRow({ store, departure, role, settings, tookMs, verdict }: FailoverRow): readonly string[] {
  return [store, WORDS[departure], roleText(role), settings, ...times(tookMs), verdict?.target ?? "", verdict === null ? "" : verdict.met ? "yes" : "**no**"];
}

function times({ p50, p99, max, count }: Spread): readonly string[] {
  return [ms(p50), ms(p99), ms(max), String(count)];
}

function otherRow(row: FailoverRow, rows: readonly FailoverRow[]): readonly string[] {
  const { who, settings, departure, tookMs, token, unsucceeded, slowestToNoticeMs } = row;
  const ours = rows.find((each) => each.who === "Tribune" && each.store === "PostgreSQL" && each.settings === "evidence of death" && each.role === "other" && each.departure === departure);
  const never = unsucceeded === tookMs.count;
  const cells = never ? ["nobody", "nobody", "nobody", String(tookMs.count)] : times(tookMs);
  const ratio = ours === undefined || never ? "–" : plain(tookMs.p50 / ours.tookMs.p50);
  const knows = slowestToNoticeMs === null ? "" : never && !Number.isFinite(slowestToNoticeMs) ? "it still leads" : ms(slowestToNoticeMs);
  return [who, settings, WORDS[departure], ...cells, ratio, token, knows];
}
