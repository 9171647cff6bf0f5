import assert from "node:assert/strict";
import { it } from "node:test";
import { createPool as createCallbackPool } from "mysql2";
import type { PoolConnection as CallbackConnection } from "mysql2";
import { createPool } from "mysql2/promise";
import type { PoolConnection, PoolOptions, RowDataPacket } from "mysql2/promise";
import { isTribuneError } from "../../../src/kernel/index.ts";
import { mysql } from "../../../src/store/mysql/index.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { describeWithServer, fenceOf, sceneOn, takeOver } from "./here.ts";

const ELECTION = "scheduler";

await describeWithServer("fenced transactions in MariaDB", {}, async (server) => {
  const { name: database, url } = await server.createDatabase();
  await server.query("create table ledger (id bigint auto_increment primary key, what varchar(200) character set utf8mb4 unique) engine = InnoDB", [], { database });

  /** A leader whose transactions go through a proxy of their own, a successor in waiting, and a look into the table. */
  async function stage(t: Parameters<typeof sceneOn>[0] & { readonly name: string }, poolOptions: PoolOptions = {}) {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    const pool = createPool({ uri: server.urlOf({ database, port: proxy.port }), ...poolOptions });
    t.after(async () => {
      await proxy.close();
      await pool.end().catch(() => undefined); // what was cut off cannot say goodbye
    });
    const provider = mysql({ pool });
    const scene = sceneOn(t, mysql({ url }));
    const [leader, successor]: Member[] = [await scene.member(), await scene.member()];
    if (leader === undefined || successor === undefined) return assert.fail("no members");
    const token = await leader.lead(ELECTION);
    const what = `${t.name.slice(0, 80)} ${scene.group}`;
    const write = async (tx: Pick<PoolConnection, "query">, suffix = "") => await tx.query("insert into ledger (what) values (?)", [what + suffix]);
    const written = async () => (await server.query("select 1 from ledger where what like concat(?, '%')", [what], { database })).length;
    const borrow = async () => {
      const tx = await pool.getConnection();
      tx.on("error", () => undefined);
      t.after(async () => tx.destroy());
      return tx;
    };
    return { proxy, pool, provider, leader, successor, token, write, written, borrow };
  }

  const NAMES = ["idle_transaction_timeout", "idle_write_transaction_timeout", "idle_readonly_transaction_timeout", "max_statement_time", "wait_timeout", "net_write_timeout", "innodb_lock_wait_timeout", "autocommit"];
  const limitsOf = async (tx: Pick<PoolConnection, "query">) => {
    const [[row]] = await tx.query<RowDataPacket[]>(`select ${NAMES.map((name) => `cast(@@session.${name} as double) as ${name}`).join(", ")}`);
    return NAMES.map((name) => Number(row?.[name]));
  };

  it("hands out the pool's own kind of connection, with callbacks or with promises", async (t) => {
    const { leader, token, written, write } = await stage(t);
    const callbacks = createCallbackPool({ uri: url });
    t.after(async () => await new Promise<void>((resolve) => callbacks.end(() => resolve())));
    const provider = mysql({ pool: callbacks });
    const found = await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx: CallbackConnection) => {
      await write(tx.promise());
      return await new Promise<unknown>((resolve, reject) => tx.query("select 7 as n", (error, rows) => (error === null ? resolve(rows) : reject(error))));
    });
    assert.deepEqual((found as { readonly n: number }[]).map((row) => row.n), [7]);
    const byUrl = mysql({ url });
    t.after(async () => await byUrl.close());
    await byUrl.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await tx.query("select 1"));
    assert.equal(await written(), 1);
  });

  it("takes six round trips besides those of the work", async (t) => {
    const { provider, pool, leader, token, write, written } = await stage(t);
    const texts: string[] = [];
    (await pool.getConnection()).release(); // so that there is one to be spied on
    pool.pool.once("acquire", (core) => {
      const query = core.query.bind(core) as (...args: unknown[]) => unknown;
      core.query = ((...args: unknown[]) => {
        texts.push(String((args[0] as { readonly sql?: string }).sql ?? args[0]));
        return query(...args);
      }) as typeof core.query;
    });
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await write(tx));
    assert.equal(texts.length, 7, texts.join("\n"));
    assert.equal(await written(), 1);
  });

  // ---- frozen

  it("one that freezes between two statements holds its successor up for less than a lease, and its late commit is TERM_LOST", async (t) => {
    const { provider, leader, successor, token, write, written } = await stage(t);
    const thaw = Promise.withResolvers<void>();
    let alive = true;
    const opened = Promise.withResolvers<void>();
    const frozen = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 2_000, mayAct: () => alive }), async (tx) => {
      await write(tx);
      opened.resolve();
      await thaw.promise;
    });
    await opened.promise;
    const beforeMs = performance.now();
    const { busy } = await takeOver(successor, leader, ELECTION);
    assert.ok(busy > 0, "the successor had to wait");
    assert.ok(performance.now() - beforeMs < 2_000 * 2, "and not for long");
    alive = false;
    thaw.resolve();
    await assert.rejects(frozen, { code: "TERM_LOST" });
    assert.equal(await written(), 0);
  });

  it("one whose process believes that it still leads is told that the connection ended, and that nothing was written", async (t) => {
    const { provider, leader, successor, token, write, written } = await stage(t);
    const frozen = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 1_000 }), async (tx) => {
      await write(tx);
      await takeOver(successor, leader, ELECTION);
    });
    await assert.rejects(frozen, { code: "STORE_SESSION_ENDED" });
    assert.equal(await written(), 0);
  });

  it("one that freezes during a statement is cancelled by the server, and its successor passes", async (t) => {
    const { provider, leader, successor, token, written, write } = await stage(t);
    const opened = Promise.withResolvers<void>();
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 1_500 }), async (tx) => {
      await write(tx);
      const sleeping = tx.query("select sleep(20) from ledger");
      opened.resolve();
      await sleeping;
    });
    const cancelled = assert.rejects(running, { errno: 1969 }); // the work's own error, as it was thrown
    await opened.promise;
    await takeOver(successor, leader, ELECTION);
    await cancelled;
    assert.equal(await written(), 0);
  });

  it("one that freezes while a large result is on its way to it is cut off by the server", async (t) => {
    const { proxy, provider, leader, successor, token, write, written } = await stage(t);
    const opened = Promise.withResolvers<void>();
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 2_000 }), async (tx) => {
      await write(tx);
      await proxy.mode({ kind: "stall", direction: "toClient" });
      const large = tx.query("select repeat('x', 100000) from seq_1_to_2000");
      opened.resolve();
      await large;
    });
    running.catch(() => undefined); // looked at below
    await opened.promise;
    const { busy } = await takeOver(successor, leader, ELECTION);
    assert.ok(busy > 0, "the successor had to wait");
    proxy.resetAll();
    await assert.rejects(running);
    assert.equal(await written(), 0);
  });

  it("the guard of a transaction that the user began bounds it as well", async (t) => {
    const { provider, borrow, leader, successor, token, write, written } = await stage(t);
    const tx = await borrow();
    await tx.query("start transaction");
    await provider.fenced.guard(fenceOf(leader, ELECTION, token, { leaseMs: 2_000 }), tx);
    await write(tx);
    const beforeMs = performance.now();
    await takeOver(successor, leader, ELECTION);
    assert.ok(performance.now() - beforeMs < 2_000 * 2);
    await assert.rejects(tx.query("commit"));
    assert.equal(await written(), 0);
  });

  it("a guard whose answers are lost is ended by the server all the same", async (t) => {
    const { provider, borrow, leader, successor, token } = await stage(t);
    const tx = await borrow();
    await tx.query("start transaction");
    // What the server says to the lock, and from then on, arrives nowhere.
    const core = (tx as unknown as { readonly connection: { query: (query: { readonly sql: string }, heard: unknown) => unknown } }).connection;
    const ask = core.query.bind(core);
    const locked = Promise.withResolvers<void>();
    core.query = (query, heard) => ask(query, query.sql.includes("lock in share mode") ? () => locked.resolve() : heard);
    provider.fenced.guard(fenceOf(leader, ELECTION, token, { leaseMs: 2_000 }), tx).catch(() => undefined);
    await locked.promise;
    const beforeMs = performance.now();
    const { busy } = await takeOver(successor, leader, ELECTION);
    assert.ok(busy > 0, "the successor had to wait");
    assert.ok(performance.now() - beforeMs < 2_000 * 4);
  });

  // ---- the end of the term

  it("the end of the term destroys the connection of an open transaction: TERM_LOST with what the work made of it as the cause", async (t) => {
    const { provider, leader, token, write, written } = await stage(t);
    const over = new AbortController();
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { over: over.signal }), async (tx) => {
      await write(tx);
      const sleeping = tx.query("select sleep(20)");
      over.abort();
      await sleeping;
    });
    await assert.rejects(running, (error) => isTribuneError(error, "TERM_LOST") && error.cause instanceof Error);
    assert.equal(await written(), 0);
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await write(tx, " again"));
    assert.equal(await written(), 1, "the pool goes on");
  });

  it("the end of the term while nothing is asked of the connection is TERM_LOST once the work is done", async (t) => {
    const { provider, leader, token, write, written } = await stage(t);
    const over = new AbortController();
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { over: over.signal }), async (tx) => {
      await write(tx);
      over.abort();
    });
    await assert.rejects(running, { code: "TERM_LOST" });
    assert.equal(await written(), 0);
  });

  it("a term that is over before a connection is there runs no work, and the connection goes back to the pool", async (t) => {
    const { provider, pool, leader, token } = await stage(t, { connectionLimit: 1 });
    const occupant = await pool.getConnection();
    const over = new AbortController();
    const waiting = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { over: over.signal }), async () => assert.fail("the work was run"));
    over.abort();
    await assert.rejects(waiting, { code: "TERM_LOST" });
    occupant.release();
    (await pool.getConnection()).release(); // would wait for ever
  });

  it("a pool that gives no connection within a lease is STORE_TIMEOUT", async (t) => {
    const { provider, pool, leader, token } = await stage(t, { connectionLimit: 1 });
    const occupant = await pool.getConnection();
    const waiting = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 100 }), async () => assert.fail("the work was run"));
    await assert.rejects(waiting, { code: "STORE_TIMEOUT" });
    occupant.release();
  });

  // ---- the commit

  it("a commit that is not answered is COMMIT_UNKNOWN, whether it was done or not; its connection is destroyed", async (t) => {
    for (const [direction, done] of [
      ["toClient", 1],
      ["toServer", 0],
    ] as const) {
      const { proxy, provider, pool, leader, token, write, written } = await stage(t);
      pool.pool.once("acquire", (core) => {
        const query = core.query.bind(core) as (...args: unknown[]) => unknown;
        core.query = ((...args: unknown[]) => {
          const [{ sql }] = args as [{ readonly sql?: string }];
          if (sql !== "commit") return query(...args);
          void proxy.mode({ kind: "blackhole", direction }).then(() => void query(...args));
        }) as typeof core.query;
      });
      const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 1_500 }), async (tx) => await write(tx, direction));
      await assert.rejects(running, { code: "COMMIT_UNKNOWN" });
      assert.equal(await written(), done, direction);
    }
  });

  it("a commit of which the server says that it was interrupted is COMMIT_UNKNOWN: it may have been too late for that", async (t) => {
    const { provider, pool, leader, token, write, written } = await stage(t);
    pool.pool.once("acquire", (core) => {
      const query = core.query.bind(core) as (...args: unknown[]) => unknown;
      core.query = ((...args: unknown[]) => {
        const [{ sql }, done] = args as [{ readonly sql?: string }, (error: Error) => void];
        if (sql !== "commit") return query(...args);
        return query({ sql }, () => done(Object.assign(new Error("Query execution was interrupted"), { errno: 1317, sqlState: "70100" })));
      }) as typeof core.query;
    });
    await assert.rejects(provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await write(tx)), { code: "COMMIT_UNKNOWN" });
    assert.equal(await written(), 1);
  });

  it("a connection that ended while the work did other things: nothing was written, and the process goes on", async (t) => {
    const { provider, leader, token, write, written } = await stage(t);
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
      await write(tx);
      const ended = new Promise((resolve) => tx.connection.once("end", resolve));
      await server.query(`kill connection ${tx.threadId}`);
      await ended;
    });
    await assert.rejects(running, { code: "STORE_SESSION_ENDED" });
    assert.equal(await written(), 0);
  });

  it("a statement that fails and whose error the work swallows undoes itself alone, as MySQL has it; the rest is committed", async (t) => {
    const { provider, leader, token, write, written } = await stage(t);
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
      await write(tx);
      await tx.query("nonsense").catch(() => undefined);
    });
    assert.equal(await written(), 1);
  });

  for (const [what, statements] of [
    ["commits", ["commit"]],
    ["commits and begins another one", ["commit", "start transaction"]],
    ["rolls back", ["rollback"]],
    ["makes a table, which commits by itself", ["create table if not exists by_the_way (n int)"]],
  ] as const) {
    it(`work that ${what} is TRANSACTION_REQUIRED, and what it wrote after that is not committed`, async (t) => {
      const { provider, leader, token, write, written } = await stage(t);
      const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
        for (const statement of statements) await tx.query(statement);
        await write(tx);
      });
      await assert.rejects(running, { code: "TRANSACTION_REQUIRED" });
      assert.equal(await written(), 0);
    });
  }

  it("a deadlock that the server ends by rolling back the whole transaction leaves nothing to be committed, also where the work swallows it", async (t) => {
    const { provider, pool, leader, token, write, written } = await stage(t);
    await server.query("insert into ledger (id, what) values (900001, 'one'), (900002, 'two') on duplicate key update what = what", [], { database });
    const other = await pool.getConnection();
    t.after(async () => other.destroy());
    await other.query("start transaction");
    // The server ends the one of the two that has written less.
    await other.query("update ledger set what = concat(what, '') where id = 900002");
    for (let n = 0; n < 20; n++) await other.query("insert into ledger (what) values (?)", [`heavy ${n} ${Math.random()}`]);
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
      await tx.query("select 1 from ledger where id = 900001 for update");
      const theirs = other.query("select 1 from ledger where id = 900001 for update");
      const mine = await tx.query("select 1 from ledger where id = 900002 for update").then(
        () => "no deadlock",
        (error: { readonly errno?: number }) => error.errno,
      );
      assert.equal(mine, 1213);
      await theirs;
      await write(tx);
    });
    await assert.rejects(running, { code: "TRANSACTION_REQUIRED" });
    await other.query("rollback");
    assert.equal(await written(), 0);
  });

  it("savepoints are the work's own affair", async (t) => {
    const { provider, leader, token, write, written } = await stage(t);
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
      await write(tx, " kept");
      await tx.query("savepoint mine");
      await write(tx, " dropped");
      await tx.query("rollback to savepoint mine");
    });
    assert.equal(await written(), 1);
  });

  it("a transaction that somebody left open on the connection is rolled back, not committed along", async (t) => {
    const { provider, pool, leader, token, write, written } = await stage(t, { connectionLimit: 1 });
    const careless = await pool.getConnection();
    await careless.query("start transaction");
    await write(careless, " careless");
    careless.release();
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await write(tx, " careful"));
    assert.equal(await written(), 1);
  });

  // ---- limits

  it("the limits are half a lease, a shorter one of the user's stays, and all are back when the connection goes back", async (t) => {
    const { provider, pool, leader, token } = await stage(t, { connectionLimit: 1 });
    const first = await pool.getConnection();
    await first.query("set session idle_transaction_timeout = 1, session innodb_lock_wait_timeout = 33");
    const before = await limitsOf(first);
    first.release();
    let inside: readonly number[] = [];
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 9_000 }), async (tx) => {
      inside = await limitsOf(tx);
    });
    assert.deepEqual(inside, [1, 4, 4, 4.5, 28_800, 4, 4, 0]);
    const after = async () => {
      const tx = await pool.getConnection();
      const found = await limitsOf(tx);
      tx.release();
      return found;
    };
    assert.deepEqual(await after(), before);
    await assert.rejects(provider.fenced.transaction(fenceOf(leader, ELECTION, token), async () => await Promise.reject(new Error("mine"))), /mine/);
    assert.deepEqual(await after(), before, "also after a rollback");
    const tx = await pool.getConnection();
    await tx.query("start transaction");
    await provider.fenced.guard(fenceOf(leader, ELECTION, token, { leaseMs: 9_000 }), tx);
    await provider.fenced.guard(fenceOf(leader, ELECTION, token, { leaseMs: 6_000 }), tx);
    assert.deepEqual(await limitsOf(tx), [1, 3, 3, 3, 28_800, 3, 3, 1]);
    await tx.query("commit");
    tx.release();
    assert.deepEqual(await after(), before, "also after a guard");
  });

  it("the limits of a guard are back for whoever gets the connection next, also one who waits for it, and however it is given back", async (t) => {
    const { provider, pool, leader, token } = await stage(t, { connectionLimit: 1 });
    const first = await pool.getConnection();
    const before = await limitsOf(first);
    first.release();
    const guarded = async () => {
      const tx = await pool.getConnection();
      await tx.query("start transaction");
      await provider.fenced.guard(fenceOf(leader, ELECTION, token), tx);
      assert.notDeepEqual(await limitsOf(tx), before);
      await tx.query("commit");
      return tx;
    };
    for (const round of ["first", "second"]) {
      const tx = await guarded();
      const waiting = pool.getConnection();
      tx.release();
      const next = await waiting;
      assert.deepEqual(await limitsOf(next), before, `the ${round} time`);
      next.release();
    }
    const { connection } = (await guarded()) as unknown as { readonly connection: unknown };
    (pool.pool as unknown as { releaseConnection(connection: unknown): void }).releaseConnection(connection);
    const last = await pool.getConnection();
    assert.deepEqual(await limitsOf(last), before, "past the connection's own release");
    last.release();
  });

  // ---- guard

  for (const isolation of ["read committed", "repeatable read", "serializable"]) {
    it(`at ${isolation}, a guard whose fence moved after the transaction's first look is TERM_LOST`, async (t) => {
      const { provider, borrow, leader, successor, token } = await stage(t);
      const tx = await borrow();
      await tx.query(`set session transaction isolation level ${isolation}`);
      await tx.query("start transaction");
      await tx.query("select count(*) from ledger"); // takes the snapshot
      await takeOver(successor, leader, ELECTION);
      await assert.rejects(provider.fenced.guard(fenceOf(leader, ELECTION, token), tx), { code: "TERM_LOST" });
      await tx.query("rollback");
    });
  }

  it("a transaction may be fenced by two terms, and holds both up", async (t) => {
    const { provider, borrow, leader, successor, token, write, written } = await stage(t);
    const other = await leader.lead("other");
    const tx = await borrow();
    await tx.query("start transaction");
    await provider.fenced.guard(fenceOf(leader, ELECTION, token), tx);
    await provider.fenced.guard(fenceOf(leader, "other", other), tx);
    await write(tx);
    await successor.declareDead(leader);
    for (const election of [ELECTION, "other"]) {
      const next = (await successor.claim(election))?.token ?? 0;
      assert.equal(await successor.passFence(election, next), "busy", election);
    }
    await tx.query("commit");
    assert.equal(await written(), 1);
  });

  it("a guard works where autocommit is off, and holds the fence until the commit", async (t) => {
    const { provider, borrow, leader, successor, token, write, written } = await stage(t);
    const tx = await borrow();
    await tx.query("set autocommit = 0");
    await provider.fenced.guard(fenceOf(leader, ELECTION, token), tx);
    await write(tx);
    await successor.declareDead(leader);
    const next = (await successor.claim(ELECTION))?.token ?? 0;
    assert.equal(await successor.passFence(ELECTION, next), "busy");
    await tx.query("commit");
    assert.equal(await successor.passFence(ELECTION, next), "passed");
    assert.equal(await written(), 1);
  });

  it("a guard on what is no connection, or on the pool itself, is TRANSACTION_REQUIRED", async (t) => {
    const { provider, pool, leader, token } = await stage(t);
    for (const tx of [pool, pool.pool, undefined, null, {}, 7]) {
      await assert.rejects(provider.fenced.guard(fenceOf(leader, ELECTION, token), tx as PoolConnection), { code: "TRANSACTION_REQUIRED" });
    }
  });

  it("a database without Tribune's tables is FENCE_NOT_FOUND", async (t) => {
    const { leader, token } = await stage(t);
    const elsewhere = mysql({ url: (await server.createDatabase()).url });
    t.after(async () => await elsewhere.close());
    await assert.rejects(elsewhere.fenced.transaction(fenceOf(leader, ELECTION, token), async () => assert.fail("the work was run")), { code: "FENCE_NOT_FOUND" });
  });

  it("names with quotes and backslashes are data", async (t) => {
    const { provider, leader, token } = await stage(t);
    for (const name of ["it's", "a\\' or true -- ", "'; select", "?", ":group"]) {
      await assert.rejects(provider.fenced.transaction(fenceOf(leader, name, token), async () => undefined), { code: "FENCE_NOT_FOUND" }, name);
    }
  });

  // ---- whose connections

  it("an account that may only use the fences can run fenced transactions", async (t) => {
    const { leader, token, write, written } = await stage(t);
    await server.query("create user writer identified by 'writer'");
    await server.query(`grant select, update on ${database}.tribune_fences to writer`);
    await server.query(`grant select, insert on ${database}.ledger to writer`);
    const pool = createPool({ uri: server.urlOf({ user: "writer", password: "writer", database }) });
    t.after(async () => await pool.end());
    await mysql({ pool }).fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await write(tx));
    assert.equal(await written(), 1);
  });

  it("with a URL the provider makes a pool with the first transaction, of at most four, and ends it with close", async (t) => {
    const { leader, token } = await stage(t);
    await server.query("create user own_pool identified by 'own'");
    await server.query(`grant all on ${database}.* to own_pool`);
    const provider = mysql({ url: server.urlOf({ user: "own_pool", password: "own", database }) });
    const connections = async () => (await server.query("select 1 from information_schema.processlist where user = 'own_pool'")).length;
    assert.equal(await connections(), 0);
    let open = 0;
    let most = 0;
    const work = async (tx: { query(text: string): Promise<unknown> }) => {
      most = Math.max(most, (open += 1));
      await tx.query("select sleep(0.02)");
      open -= 1;
    };
    await Promise.all(Array.from({ length: 12 }, async () => await provider.fenced.transaction(fenceOf(leader, ELECTION, token), work)));
    assert.equal(most, 4);
    assert.equal(await connections(), 4);
    await provider.close();
    await provider.close();
    await leader.scene.until("the pool is gone", async () => ((await connections()) === 0 ? true : undefined));
  });

  it("a hundred transactions that fail in every way leave the pool whole", async (t) => {
    const { provider, pool, leader, token, write } = await stage(t, { connectionLimit: 3 });
    const endings = [
      async (tx: PoolConnection) => void (await write(tx)),
      async () => await Promise.reject(new Error("mine")),
      async (tx: PoolConnection) => void (await tx.query("nonsense")),
      async (tx: PoolConnection) => void (await tx.query("kill query connection_id()")),
      async (tx: PoolConnection) => void (await tx.query("kill connection_id()")),
    ];
    const results = await Promise.allSettled(Array.from({ length: 100 }, async (_, n) => await provider.fenced.transaction(fenceOf(leader, ELECTION, token), endings[n % 5] ?? endings[0]!)));
    assert.equal(results.filter((each) => each.status === "fulfilled").length, 1, "all but the first write the same line");
    const all = await Promise.all([1, 2, 3].map(async () => await pool.getConnection()));
    for (const each of all) assert.deepEqual((await limitsOf(each)).at(-1), 1);
    for (const each of all) each.release();
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await tx.query("select 1"));
  });
});
