import { after, describe, it } from "node:test";
import { storeConformance } from "../../../src/testing/store-conformance.ts";
import { findPostgres, startPostgres } from "../../support/postgres-server.ts";
import { skipReason } from "../../support/required.ts";
import { postgresPlaces } from "./place.ts";

const programs = await findPostgres();

if ("missing" in programs) {
  void it("PostgreSQL keeps the contract of a store", { skip: skipReason("postgres", programs.missing) });
} else {
  const server = await startPostgres({ programs });
  const places = await postgresPlaces(server);
  after(async () => {
    await places.end();
    await server.stop();
  });
  storeConformance({ name: `PostgreSQL ${server.major}`, describe, it, place: () => places.place() });
}
