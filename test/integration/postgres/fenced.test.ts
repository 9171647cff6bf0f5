import assert from "node:assert/strict";
import { it } from "node:test";
import { Pool } from "pg";
import type { PoolClient } from "pg";
import { isTribuneError } from "../../../src/kernel/index.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { describeWithServer, fenceOf, sceneOn, takeOver } from "./here.ts";

const ELECTION = "scheduler";

await describeWithServer("fenced transactions in PostgreSQL", {}, async (server) => {
  await server.query("create table ledger (id bigint generated always as identity, what text unique deferrable initially deferred)");

  /** A leader whose transactions go through a proxy of their own, a successor in waiting, and a look into the table. */
  async function stage(t: Parameters<typeof sceneOn>[0] & { readonly name: string }, poolOptions: object = {}) {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    const pool = new Pool({ connectionString: server.urlOf({ port: proxy.port }), ...poolOptions });
    const borrowed: PoolClient[] = [];
    t.after(async () => {
      for (const client of borrowed) client.release(true);
      await proxy.close();
      await pool.end();
    });
    const provider = postgres({ pool });
    const scene = sceneOn(t, postgres({ url: server.url }));
    const [leader, successor]: Member[] = [await scene.member(), await scene.member()];
    if (leader === undefined || successor === undefined) return assert.fail("no members");
    const token = await leader.lead(ELECTION);
    const what = `${t.name} ${scene.group}`;
    const write = async (tx: PoolClient, suffix = "") => await tx.query("insert into ledger (what) values ($1)", [what + suffix]);
    const written = async () => (await server.query("select what from ledger where starts_with(what, $1)", [what])).length;
    /** A client out of the pool for the test itself, which goes back even if the test fails. */
    const borrow = async () => {
      const client = await pool.connect();
      client.on("error", () => undefined);
      borrowed.push(client);
      return client;
    };
    return { proxy, pool, provider, leader, successor, token, write, written, borrow };
  }

  it("a transaction takes two round trips besides those of the work", async (t) => {
    const { provider, pool, leader, token, write, written } = await stage(t);
    const client = await pool.connect();
    const texts: string[] = [];
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      texts.push(String(args[0]));
      return query(...args);
    }) as typeof client.query;
    client.release();
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await write(tx));
    assert.equal(texts.length, 3, texts.join("\n"));
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
      const sleeping = tx.query("select pg_sleep(20)");
      opened.resolve();
      await sleeping;
    });
    const cancelled = assert.rejects(running, { code: "57014" }); // the work's own error, as it was thrown
    await opened.promise;
    await takeOver(successor, leader, ELECTION);
    await cancelled;
    assert.equal(await written(), 0);
  });

  it("one that freezes while a large result is on its way to it is cut off by the server's socket", async (t) => {
    const { proxy, provider, leader, successor, token, write, written } = await stage(t);
    const opened = Promise.withResolvers<void>();
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 1_000 }), async (tx) => {
      await write(tx);
      await proxy.mode({ kind: "stall", direction: "toClient" });
      const large = tx.query("select repeat('x', 100000) from generate_series(1, 2000)");
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

  it("one whose process dies lets its successor pass as soon as the server sees the socket closed, also in the middle of a statement", async (t) => {
    const { proxy, provider, leader, successor, token } = await stage(t);
    const opened = Promise.withResolvers<void>();
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 18_000 }), async (tx) => {
      const sleeping = tx.query("select pg_sleep(20)");
      opened.resolve();
      await sleeping;
    });
    running.catch(() => undefined); // looked at below
    await opened.promise;
    await leader.scene.until("it sleeps", async () => ((await server.query("select from pg_stat_activity where query like '%pg_sleep(20)%' and state = 'active' and pid <> pg_backend_pid()")).length > 0 ? true : undefined));
    const beforeMs = performance.now();
    proxy.resetAll();
    await takeOver(successor, leader, ELECTION);
    assert.ok(performance.now() - beforeMs < 18_000 / 2, "before the statement's own limit");
    await assert.rejects(running);
  });

  // ---- the end of the term

  it("the end of the term destroys the connection of an open transaction: TERM_LOST with what the work made of it as the cause", async (t) => {
    const { provider, pool, leader, token, write, written } = await stage(t);
    const over = new AbortController();
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { over: over.signal }), async (tx) => {
      await write(tx);
      const sleeping = tx.query("select pg_sleep(20)");
      over.abort();
      await sleeping;
    });
    await assert.rejects(running, (error) => isTribuneError(error, "TERM_LOST") && error.cause instanceof Error);
    assert.deepEqual([await written(), pool.totalCount], [0, 0]);
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await write(tx));
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
    const { provider, pool, leader, token } = await stage(t, { max: 1 });
    const occupant = await pool.connect();
    const over = new AbortController();
    const waiting = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { over: over.signal }), async () => assert.fail("the work was run"));
    over.abort();
    await assert.rejects(waiting, { code: "TERM_LOST" });
    occupant.release();
    await leader.scene.until("the client is back", async () => (pool.idleCount === 1 && pool.waitingCount === 0 ? true : undefined));
  });

  it("a pool that gives no connection within a lease is STORE_TIMEOUT", async (t) => {
    const { provider, pool, leader, token } = await stage(t, { max: 1 });
    const occupant = await pool.connect();
    const waiting = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 100 }), async () => assert.fail("the work was run"));
    await assert.rejects(waiting, { code: "STORE_TIMEOUT" });
    occupant.release();
  });

  // ---- the commit

  it("a connection that breaks during the commit is COMMIT_UNKNOWN, whether it was done or not", async (t) => {
    for (const [direction, done] of [
      ["toClient", 1],
      ["toServer", 0],
    ] as const) {
      const { proxy, provider, leader, token, write, written } = await stage(t);
      const worked = Promise.withResolvers<void>();
      const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
        await write(tx);
        await proxy.mode({ kind: "blackhole", direction });
        worked.resolve();
      });
      const unknown = assert.rejects(running, { code: "COMMIT_UNKNOWN" });
      await worked.promise;
      await new Promise((resolve) => setImmediate(resolve)); // the commit is sent when the work's promise has settled
      if (done === 1) await leader.scene.until("it is committed", async () => ((await written()) === 1 ? true : undefined));
      proxy.resetAll();
      await unknown;
      assert.equal(await written(), done);
    }
  });

  it("a commit that is not answered within a lease is COMMIT_UNKNOWN, and its connection is destroyed", async (t) => {
    const { proxy, provider, pool, leader, token, write } = await stage(t);
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { leaseMs: 1_000 }), async (tx) => {
      await write(tx);
      await proxy.mode({ kind: "blackhole", direction: "toClient" });
    });
    await assert.rejects(running, { code: "COMMIT_UNKNOWN" });
    assert.equal(pool.totalCount, 0);
  });

  it("the end of the term does not cut a commit that is under way: its answer tells", async (t) => {
    const { proxy, provider, leader, token, write, written } = await stage(t);
    const over = new AbortController();
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token, { over: over.signal }), async (tx) => {
      await write(tx);
      await proxy.mode({ kind: "hold", direction: "toClient" });
    });
    await leader.scene.until("it is committed", async () => ((await written()) === 1 ? true : undefined));
    over.abort();
    await proxy.mode({ kind: "pass" });
    await running;
  });

  it("a connection that ended while the work did other things: nothing was written, and the process goes on", async (t) => {
    const { provider, pool, leader, token, write, written } = await stage(t);
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
      await write(tx);
      const ended = new Promise((resolve) => tx.once("end", resolve));
      const pid = (await tx.query<{ pid: number }>("select pg_backend_pid() as pid")).rows[0]?.pid;
      await server.query("select pg_terminate_backend($1)", [pid]);
      await ended;
    });
    await assert.rejects(running, { code: "STORE_SESSION_ENDED" });
    assert.deepEqual([await written(), pool.totalCount], [0, 0]);
  });

  it("an error at the commit, such as a deferred constraint's, is the user's to read", async (t) => {
    const { provider, leader, token, write, written } = await stage(t);
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
      await write(tx);
      await write(tx);
    });
    await assert.rejects(running, { code: "23505" });
    assert.equal(await written(), 0);
  });

  it("a failed statement whose error the work swallowed rolls everything back, and that is said", async (t) => {
    const { provider, pool, leader, token, write, written } = await stage(t);
    const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
      await write(tx);
      await tx.query("select 1 / 0").catch(() => undefined);
    });
    await assert.rejects(running, (error) => isTribuneError(error, "STORE_FAILED") && /rolled back/.test(error.message));
    assert.deepEqual([await written(), pool.idleCount], [0, 1]);
  });

  for (const [what, statements] of [
    ["commits", ["commit"]],
    ["commits and begins another one", ["commit", "begin"]],
    ["rolls back and begins another one", ["rollback", "begin"]],
  ] as const) {
    it(`work that ${what} is TRANSACTION_REQUIRED, and what it wrote after that in a transaction is not committed`, async (t) => {
      const { provider, leader, token, write, written } = await stage(t);
      const running = provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => {
        for (const statement of statements) await tx.query(statement);
        if (statements.length > 1) await write(tx);
      });
      await assert.rejects(running, { code: "TRANSACTION_REQUIRED" });
      assert.equal(await written(), 0);
    });
  }

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

  // ---- guard

  it("the limits of a guard are half a lease, a shorter one of the user's stays, and all are back after the transaction", async (t) => {
    const { provider, borrow, leader, token } = await stage(t);
    const names = ["idle_in_transaction_session_timeout", "statement_timeout", "tcp_user_timeout"];
    const limits = async (tx: PoolClient) => {
      const found: string[] = [];
      for (const name of names) found.push((await tx.query<Record<string, string>>(`show ${name}`)).rows[0]?.[name] ?? "");
      return found;
    };
    const tx = await borrow();
    await tx.query("set statement_timeout = '700ms'");
    const before = await limits(tx);
    assert.deepEqual(before, ["0", "700ms", "0"]);
    await tx.query("begin");
    await provider.fenced.guard(fenceOf(leader, ELECTION, token, { leaseMs: 3_001 }), tx);
    assert.deepEqual(await limits(tx), ["1500ms", "700ms", "1500"]);
    await tx.query("set local tcp_user_timeout = 900");
    await provider.fenced.guard(fenceOf(leader, ELECTION, token, { leaseMs: 2_000 }), tx);
    assert.deepEqual(await limits(tx), ["1s", "700ms", "900"]);
    await tx.query("commit");
    assert.deepEqual(await limits(tx), before);
  });

  for (const isolation of ["read committed", "repeatable read", "serializable"]) {
    it(`at ${isolation}, a guard whose fence moved after the transaction's first look is TERM_LOST`, async (t) => {
      const { provider, borrow, leader, successor, token } = await stage(t);
      const tx = await borrow();
      await tx.query(`begin isolation level ${isolation}`);
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
    await tx.query("begin");
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

  it("a guard on what is no client, or on the pool itself, is TRANSACTION_REQUIRED", async (t) => {
    const { provider, pool, leader, token } = await stage(t);
    for (const tx of [pool, undefined, null, {}]) {
      await assert.rejects(provider.fenced.guard(fenceOf(leader, ELECTION, token), tx as PoolClient), { code: "TRANSACTION_REQUIRED" });
    }
  });

  it("a guard in a transaction that has failed already says so", async (t) => {
    const { provider, borrow, leader, token } = await stage(t);
    const tx = await borrow();
    await tx.query("begin");
    await tx.query("select 1 / 0").catch(() => undefined);
    await assert.rejects(provider.fenced.guard(fenceOf(leader, ELECTION, token), tx), { code: "STORE_FAILED" });
    await tx.query("rollback");
  });

  it("a database without Tribune's tables is FENCE_NOT_FOUND", async (t) => {
    const { leader, token } = await stage(t);
    const { url } = await server.createDatabase();
    const elsewhere = postgres({ url });
    t.after(async () => await elsewhere.close());
    await assert.rejects(elsewhere.fenced.transaction(fenceOf(leader, ELECTION, token), async () => assert.fail("the work was run")), { code: "FENCE_NOT_FOUND" });
  });

  it("names with quotes and backslashes are data", async (t) => {
    const { provider, leader, token } = await stage(t);
    for (const name of ["it's", "a\\' or true --", '"; select', "$1"]) {
      await assert.rejects(provider.fenced.transaction(fenceOf(leader, name, token), async () => undefined), { code: "FENCE_NOT_FOUND" }, name);
    }
  });

  // ---- whose connections

  it("a role that may only use the fences can run fenced transactions", async (t) => {
    const { leader, token, write, written } = await stage(t);
    await server.query("create role writer login password 'writer'");
    await server.query("grant usage on schema tribune to writer");
    await server.query("grant select, update on tribune.fences to writer");
    await server.query("grant select, insert on ledger to writer");
    const pool = new Pool({ connectionString: server.urlOf({ user: "writer", password: "writer" }) });
    t.after(async () => await pool.end());
    await postgres({ pool }).fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await write(tx));
    assert.equal(await written(), 1);
  });

  it("with a URL the provider makes a pool with the first transaction, of at most four, and ends it with close", async (t) => {
    const { leader, token } = await stage(t);
    const url = new URL(server.url);
    url.searchParams.set("application_name", "own-pool");
    const provider = postgres({ url: url.href });
    const connections = async () => (await server.query("select from pg_stat_activity where application_name = 'own-pool'")).length;
    assert.equal(await connections(), 0);
    let open = 0;
    let most = 0;
    const work = async (tx: { query(text: string): Promise<unknown> }) => {
      most = Math.max(most, (open += 1));
      await tx.query("select pg_sleep(0.02)");
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
    const { provider, pool, leader, token, write } = await stage(t, { max: 3 });
    const endings = [
      async (tx: PoolClient) => void (await write(tx)),
      async () => await Promise.reject(new Error("mine")),
      async (tx: PoolClient) => void (await tx.query("nonsense")),
      async (tx: PoolClient) => void (await tx.query("nonsense").catch(() => undefined)),
      async (tx: PoolClient) => void (await tx.query("select pg_terminate_backend(pg_backend_pid())")),
    ];
    const results = await Promise.allSettled(Array.from({ length: 100 }, async (_, n) => await provider.fenced.transaction(fenceOf(leader, ELECTION, token), endings[n % 5] ?? endings[0]!)));
    assert.equal(results.filter((each) => each.status === "fulfilled").length, 1, "all but the first write the same line");
    assert.deepEqual([pool.waitingCount, pool.totalCount - pool.idleCount], [0, 0]);
    await provider.fenced.transaction(fenceOf(leader, ELECTION, token), async (tx) => await tx.query("select 1"));
  });
});
