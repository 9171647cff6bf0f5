import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { after, beforeEach, describe, it } from "node:test";
import { sqlite } from "../../../src/store/sqlite/index.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";
import { joined } from "./member.ts";
import type { Joined } from "./member.ts";
import { folder, moveCopyIntoPlace, withDatabase } from "./place.ts";

describe("fenced transactions on SQLite", () => {
  const home = folder();
  let path: string;
  let files = 0;
  const open: Joined[] = [];
  const connections: DatabaseSync[] = [];
  const member = async (...rest: Parameters<typeof joined> extends [string, ...infer Rest] ? Rest : never) => {
    const each = await joined(path, ...rest);
    open.push(each);
    return each;
  };
  const connection = (at = path) => {
    const database = new DatabaseSync(at);
    connections.push(database);
    return database;
  };
  const rows = () => withDatabase(path, (database) => database.prepare("SELECT x FROM mine ORDER BY x").all().map((row) => row["x"]));
  beforeEach(() => {
    files += 1;
    path = home.file(`${files}.db`);
    withDatabase(path, (database) => database.exec("CREATE TABLE mine (x INTEGER NOT NULL)"));
  });
  after(async () => {
    for (const each of open) {
      await each.session.close();
      await each.provider.close();
    }
    for (const each of connections) each.close();
    home.remove();
  });
  const insert = (value: number) => (tx: DatabaseSync) => {
    tx.prepare("INSERT INTO mine VALUES (?)").run(value);
  };

  it("run on the user's own connection where one is given, which sees its settings and stays open", async () => {
    const database = connection();
    database.exec("CREATE TEMP TABLE only_here (x)");
    const a = await member({}, sqlite({ database }));
    const handle = a.handle("e", await a.lead("e"));
    const used = await a.provider.fenced.transaction(handle, (tx) => {
      tx.exec("INSERT INTO only_here VALUES (1)");
      insert(1)(tx);
      return tx === database;
    });
    assert.equal(used, true);
    await a.provider.close();
    assert.equal(database.isOpen, true);
    assert.deepEqual(rows(), [1]);
  });

  it("wait, without blocking the event loop, while the user's connection has a transaction open", async () => {
    const database = connection();
    const clock = new VirtualClock();
    const a = await member({ clock }, sqlite({ database }));
    const handle = a.handle("e", await a.lead("e"));
    database.exec("BEGIN");
    insert(1)(database);
    const transaction = a.provider.fenced.transaction(handle, insert(2));
    await clock.advance(100);
    database.exec("COMMIT");
    await clock.advance(100);
    await transaction;
    assert.deepEqual(rows(), [1, 2]);
  });

  it("of one provider run one after the other, in the order of the calls, each whole", async () => {
    const a = await member();
    const handle = a.handle("e", await a.lead("e"));
    const seen: number[] = [];
    await Promise.all(
      [1, 2, 3, 4, 5].map((value) =>
        a.provider.fenced.transaction(handle, (tx) => {
          insert(value)(tx);
          seen.push(Number(tx.prepare("SELECT count(*) AS n FROM mine").get()?.["n"]));
        }),
      ),
    );
    assert.deepEqual(seen, [1, 2, 3, 4, 5]);
    assert.deepEqual(rows(), [1, 2, 3, 4, 5]);
  });

  it("wait for a busy file, stop waiting when the term is over, and fail with STORE_BUSY after one lease", async () => {
    const clock = new VirtualClock();
    const a = await member({ clock });
    const token = await a.lead("e");
    const writer = connection();
    writer.exec("BEGIN IMMEDIATE");
    let mayAct = true;
    const patient = a.provider.fenced.transaction(a.handle("e", token), insert(1));
    await clock.advance(100);
    writer.exec("ROLLBACK");
    await clock.advance(100);
    await patient;
    writer.exec("BEGIN IMMEDIATE");
    const over = assert.rejects(a.provider.fenced.transaction(a.handle("e", token, { mayAct: () => mayAct }), insert(2)), { code: "TERM_LOST" });
    await clock.advance(100);
    mayAct = false;
    await clock.advance(100);
    await over;
    const late = assert.rejects(a.provider.fenced.transaction(a.handle("e", token, { leaseMs: 4_000 }), insert(3)), { code: "STORE_BUSY", retryable: true });
    await clock.advance(4_100);
    await late;
    writer.exec("ROLLBACK");
    await clock.advance(10_000);
    assert.deepEqual(rows(), [1]);
  });

  it("that answer a promise are rolled back, and the promise's later failure ends nobody", async () => {
    const a = await member();
    const handle = a.handle("e", await a.lead("e"));
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", listener);
    const work = async (tx: DatabaseSync) => {
      insert(1)(tx);
      await Promise.resolve();
      throw new Error("later");
    };
    await assert.rejects(a.provider.fenced.transaction(handle, work), { code: "TRANSACTION_NOT_SYNCHRONOUS" });
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", listener);
    assert.deepEqual([unhandled, rows()], [[], []]);
  });

  it("that end their transaction themselves are told so with TRANSACTION_REQUIRED, and the next one works", async () => {
    const a = await member();
    const handle = a.handle("e", await a.lead("e"));
    await assert.rejects(a.provider.fenced.transaction(handle, (tx) => tx.exec("COMMIT")), { code: "TRANSACTION_REQUIRED" });
    await assert.rejects(a.provider.fenced.transaction(handle, (tx) => tx.exec("ROLLBACK")), { code: "TRANSACTION_REQUIRED" });
    await a.provider.fenced.transaction(handle, insert(1));
    assert.deepEqual(rows(), [1]);
  });

  it("pass on what the work throws as it was thrown, be it SQLite's, a busy error of another database, or not even an error", async () => {
    const a = await member();
    const handle = a.handle("e", await a.lead("e"));
    await assert.rejects(a.provider.fenced.transaction(handle, (tx) => tx.exec("INSERT INTO mine VALUES (NULL)")), { code: "ERR_SQLITE_ERROR", message: /NOT NULL/ });
    const [holder, other] = [connection(home.file("other.db")), connection(home.file("other.db"))];
    holder.exec("BEGIN IMMEDIATE");
    let runs = 0;
    const busyElsewhere = a.provider.fenced.transaction(handle, (tx) => {
      runs += 1;
      insert(1)(tx);
      other.exec("BEGIN IMMEDIATE");
    });
    await assert.rejects(busyElsewhere, { code: "ERR_SQLITE_ERROR", errcode: 5 });
    assert.equal(runs, 1, "it is not run again");
    const odd = { not: "an error" };
    await assert.rejects(
      a.provider.fenced.transaction(handle, () => {
        // eslint-disable-next-line typescript/only-throw-error -- users' code may
        throw odd;
      }),
      (thrown) => thrown === odd,
    );
    assert.deepEqual(rows(), []);
  });

  it("that break a deferred constraint fail at the commit with SQLite's own error, and leave nothing open", async () => {
    withDatabase(path, (database) => database.exec("CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE kid (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"));
    const a = await member();
    const handle = a.handle("e", await a.lead("e"));
    await assert.rejects(a.provider.fenced.transaction(handle, (tx) => tx.exec("INSERT INTO kid VALUES (7)")), { code: "ERR_SQLITE_ERROR", message: /FOREIGN KEY/ });
    await a.provider.fenced.transaction(handle, insert(1));
    assert.deepEqual(rows(), [1]);
  });

  it("follow the store to the file that was moved into its place", async () => {
    const a = await member();
    const handle = a.handle("e", await a.lead("e"));
    await a.provider.fenced.transaction(handle, insert(1));
    moveCopyIntoPlace(path);
    await a.provider.fenced.transaction(handle, insert(2));
    assert.deepEqual(rows(), [1, 2], "in the new file, whose fence stands at the same token");
  });

  it("go on after the provider was closed, on a connection that is opened anew", async () => {
    const a = await member();
    const handle = a.handle("e", await a.lead("e"));
    await a.provider.fenced.transaction(handle, insert(1));
    await a.provider.close();
    await a.provider.close();
    await a.provider.fenced.transaction(handle, insert(2));
    assert.deepEqual(rows(), [1, 2]);
  });

  it("on a database that is not the store are FENCE_NOT_FOUND", async () => {
    const a = await member();
    const handle = a.handle("e", await a.lead("e"));
    const elsewhere = connection(home.file(`elsewhere-${files}.db`));
    elsewhere.exec("BEGIN IMMEDIATE");
    await assert.rejects(a.provider.fenced.guard(handle, elsewhere), { code: "FENCE_NOT_FOUND" });
    elsewhere.exec("ROLLBACK");
    const lost = sqlite({ database: elsewhere });
    await assert.rejects(lost.fenced.transaction(handle, () => undefined), { code: "FENCE_NOT_FOUND" });
    assert.equal(elsewhere.isTransaction, false);
  });
});

describe("guard on SQLite", () => {
  const home = folder();
  let path: string;
  let files = 0;
  const open: Joined[] = [];
  const connections: DatabaseSync[] = [];
  beforeEach(() => {
    files += 1;
    path = home.file(`${files}.db`);
    withDatabase(path, (database) => database.exec("CREATE TABLE mine (x INTEGER NOT NULL)"));
  });
  const connection = (at = path) => {
    const database = new DatabaseSync(at);
    connections.push(database);
    return database;
  };
  const leader = async () => {
    const a = await joined(path);
    open.push(a);
    const token = await a.lead("e");
    const call = { deadlineMs: 10_000 };
    return {
      a,
      handle: a.handle("e", token),
      /** Resigns and leads again, so that the fence stands at another token. */
      succeed: async () => {
        await a.session.resign({ election: "e", incarnation: a.incarnation, token, reason: "next" }, call);
        await a.lead("e");
      },
      claimAgain: async () => {
        await a.session.resign({ election: "e", incarnation: a.incarnation, token, reason: "next" }, call);
        const claimed = await a.session.claim({ election: "e", incarnation: a.incarnation, node: a.node, expectedToken: token, epoch: a.epoch, tokenSeen: 0 }, call);
        return async () => await a.session.passFence({ election: "e", incarnation: a.incarnation, token: claimed?.token ?? 0, epoch: a.epoch }, call);
      },
    };
  };
  after(async () => {
    for (const each of open) await each.session.close();
    for (const each of connections) each.close();
    home.remove();
  });

  it("has checked, and holds the fence, when it returns: before its promise is awaited", async () => {
    const { a, handle, claimAgain } = await leader();
    const passFence = await claimAgain();
    const tx = connection();
    tx.exec("BEGIN IMMEDIATE");
    const guarded = a.provider.fenced.guard(handle, tx);
    tx.exec("INSERT INTO mine VALUES (1)");
    tx.exec("COMMIT");
    await guarded;
    assert.equal(await passFence(), "passed");
  });

  it("holds the fence in a transaction that was begun without IMMEDIATE and has only read", async () => {
    const { a, handle, claimAgain } = await leader();
    const passFence = await claimAgain();
    const tx = connection();
    tx.exec("BEGIN");
    tx.prepare("SELECT * FROM mine").all();
    await a.provider.fenced.guard(handle, tx);
    assert.equal(await passFence(), "busy");
    tx.exec("COMMIT");
    assert.equal(await passFence(), "passed");
  });

  it("refuses a transaction whose snapshot is from before the fence moved, although it still reads the old token there", async () => {
    const { a, handle, succeed } = await leader();
    const tx = connection();
    tx.exec("BEGIN");
    tx.prepare("SELECT * FROM mine").all();
    await succeed();
    await assert.rejects(a.provider.fenced.guard(handle, tx), { code: "STORE_BUSY", retryable: true });
    tx.exec("ROLLBACK");
    tx.exec("BEGIN IMMEDIATE");
    await assert.rejects(a.provider.fenced.guard(handle, tx), { code: "TERM_LOST" });
    tx.exec("ROLLBACK");
  });

  it("says STORE_BUSY at once while somebody else writes", async () => {
    const { a, handle } = await leader();
    const [tx, writer] = [connection(), connection()];
    tx.exec("BEGIN");
    writer.exec("BEGIN IMMEDIATE");
    await assert.rejects(a.provider.fenced.guard(handle, tx), { code: "STORE_BUSY" });
    writer.exec("ROLLBACK");
    await a.provider.fenced.guard(handle, tx);
    tx.exec("COMMIT");
  });

  it("holds the fence in the store's file for a transaction of another database that has attached it", async () => {
    const { a, handle, claimAgain } = await leader();
    const passFence = await claimAgain();
    const main = connection(home.file(`main-${files}.db`));
    main.exec("CREATE TABLE theirs (x)");
    main.prepare("ATTACH ? AS store").run(path);
    main.exec("BEGIN IMMEDIATE");
    await a.provider.fenced.guard(handle, main);
    main.exec("INSERT INTO theirs VALUES (1)");
    assert.equal(await passFence(), "busy");
    main.exec("COMMIT");
    assert.equal(await passFence(), "passed");
    main.exec("BEGIN IMMEDIATE");
    await assert.rejects(a.provider.fenced.guard(handle, main), { code: "TERM_LOST" });
    main.exec("ROLLBACK");
  });
});
