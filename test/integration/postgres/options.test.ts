import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { Pool } from "pg";
import { isTribuneError } from "../../../src/kernel/index.ts";
import { loadDriver } from "../../../src/store/postgres/driver.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import type { PostgresOptions } from "../../../src/store/postgres/index.ts";

const make = (options: unknown) => () => postgres(options as PostgresOptions & { pool: Pool });

describe("options of the PostgreSQL store", () => {
  it("are complained about all at once", () => {
    assert.throws(make({ url: "mysql://x", config: 5, schema: "Tribune; drop", direct: "yes", pol: 1 }), (error) => {
      assert.ok(isTribuneError(error, "INVALID_OPTIONS"));
      for (const part of ["did you mean pool", "exactly one of pool, url and config", "url must begin with postgres://", "config must be an object", "schema must be", "direct must be true or false"]) {
        assert.ok(error.message.includes(part), `${part} in ${error.message}`);
      }
      return true;
    });
  });

  for (const [what, options, complaint] of [
    ["nothing", {}, /exactly one .* not none/],
    ["no object", undefined, /must be an object/],
    ["two places", { url: "postgres://h/d", config: {} }, /not url and config/],
    ["a schema that begins with a digit", { url: "postgres://h/d", schema: "1a" }, /schema must be/],
    ["a schema of 64 letters", { url: "postgres://h/d", schema: "a".repeat(64) }, /schema must be/],
    ["a schema of PostgreSQL's own", { url: "postgres://h/d", schema: "pg_x" }, /begin with pg_/],
    ["a schema with a quote", { url: "postgres://h/d", schema: 'a"b' }, /schema must be/],
    ["a pool that is none", { pool: { connect() {} } }, /Pool of the package pg/],
    ["a URL that cannot be read", { url: "postgres://u:se@cret@h:port/d" }, /cannot be read/],
  ] as const) {
    it(`refuse ${what}`, () => {
      assert.throws(make(options), (error) => isTribuneError(error, "INVALID_OPTIONS") && complaint.test(error.message));
    });
  }

  it("never repeat a URL in a complaint, since it may hold a password", () => {
    for (const url of ["postgres://u:hunter2@h:port/d", "pg://u:hunter2@h/d", "hunter2"]) {
      assert.throws(make({ url }), (error) => isTribuneError(error, "INVALID_OPTIONS") && !inspect(error).includes("hunter2"));
    }
  });

  for (const [options, label] of [
    [{ url: "postgres://app:hunter2@db.internal:5433/orders?sslmode=verify-full&password=hunter2" }, "postgres://app@db.internal:5433/orders"],
    [{ url: "postgresql://app@db/orders" }, "postgres://app@db/orders"],
    [{ url: "postgres://app:hunter2@/orders?host=/var/run/postgresql" }, "postgres://app@/var/run/postgresql/orders"],
    [{ url: "postgres:///orders" }, "postgres:///orders"],
    [{ url: "postgres://a%40b:hunter2@h/%6frders" }, "postgres://a@b@h/orders"],
    [{ url: "postgres://[::1]:5432/d" }, "postgres://[::1]:5432/d"],
    [{ config: { host: "db", port: 5432, user: "app", password: "hunter2", database: "orders" } }, "postgres://app@db:5432/orders"],
    [{ config: { connectionString: "postgres://app:hunter2@db/orders" } }, "postgres://app@db/orders"],
    [{ config: { host: "db\u001b[31m" } }, "postgres://db?[31m/"],
    [{ pool: new Pool({ connectionString: "postgres://app:hunter2@db/orders", password: "hunter2" }) }, "postgres://app@db/orders"],
  ] as const) {
    it(`show where they point, without the password: ${label}`, () => {
      const provider = postgres(options as PostgresOptions & { pool: Pool });
      assert.equal(provider.label, label);
      assert.doesNotMatch(JSON.stringify(provider), /hunter2/);
    });
  }

  it("need no I/O: a provider that is made and closed again has done nothing", async () => {
    const provider = postgres({ url: "postgres://nobody@192.0.2.1/nothing" });
    await provider.close();
    await provider.close();
  });
});

describe("the driver", () => {
  it("is asked for, with the line that installs it, if it is not there", async () => {
    const missing = Object.assign(new Error("Cannot find package 'pg' imported from /app/node_modules/tribune/dist/store/postgres/driver.js"), { code: "ERR_MODULE_NOT_FOUND" });
    await assert.rejects(loadDriver(async () => await Promise.reject(missing)), (error) => isTribuneError(error, "DRIVER_MISSING") && error.next?.includes("npm install pg") === true);
  });

  it("that is there but broken fails with its own error", async () => {
    const broken = Object.assign(new Error("Cannot find package 'pg-types' imported from /app/node_modules/pg/lib/index.js"), { code: "ERR_MODULE_NOT_FOUND" });
    await assert.rejects(loadDriver(async () => await Promise.reject(broken)), broken);
  });

  it("is found as a module of either kind", async () => {
    const driver = await loadDriver();
    assert.equal(typeof driver.Client, "function");
    const named = { Client: driver.Client, Pool: driver.Pool };
    assert.equal((await loadDriver(async () => named)).Client, driver.Client);
    assert.equal((await loadDriver(async () => ({ default: named }))).Client, driver.Client);
  });
});
