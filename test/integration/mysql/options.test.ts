import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { createPool as createCallbackPool } from "mysql2";
import { createPool } from "mysql2/promise";
import { isTribuneError } from "../../../src/kernel/index.ts";
import { loadDriver } from "../../../src/store/mysql/driver.ts";
import { mysql } from "../../../src/store/mysql/index.ts";
import type { MysqlOptions, MysqlUrlOptions } from "../../../src/store/mysql/index.ts";

const make = (options: unknown) => () => mysql(options as MysqlUrlOptions);

describe("options of the MySQL store", () => {
  it("are complained about all at once", () => {
    assert.throws(make({ url: "postgres://x", config: 5, prefix: "Tribune; drop", direct: "yes", pol: 1 }), (error) => {
      assert.ok(isTribuneError(error, "INVALID_OPTIONS"));
      for (const part of ["did you mean pool", "exactly one of pool, url and config", "url must begin with mysql://", "config must be an object", "prefix must be", "direct must be"]) {
        assert.ok(error.message.includes(part), `${part} in ${error.message}`);
      }
      return true;
    });
  });

  for (const [what, options, complaint] of [
    ["nothing", {}, /exactly one .* not none/],
    ["no object", undefined, /must be an object/],
    ["two places", { url: "mysql://h/d", config: {} }, /not url and config/],
    ["a prefix that begins with a digit", { url: "mysql://h/d", prefix: "1a" }, /prefix must be/],
    ["a prefix of 33 letters", { url: "mysql://h/d", prefix: "a".repeat(33) }, /prefix must be/],
    ["a prefix with a quote", { url: "mysql://h/d", prefix: "a`b" }, /prefix must be/],
    ["a database with a quote", { url: "mysql://h/d", database: "a`b" }, /database must be/],
    ["a database with a quote in the URL", { url: "mysql://h/a%60b" }, /database must be/],
    ["a URL without a database", { url: "mysql://h" }, /name the database/],
    ["a configuration without a database", { config: { host: "h" } }, /name the database/],
    ["a configuration with a URL in it", { config: { uri: "mysql://h/d", database: "d" } }, /give it as url/],
    ["a pool that is none", { pool: { getConnection() {} } }, /pool of the package mysql2/],
    ["a URL that cannot be read", { url: "mysql://u:se@cret@h:port/d" }, /cannot be read/],
  ] as const) {
    it(`refuse ${what}`, () => {
      assert.throws(make(options), (error) => isTribuneError(error, "INVALID_OPTIONS") && complaint.test(error.message));
    });
  }

  it("never repeat a URL in a complaint, since it may hold a password", () => {
    for (const url of ["mysql://u:hunter2@h:port/d", "my://u:hunter2@h/d", "hunter2", "mysql://u:hunter2@h"]) {
      assert.throws(make({ url }), (error) => isTribuneError(error, "INVALID_OPTIONS") && !inspect(error).includes("hunter2"));
    }
  });

  for (const [options, label] of [
    [{ url: "mysql://app:hunter2@db.internal:3307/orders?connectTimeout=5&password=hunter2" }, "mysql://app@db.internal:3307/orders"],
    [{ url: "mariadb://app@db/orders" }, "mysql://app@db/orders"],
    [{ url: "mysql://app:hunter2@db/orders", database: "other" }, "mysql://app@db/other"],
    [{ url: "mysql://a%40b:hunter2@h/%6frders" }, "mysql://a@b@h/orders"],
    [{ url: "mysql://[::1]:3306/d" }, "mysql://::1:3306/d"],
    [{ config: { host: "db", port: 3306, user: "app", password: "hunter2", database: "orders" } }, "mysql://app@db:3306/orders"],
    [{ config: { socketPath: "/run/mysqld/mysqld.sock", user: "app", password: "hunter2", database: "orders" } }, "mysql://app@(/run/mysqld/mysqld.sock)/orders"],
    [{ config: { host: "db\u001b[31m", database: "d" } }, "mysql://db?[31m/d"],
    [{ pool: createPool("mysql://app:hunter2@db/orders") }, "mysql://app@db:3306/orders"],
    [{ pool: createCallbackPool("mysql://app:hunter2@db/orders") }, "mysql://app@db:3306/orders"],
  ] as const) {
    it(`show where they point, without the password: ${label} by ${Object.keys(options).join(" and ")}`, () => {
      const provider = mysql(options as MysqlOptions as MysqlUrlOptions);
      assert.equal(provider.label, label);
      assert.doesNotMatch(JSON.stringify(provider), /hunter2/);
    });
  }

  it("need no I/O: a provider that is made and closed again has done nothing", async () => {
    const provider = mysql({ url: "mysql://nobody@192.0.2.1/nothing" });
    await provider.close();
    await provider.close();
  });
});

describe("the driver of the MySQL store", () => {
  it("is asked for, with the line that installs it, if it is not there", async () => {
    const missing = Object.assign(new Error("Cannot find package 'mysql2' imported from /app/node_modules/tribune/dist/store/mysql/driver.js"), { code: "ERR_MODULE_NOT_FOUND" });
    await assert.rejects(loadDriver(async () => await Promise.reject(missing)), (error) => isTribuneError(error, "DRIVER_MISSING") && error.next?.includes("npm install mysql2") === true);
  });

  it("that is there but broken fails with its own error", async () => {
    const broken = Object.assign(new Error("Cannot find package 'long' imported from /app/node_modules/mysql2/lib/index.js"), { code: "ERR_MODULE_NOT_FOUND" });
    await assert.rejects(loadDriver(async () => await Promise.reject(broken)), broken);
  });

  it("is found as a module of either kind", async () => {
    const driver = await loadDriver();
    assert.equal(typeof driver.createConnection, "function");
    const named = { createConnection: driver.createConnection, createPool: driver.createPool };
    assert.equal((await loadDriver(async () => named)).createPool, driver.createPool);
    assert.equal((await loadDriver(async () => ({ default: named }))).createPool, driver.createPool);
  });
});
