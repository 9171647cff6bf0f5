import { after, describe, it } from "node:test";
import { storeConformance } from "../../../src/testing/store-conformance.ts";
import { findMariadb, makeDatabase, queryOnce, startMariadb } from "../../support/mariadb-server.ts";
import { skipReason } from "../../support/required.ts";
import { mariadbPlaces, placeOn } from "./place.ts";

const programs = await findMariadb();

if ("missing" in programs) {
  void it("MariaDB keeps the contract of a store", { skip: skipReason("mariadb", programs.missing) });
} else {
  const server = await startMariadb({ programs });
  const places = await mariadbPlaces(server);
  after(async () => {
    await places.end();
    await server.stop();
  });
  storeConformance({ name: `MariaDB ${server.version}`, describe, it, place: () => places.place() });
}

const url = process.env["TRIBUNE_TEST_MYSQL_URL"] ?? "";

if (url === "") {
  void it("MySQL keeps the contract of a store", { skip: "TRIBUNE_TEST_MYSQL_URL names no MySQL server" });
} else {
  const at = new URL(url);
  at.pathname = `/${await makeDatabase(url)}`;
  const there = await placeOn(at.href);
  const [row] = await queryOnce(url, "select version() as version");
  after(async () => {
    await there.end();
    await queryOnce(url, `drop database ${at.pathname.slice(1)}`);
  });
  storeConformance({ name: `the server of TRIBUNE_TEST_MYSQL_URL, ${String(row?.["version"])},`, describe, it, place: () => there.place });
}
