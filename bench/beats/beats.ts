import { setTimeout as pause } from "node:timers/promises";
import { ms, plain, table } from "../markdown.ts";
import type { BenchOptions } from "../options.ts";
import { cpuTimeMs } from "../processes.ts";
import type { Progress } from "../progress.ts";
import { spread } from "../statistics.ts";
import type { Spread } from "../statistics.ts";
import { STORES } from "../stores.ts";
import type { BenchStore, StorePlace } from "../stores.ts";
import { Crowd } from "./crowd.ts";
import type { Window } from "./crowd.ts";

/** What so many members and elections cost, in a window of time. */
export interface BeatsRow {
  readonly store: string;
  readonly members: number;
  readonly elections: number;
  readonly processes: number;
  /** From the first process to the last member in a view and the last term; `null` if it did not come to that. */
  readonly gatheredMs: number | null;
  /** Who was a member at the end of the window. */
  readonly trusted: number;
  readonly windowMs: number;
  /** Per member and second. */
  readonly beatsPerSecond: number;
  readonly roundTripsPerSecond: number;
  /** What the server counted, per member and second. */
  readonly requestsPerSecond: number | null;
  readonly rowsPerSecond: number | null;
  readonly logBytesPerSecond: number | null;
  /** Share of one core: of the server, and of all members' processes. */
  readonly serverCpu: number | null;
  readonly membersCpu: number;
  readonly beatMs: Spread;
  readonly calls: Readonly<Record<string, number>>;
  readonly failedCalls: number;
  readonly lost: number;
  readonly suspended: number;
  readonly troubles: readonly string[];
}

export interface BeatsResult {
  readonly benchmark: "beats";
  readonly servers: readonly string[];
  readonly rows: readonly BeatsRow[];
  readonly leftOut: readonly { readonly who: string; readonly why: string }[];
}

const TIMING = { leaseMs: 4_000, beatMs: 1_000 };

/** Sessions of the server that are not the members' first: for attending evidence, for this process. */
const SPARE_SESSIONS = 60;

const WINDOW_MS = 20_000;
/** Before the window: joining is not what is measured. The server's counters lag by up to ten seconds behind an idle session. */
const SETTLE_MS = 12_000;
const QUICK = { windowMs: 1_500, settleMs: 500, size: { members: 2, elections: 1 } };

/** A crowd that has not gathered by then is measured as it is. */
const GATHER_PATIENCE_MS = 8 * 60_000;

/** Measures what beats cost. */
export async function beats(options: BenchOptions, progress: Progress): Promise<BeatsResult> {
  const rows: BeatsRow[] = [];
  const servers: string[] = [];
  const leftOut: Array<{ readonly who: string; readonly why: string }> = [];
  for (const store of STORES.filter(({ name }) => options.stores.includes(name))) {
    const asked = options.sizes ?? store.beats;
    const sizes = options.quick ? [QUICK.size] : [...asked.members.map((members) => ({ members, elections: 0 })), ...asked.elections.map((elections) => ({ members: 2, elections }))];
    for (const { members, elections } of sizes) {
      // A server of its own for each: what one has left behind, the next does not pay for.
      const place = await store.open({ sessions: members + SPARE_SESSIONS });
      if ("missing" in place) {
        leftOut.push({ who: store.title, why: place.missing });
        break;
      }
      if (!servers.includes(place.label)) servers.push(place.label);
      try {
        rows.push(await measure(store, place, { members, elections }, options, progress));
      } catch (error) {
        leftOut.push({ who: `${store.title}, ${members} members, ${elections} elections`, why: (error as Error).message });
        progress.say(`failed: ${(error as Error).message}`);
        process.exitCode = 1; // what is ours has to run
      } finally {
        await place.close();
      }
    }
  }
  return { benchmark: "beats", servers, rows, leftOut };
}

async function measure(store: BenchStore, place: StorePlace, { members, elections }: { readonly members: number; readonly elections: number }, options: BenchOptions, progress: Progress): Promise<BeatsRow> {
  const what = `${members} members, ${elections} elections, ${store.title}`;
  progress.say(what);
  const { perProcess } = store.beats;
  const processes = Math.ceil(members / perProcess);
  const url = await place.fresh();
  const beganMs = performance.now();
  const crowd = new Crowd(
    Array.from({ length: processes }, (_, n) => ({ url, group: "bench", prefix: `m${n}`, members: Math.min(perProcess, members - n * perProcess), elections: n === 0 ? elections : 0, ...TIMING })),
  );
  try {
    let toldMs = beganMs;
    const onLook = (joined: number) => {
      if (performance.now() - toldMs < 10_000) return;
      toldMs = performance.now();
      progress.say(`${what}: ${joined} have joined`);
    };
    const gathered = await crowd.gather(members, elections, GATHER_PATIENCE_MS, onLook);
    const gatheredMs = gathered ? performance.now() - beganMs : null;
    const { windowMs, settleMs } = options.quick ? QUICK : { windowMs: WINDOW_MS, settleMs: SETTLE_MS };
    await pause(settleMs);
    const before = await reading(place, url, crowd);
    crowd.begin();
    await pause(windowMs);
    const after = await reading(place, url, crowd);
    const windows = await crowd.end();
    return row({ store: store.title, members, elections, processes, gatheredMs, troubles: crowd.gathered.troubles.slice(0, 3) }, before, after, windows);
  } finally {
    await crowd.close();
  }
}

interface Reading {
  readonly atMs: number;
  readonly serverMs: number | undefined;
  readonly membersMs: number;
  readonly requests: number | undefined;
  readonly rowsWritten: number | undefined;
  readonly logBytes: number | undefined;
}

async function reading(place: StorePlace, url: string, crowd: Crowd): Promise<Reading> {
  const counted = await place.counters(url);
  const pid = await place.serverPid();
  return {
    serverMs: pid === undefined ? undefined : cpuTimeMs(pid),
    membersMs: crowd.pids.reduce((sum, each) => sum + cpuTimeMs(each), 0),
    requests: counted?.requests,
    rowsWritten: counted?.rowsWritten,
    logBytes: counted?.logBytes,
    atMs: performance.now(),
  };
}

function row(identity: Pick<BeatsRow, "store" | "members" | "elections" | "processes" | "gatheredMs" | "troubles">, before: Reading, after: Reading, windows: readonly Window[]): BeatsRow {
  const windowMs = after.atMs - before.atMs;
  const rate = (from: number | undefined, to: number | undefined) => (from === undefined || to === undefined ? null : ((to - from) / windowMs) * 1_000);
  const share = (from: number | undefined, to: number | undefined) => (from === undefined || to === undefined ? null : (to - from) / windowMs);
  const calls: Record<string, number> = {};
  for (const window of windows) for (const [operation, count] of Object.entries(window.calls)) calls[operation] = (calls[operation] ?? 0) + count;
  const total = (of: (window: Window) => number) => windows.reduce((sum, window) => sum + of(window), 0);
  const perMember = (count: number) => ((count / windowMs) * 1_000) / identity.members;
  const requests = rate(before.requests, after.requests);
  const beatsMs = windows.flatMap((window) => window.beatsMs);
  return {
    ...identity,
    trusted: total(({ trusted }) => trusted),
    windowMs,
    beatsPerSecond: perMember(calls["beat"] ?? 0),
    roundTripsPerSecond: perMember(Object.values(calls).reduce((sum, count) => sum + count, 0)),
    requestsPerSecond: requests === null ? null : requests / identity.members,
    rowsPerSecond: rate(before.rowsWritten, after.rowsWritten),
    logBytesPerSecond: rate(before.logBytes, after.logBytes),
    serverCpu: share(before.serverMs, after.serverMs),
    membersCpu: share(before.membersMs, after.membersMs) ?? Number.NaN,
    beatMs: spread(beatsMs),
    calls,
    failedCalls: total(({ failedCalls }) => failedCalls),
    lost: total(({ lost }) => lost),
    suspended: total(({ suspended }) => suspended),
  };
}

/** The table of a result. */
export function beatsText({ servers, rows, leftOut }: BeatsResult): string {
  const percent = (share: number | null) => (share === null ? "–" : `${plain(share * 100)} %`);
  const head = ["store", "members", "elections held by one", "beats per member and s", "round trips", "requests", "rows written per s", "log per s", "server, of one core", "members' processes", "beat p50", "beat p99", "max", "gathered within", "members at the end", "trust lost"];
  const body = rows.map((each) => [
    each.store,
    String(each.members),
    String(each.elections),
    plain(each.beatsPerSecond),
    plain(each.roundTripsPerSecond),
    each.requestsPerSecond === null ? "–" : plain(each.requestsPerSecond),
    each.rowsPerSecond === null ? "–" : plain(each.rowsPerSecond),
    each.logBytesPerSecond === null ? "–" : `${plain(each.logBytesPerSecond / 1_024)} KiB`,
    percent(each.serverCpu),
    percent(each.membersCpu),
    ms(each.beatMs.p50),
    ms(each.beatMs.p99),
    ms(each.beatMs.max),
    each.gatheredMs === null ? "**not**" : `${plain(each.gatheredMs / 1_000)} s`,
    String(each.trusted),
    String(each.lost),
  ]);
  return [
    `Lease ${TIMING.leaseMs} ms, beat ${TIMING.beatMs} ms; each member has a session of its own, and many share a process. ${servers.join("; ")}.`,
    table(head, body),
    ...leftOut.map(({ who, why }) => `Left out: ${who}: ${why}`),
  ].join("\n\n");
}
