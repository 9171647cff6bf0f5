import { after, before } from "node:test";
import type { TestContext } from "node:test";
import { postgresForTests } from "./postgres-server.ts";
import type { TestPostgres } from "./postgres-server.ts";
import { requireOrSkip } from "./required.ts";

/** One server for all tests of a `describe`, to be called in it. The function that it answers gives it to a test, or skips the test where there is none. */
export function postgresForSuite(): (t: TestContext) => TestPostgres | undefined {
  let found: TestPostgres | { readonly missing: string };
  before(async () => {
    found = await postgresForTests();
  });
  after(async () => {
    if (!("missing" in found)) await found.stop();
  });
  return (t) => {
    if (!("missing" in found)) return found;
    requireOrSkip(t, "postgres", found.missing);
    return undefined;
  };
}
