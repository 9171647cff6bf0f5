/**
 * Skips that say something about the thing under test, and nothing about this machine: they are the same everywhere, so
 * `TRIBUNE_TEST_REQUIRE=all` lets them pass. All others are lacks, and fail then.
 */
export const ACCEPTED_SKIPS: readonly AcceptedSkip[] = [
  { where: /(?:(?:memory|postgres|simulation).conformance|postgres.privileges)\.test\.ts$/, reason: /^transactions of this store are asynchronous$/, why: "the case is about stores with synchronous ones" },
  { where: /sqlite\/conformance\.test\.ts$/, reason: /^this store has one writer, who holds up all others$/, why: "the case is about stores with many" },
  { where: /(?:memory.|sqlite\/)conformance\.test\.ts$/, reason: /boundsFrozenTransactions is false/, why: "memory and SQLite have no server that could end a frozen transaction; the READMEs say so" },
  { where: /sqlite\/conformance\.test\.ts$/, reason: /^the place offers no (?:hang|cut)$/, why: "a call on a file answers or is refused as busy, which test/integration/sqlite/busy.test.ts covers" },
  { where: /memory.conformance\.test\.ts$/, reason: /^the place offers no (?:hang|cut)$/, why: "plain memory has no connection; the same suite runs again at the end of a wire, which hangs and is cut" },
  { where: /(?:memory|simulation).conformance\.test\.ts$/, reason: /^the place offers no (?:schemaAt|readOnly)$/, why: "memory has no schema, and no permissions; neither has its engine in the simulation" },
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
