import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findMariadb, startMariadb } from "../support/mariadb-server.ts";
import { requireOrSkip } from "../support/required.ts";
import { tribune } from "./run.ts";

describe("on MariaDB", () => {
  it("the demo holds what it shows there, too, drops its table, and prints no password", async (t) => {
    const programs = await findMariadb();
    if ("missing" in programs) return requireOrSkip(t, "mariadb", programs.missing);
    const server = await startMariadb({ programs });
    t.after(async () => await server.stop());
    const { name, url } = await server.createDatabase();
    const ended = await tribune(t, ["demo", "--json", "--verbose", "--store", url.replace("mysql:", "mariadb:")]);
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
    assert.match(ended.stdout, /\{"step":"done","ok":true,"tookMs":\d+\}\n$/);
    assert.deepEqual(await server.query("show tables like 'tribune\\_demo%'", [], { database: name }), []);
    assert.ok(!`${ended.stdout}${ended.stderr}`.includes(server.password));
  });
});
