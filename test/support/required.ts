/** What a test needs from a test context to be skipped in plain sight. */
interface Skippable {
  skip(reason?: string): void;
}

/**
 * What is to be done about a server or a tool that is not here: the reason to skip with, or a failure if
 * `TRIBUNE_TEST_REQUIRE` names `what` (a comma list, or `all`), so that a pipeline cannot become green by lacking it.
 */
export function skipReason(what: string, reason: string): string {
  const required = (process.env["TRIBUNE_TEST_REQUIRE"] ?? "").split(",").map((each) => each.trim());
  const message = `needs ${what}: ${reason}`;
  if (required.includes("all") || required.includes(what)) throw new Error(`${message}; TRIBUNE_TEST_REQUIRE says that it must be here`);
  return message;
}

/** Skips the running test with the reason, or fails it; see {@link skipReason}. */
export function requireOrSkip(t: Skippable, what: string, reason: string): void {
  t.skip(skipReason(what, reason));
}
