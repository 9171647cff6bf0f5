/**
 * Skips that say something about the thing under test, and nothing about this machine: they are the same everywhere, so
 * `TRIBUNE_TEST_REQUIRE=all` lets them pass. All others are lacks, and fail then.
 */
export const ACCEPTED_SKIPS: readonly AcceptedSkip[] = [
  { where: /(?:(?:memory|postgres|mysql|zookeeper|simulation).conformance|zookeeper.ensemble-conformance|postgres.privileges)\.test\.ts$/, reason: /^transactions of this store are asynchronous$/, why: "the case is about stores with synchronous ones" },
  { where: /(?:(?:memory|postgres|mysql|zookeeper|simulation|sqlite).conformance|zookeeper.ensemble-conformance|postgres.(?:privileges|pooler))\.test\.ts$/, reason: /^open transactions of this store hold the fence /, why: "the case is about stores whose commits compare it" },
  { where: /etcd\/(?:conformance|ensemble)\.test\.ts$/, reason: /^open transactions of this store hold up nobody /, why: "the case is about stores whose open transactions hold the fence" },
  { where: /etcd\/(?:conformance|ensemble)\.test\.ts$/, reason: /^the store has no evidence of death /, why: "etcd tells nobody that a client's process is gone; the README of the store says so" },
  { where: /etcd\/(?:conformance|ensemble)\.test\.ts$/, reason: /^transactions of this store are asynchronous$/, why: "the case is about stores with synchronous ones" },
  { where: /sqlite\/conformance\.test\.ts$/, reason: /^this store has one writer, who holds up all others$/, why: "the case is about stores with many" },
  { where: /(?:memory.|sqlite\/)conformance\.test\.ts$/, reason: /boundsFrozenTransactions is false/, why: "memory and SQLite have no server that could end a frozen transaction; the READMEs say so" },
  { where: /sqlite\/conformance\.test\.ts$/, reason: /^the place offers no (?:hang|cut)$/, why: "a call on a file answers or is refused as busy, which test/integration/sqlite/busy.test.ts covers" },
  { where: /memory.conformance\.test\.ts$/, reason: /^the place offers no (?:hang|cut)$/, why: "plain memory has no connection; the same suite runs again at the end of a wire, which hangs and is cut" },
  { where: /(?:memory|simulation).conformance\.test\.ts$/, reason: /^the place offers no (?:schemaAt|readOnly)$/, why: "memory has no schema, and no permissions; neither has its engine in the simulation" },
  { where: /postgres.privileges\.test\.ts$/, reason: /^the place offers no schemaAt$/, why: "the role may not make a schema; test/integration/postgres/conformance.test.ts has the case" },
  { where: /simulation.conformance\.test\.ts$/, reason: /^this store has no diagnosis$/, why: "a simulated store has no server, way or privileges to look at" },
  { where: /zookeeper\/(?:ensemble-)?conformance\.test\.ts$/, reason: /^the store has no evidence of death /, why: "a session of ZooKeeper ends by silence, which proves nothing; the README of the store says so" },
  { where: /mysql\/conformance\.test\.ts$/, reason: /^the store has no hints /, why: "MySQL pushes nothing; the README of the store says so" },
  { where: /mysql\/conformance\.test\.ts$/, reason: /^TRIBUNE_TEST_MYSQL_URL names no MySQL server$/, why: "MySQL itself cannot be installed everywhere; the same suite runs on MariaDB in the same file" },
  {
    where: /postgres\/pooler\.test\.ts$/,
    reason: /^(?:the place offers no |hints do not reach this session: The connection goes through a pooler|this session holds no evidence: a pooler stands between|transactions of this store are asynchronous$)/,
    why: "what a pooler takes away is what these cases are about; without one they run in test/integration/postgres/conformance.test.ts",
  },
];

export interface AcceptedSkip {
  /** Fits the path of the test file. */
  readonly where: RegExp;
  /** Fits the reason that the test gives. */
  readonly reason: RegExp;
  readonly why: string;
}
