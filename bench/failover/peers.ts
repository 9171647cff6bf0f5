import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { Departure } from "./rounds.ts";

/** Something else that people use so that one process does a thing. Its adapter is `peers/NAME.mjs`. */
export interface Peer {
  readonly name: string;
  readonly title: string;
  /** The package that has to be there, beside those of every run; or the program. */
  readonly package: string;
  readonly program?: true;
  readonly store: "postgres" | "etcd";
  /** Whether it hands out something that a resource could check, so that a stale leader cannot write. */
  readonly token: string;
  /** `work`: it has no leader; what is measured is when work that repeats goes on. Kept apart from the others. */
  readonly kind: "leader" | "work";
  /** Why it may be missing. */
  readonly note?: string;
  readonly variants: readonly PeerVariant[];
}

/** A peer with certain settings. */
export interface PeerVariant {
  readonly title: string;
  /** For its adapter. `restMs`: how long one that has resigned does not contend, so that another can come first. */
  readonly options: Readonly<Record<string, unknown>>;
  /** How the leader goes away, and how long a successor may take at most; then it is "not within". */
  readonly patienceMs: Readonly<Partial<Record<Departure, number>>>;
  /** Before a round, and as much again at random at most: longer than its periods, so that rounds fall anywhere in them. */
  readonly settleMs: number;
  readonly spreadMs: number;
}

/** What ours has as a default: peers with a lease are measured with theirs, and with this. */
export const EQUAL_LEASE_MS = 4_000;

const UNBOUNDED_MS = 20_000;

export const PEERS: readonly Peer[] = [
  {
    name: "advisory-lock",
    title: "session advisory lock",
    package: "pg",
    store: "postgres",
    token: "no",
    kind: "leader",
    variants: [
      { title: "waits in the server", options: {}, patienceMs: { kill: 10_000, freeze: UNBOUNDED_MS, resign: 10_000 }, settleMs: 500, spreadMs: 500 },
      { title: "tries every second", options: { pollMs: 1_000, restMs: 2_000 }, patienceMs: { kill: 10_000, freeze: UNBOUNDED_MS, resign: 10_000 }, settleMs: 500, spreadMs: 1_000 },
      { title: "tries every 10 s, as @platformatic/leader does", options: { pollMs: 10_000, restMs: 15_000 }, patienceMs: { kill: 30_000, resign: 30_000 }, settleMs: 500, spreadMs: 10_000 },
    ],
  },
  {
    name: "platformatic-leader",
    title: "@platformatic/leader",
    package: "@platformatic/leader",
    store: "postgres",
    token: "no",
    kind: "leader",
    note: "not on the npm registry when this was written; 'npm install --prefix bench --no-save platformatic/leader' takes it from GitHub",
    variants: [
      { title: "defaults: tries every 10 s", options: { restMs: 15_000 }, patienceMs: { kill: 30_000, freeze: UNBOUNDED_MS, resign: 30_000 }, settleMs: 500, spreadMs: 10_000 },
      { title: "tries every second", options: { pollMs: 1_000, restMs: 2_000 }, patienceMs: { kill: 10_000, resign: 10_000 }, settleMs: 500, spreadMs: 1_000 },
    ],
  },
  {
    name: "effect-cluster",
    title: "Effect cluster, Singleton",
    package: "effect",
    store: "postgres",
    token: "no",
    kind: "leader",
    variants: [
      { title: "defaults: locks expire after 35 s", options: { restMs: 15_000 }, patienceMs: { kill: 120_000, freeze: 120_000, resign: 60_000 }, settleMs: 4_000, spreadMs: 10_000 },
      { title: "equal lease: locks expire after 4 s", options: { leaseMs: EQUAL_LEASE_MS, restMs: 5_000 }, patienceMs: { kill: 60_000, freeze: 60_000, resign: 30_000 }, settleMs: 2_000, spreadMs: 2_000 },
    ],
  },
  {
    name: "etcd3",
    title: "etcd3, Election",
    package: "etcd3",
    store: "etcd",
    token: "no: the revision of its key is private",
    kind: "leader",
    variants: [
      { title: "defaults: lease 60 s", options: {}, patienceMs: { kill: 120_000, freeze: 120_000, resign: 10_000 }, settleMs: 2_000, spreadMs: 20_000 },
      { title: "equal lease: 4 s", options: { ttlS: EQUAL_LEASE_MS / 1_000 }, patienceMs: { kill: 20_000, freeze: 20_000, resign: 10_000 }, settleMs: 2_000, spreadMs: 2_000 },
    ],
  },
  {
    name: "etcdctl",
    title: "etcdctl elect",
    package: "etcdctl",
    program: true,
    store: "etcd",
    token: "the revision of its key, which a script has to ask for",
    kind: "leader",
    // A script that is frozen is not the program that holds the lease, so there is nothing to be measured.
    variants: [{ title: "its lease of 60 s, which has no setting", options: { restMs: 2_000 }, patienceMs: { kill: 120_000, resign: 10_000 }, settleMs: 2_000, spreadMs: 20_000 }],
  },
  {
    name: "pg-boss",
    title: "pg-boss, schedule",
    package: "pg-boss",
    store: "postgres",
    token: "no",
    kind: "work",
    variants: [{ title: "once a minute, defaults", options: {}, patienceMs: { kill: 200_000 }, settleMs: 0, spreadMs: 60_000 }],
  },
  {
    name: "graphile-worker",
    title: "graphile-worker, crontab",
    package: "graphile-worker",
    store: "postgres",
    token: "no",
    kind: "work",
    variants: [{ title: "once a minute, defaults", options: {}, patienceMs: { kill: 200_000 }, settleMs: 0, spreadMs: 60_000 }],
  },
];

/** The version of a peer that is here, or `undefined` if it is not. */
export function installedVersion(peer: Pick<Peer, "package" | "program">): string | undefined {
  if (peer.program === true) return programVersion(peer.package);
  const manifest = new URL(`../node_modules/${peer.package}/package.json`, import.meta.url);
  if (!existsSync(manifest)) return undefined;
  return (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version;
}

function programVersion(program: string): string | undefined {
  try {
    return /version: (\S+)/.exec(execFileSync(program, ["version"], { encoding: "utf8", env: { ...process.env, ETCDCTL_API: "3" } }))?.[1];
  } catch {
    return undefined;
  }
}
