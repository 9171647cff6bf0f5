/**
 * Skips that say something about the thing under test, and nothing about this machine: they are the same everywhere, so
 * `TRIBUNE_TEST_REQUIRE=all` lets them pass. All others are lacks, and fail then. `where` and `reason` are matched against
 * the file and the words that the test gives.
 */
export const ACCEPTED_SKIPS: readonly { readonly where: RegExp; readonly reason: RegExp; readonly why: string }[] = [];
