import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Client, Pool } from "pg";
import type { PoolConfig } from "pg";
import { isTribuneError } from "../../../src/kernel/index.ts";
import type { OpenContext, PresenceRow } from "../../../src/store/index.ts";
import { objectionTo } from "../../../src/store/postgres/evidence.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import type { Member, Scene } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { requireOrSkip } from "../../support/required.ts";
import { describeWithServer, fenceOf, sceneOn } from "./here.ts";
import { startPgBouncer } from "./pgbouncer.ts";

type Context = Parameters<typeof sceneOn>[0];

const EVIDENCE = { leaseMs: 15_000 };
const HELD = { held: true, why: "the presence lock is held on a direct session" };
const OURS = "select application_name, wait_event from pg_stat_activity where application_name like 'tribune:%' order by 1";
const LOCKS = "select pid, objid, mode, granted from pg_locks where locktype = 'advisory' and classid = 1414678853 order by pid";

/** The lock that a session holds while its process lives: when it is held, when it is free, and what speaks against holding it. */
await describeWithServer("evidence of death in PostgreSQL", {}, async (server) => {
  const { url, name } = await server.createDatabase();

  // ---- the process dies, or does not

  it("is free once the process is killed, which whoever attends hears of; one that is frozen holds it, however long its lease has run out", async (t) => {
    const observer = await sceneOn(t, postgres({ url })).member();
    const holder = await startHolder(t, observer.scene, url);
    assert.equal(holder.held, true);
    const attended = observer.session.attend({ incarnations: [holder.incarnation], signal: new AbortController().signal });
    assert.equal((await holder.row(observer)).evidence, "held");
    holder.process.kill("SIGSTOP");
    await observer.scene.until("the lease runs out", async () => ((await holder.row(observer)).expired ? true : undefined));
    for (let n = 0; n < 20; n++) assert.equal((await holder.row(observer)).evidence, "held");
    assert.equal(await holder.declareDead(observer, true), false);
    holder.process.kill("SIGKILL");
    await attended;
    await observer.scene.until("it is free", async () => ((await holder.row(observer)).evidence === "free" ? true : undefined));
    assert.equal(await holder.declareDead(observer, true), true);
  });

  it("is free once the server ends the session, and whose it was has heard that its session is over", async (t) => {
    const [observer, holder] = await cast(t);
    await server.query("select pg_terminate_backend(l.pid) from pg_locks l where l.locktype = 'advisory' and l.classid = 1414678853");
    await observer.scene.until("it is free", async () => ((await observer.presenceOf(holder)).evidence === "free" ? true : undefined));
    await observer.scene.until("the session is over", async () => (holder.session.ended.aborted ? true : undefined));
    assert.ok(isTribuneError(holder.session.ended.reason, "STORE_SESSION_ENDED"));
  });

  it("is held to its own session too, which would get the lock once more", async (t) => {
    const [, holder] = await cast(t);
    assert.equal((await holder.presenceOf(holder)).evidence, "held");
    assert.equal((await holder.reading()).presence.find((row) => row.incarnation === holder.incarnation)?.evidence, "held");
    assert.equal(await holder.declareDead(holder, { requireFree: true }), false);
  });

  it("is given up by a session that is closed only after whoever trusts in it has been told", async (t) => {
    const order: string[] = [];
    class Spied extends Client {
      override end = (() => {
        order.push("the connection ends");
        return super.end();
      }) as Client["end"];
    }
    const { scene } = stage(t, {}, Spied);
    const session = await scene.session({ evidence: EVIDENCE });
    session.ended.addEventListener("abort", () => order.push("the session has ended"));
    await session.close();
    assert.deepEqual(order.slice(0, 2), ["the session has ended", "the connection ends"]);
  });

  it("after a crash of the server shows none: it freed everybody's, also of those who live and do not know yet; the next beats arm again", async (t) => {
    const [observer, holder] = await cast(t);
    const { epoch } = await observer.look();
    await server.kill("SIGQUIT");
    await server.start();
    await observer.reconnect();
    const after = await observer.look();
    assert.equal(after.epoch, epoch, "it is the same epoch");
    assert.equal((await observer.presenceOf(holder)).evidence, "none");
    assert.equal(await observer.declareDead(holder, { requireFree: true }), false);
    await holder.scene.until("the session is over", async () => (holder.session.ended.aborted ? true : undefined));
    holder.session = await holder.scene.session({ group: holder.scene.group, evidence: EVIDENCE });
    assert.equal((await holder.beat()).accepted, true);
    assert.equal((await observer.presenceOf(holder)).evidence, "held");
  });

  // ---- what holds it

  it("is one lock of a class of its own under a random number, on the connection that beats; nothing else is held", async (t) => {
    const { scene } = stage(t);
    const session = await scene.session({ evidence: EVIDENCE });
    assert.deepEqual(session.info.evidence, HELD);
    assert.deepEqual(session.info.warnings, []);
    const locks = await server.query(LOCKS);
    assert.deepEqual(locks.map(({ mode, granted }) => [mode, granted]), [["ExclusiveLock", true]]);
    const second = await scene.session({ evidence: EVIDENCE });
    assert.equal(second.info.evidence.held, true);
    assert.equal(new Set((await server.query(LOCKS)).map((row) => row["objid"])).size, 2);
  });

  it("is taken under another number where somebody has the first one, and not at all where all are taken", async (t) => {
    const { scene } = stage(t);
    const other = await connected(t, url);
    await other.query("select pg_advisory_lock(1414678853, 7)");
    const ids = (list: readonly string[]) => {
      const left = [...list];
      return { next: () => 0.5, id: () => left.shift()?.padStart(8, "0").padEnd(32, "0") ?? "7".padStart(8, "0") };
    };
    const session = await scene.session({ evidence: EVIDENCE, random: ids(["7", "fffffff0"]) });
    assert.equal(session.info.evidence.held, true);
    const [lock] = (await server.query(LOCKS)).filter((row) => Number(row["objid"]) !== 7);
    assert.equal(Number(lock?.["objid"]), 0xfffffff0);
    const member = await scene.member({ session });
    await member.beat();
    assert.equal((await (await scene.member()).presenceOf(member)).evidence, "held", "also under a negative number");
    const without = await scene.session({ evidence: EVIDENCE, random: ids([]) });
    assert.equal(without.info.evidence.held, false);
    assert.match(without.info.evidence.why, /could not be had/);
  });

  it("is held on a Unix-domain socket, on which there are no addresses to compare", async (t) => {
    const { scene } = stage(t, { connectionString: undefined, host: server.socketDir, port: server.port, user: "tribune", password: server.password, database: name });
    assert.deepEqual((await scene.session({ evidence: EVIDENCE })).info.evidence, HELD);
  });

  it("is not freed by TCP giving up sooner than after two leases, whatever the server's machine is set to", async (t) => {
    const { scene, last } = stage(t);
    await scene.session({ evidence: EVIDENCE });
    const shown = async () => (await last().query<{ tcp_user_timeout: string }>("show tcp_user_timeout")).rows[0]?.tcp_user_timeout;
    if (process.platform === "linux") assert.equal(await shown(), "30000");
    await scene.session();
    assert.equal(await shown(), "0", "a session without evidence leaves it alone");
  });

  // ---- what speaks against it

  for (const mode of ["transaction", "session"] as const) {
    it(`is not held through PgBouncer in ${mode} mode, also where the user says that the way is direct; who looks through it sees that of others`, async (t) => {
      const pgbouncer = await startPgBouncer(server, mode);
      if ("missing" in pgbouncer) return requireOrSkip(t, "pgbouncer", pgbouncer.missing);
      t.after(async () => await pgbouncer.stop());
      for (const direct of [false, true]) {
        const scene = sceneOn(t, postgres({ url: pgbouncer.urlOf(name), direct }));
        const session = await scene.session({ evidence: EVIDENCE });
        assert.equal(session.info.evidence.held, false);
        assert.match(session.info.evidence.why, /pooler/);
        assert.match(session.info.warnings.join(" "), /no evidence of life: a pooler.*connect to the server directly/);
        const observer = await scene.member({ session });
        await observer.beat();
        assert.equal((await observer.presenceOf(observer)).evidence, "none");
        const holder = await armed(sceneOn(t, postgres({ url })), scene.group);
        assert.equal((await observer.presenceOf(holder)).evidence, "held");
        const attended = observer.attend([holder]);
        holder.session.destroy(new Error("the process is gone"));
        await attended;
        await scene.until("it is free", async () => ((await observer.presenceOf(holder)).evidence === "free" ? true : undefined));
        await session.close();
      }
    });
  }

  it("is not held through a plain proxy, whose address the server sees, unless the user says that the way is as good as direct", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const through = server.urlOf({ database: name, port: proxy.port });
    const { info } = await sceneOn(t, postgres({ url: through })).session({ evidence: EVIDENCE });
    assert.deepEqual(info.evidence, { held: false, why: "the server sees another address than ours, so a proxy or NAT stands between" });
    assert.match(info.warnings.join(" "), /no evidence of life.*direct: true/);
    assert.equal(info.hints, true);
    assert.deepEqual((await sceneOn(t, postgres({ url: through, direct: true })).session({ evidence: EVIDENCE })).info.evidence, HELD);
  });

  it("is not held where the server gives up a connection sooner than the lease is over, and is where it does not", async (t) => {
    const { scene } = stage(t, { options: "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3" });
    const { info } = await scene.session({ evidence: { leaseMs: 7_001 } });
    assert.deepEqual([info.evidence.held, /7000 ms, sooner than a lease of 7001 ms/.test(info.evidence.why)], [false, true], info.evidence.why);
    assert.match(info.warnings.join(" "), /raise tcp_keepalives_idle/);
    assert.equal((await scene.session({ evidence: { leaseMs: 7_000 } })).info.evidence.held, true);
    const impatient = stage(t, { options: "-c tcp_user_timeout=5000" });
    assert.match((await impatient.scene.session({ evidence: EVIDENCE })).info.evidence.why, /after 5000 ms \(tcp_user_timeout\)/);
    assert.equal((await impatient.scene.session({ evidence: { leaseMs: 4_000 } })).info.evidence.held, true);
    const { rows } = await impatient.last().query<{ tcp_user_timeout: string }>("show tcp_user_timeout");
    assert.equal(rows[0]?.tcp_user_timeout, "5000", "what somebody has set is left alone");
  });

  it("is not held by a role that may not lock, and shows as held to one that may not ask; all else works, also where that is taken away under way", async (t) => {
    const secluded = await server.createDatabase();
    const on = { database: secluded.name };
    await (await sceneOn(t, postgres({ url: secluded.url })).session()).close();
    await server.query("create role secluded login password 'secluded'");
    await server.query("grant usage on schema tribune to secluded", [], on);
    await server.query("grant select, insert, update, delete on all tables in schema tribune to secluded", [], on);
    const role = server.urlOf({ user: "secluded", password: "secluded", database: secluded.name });
    const before = await sceneOn(t, postgres({ url: role })).member();
    await before.beat();
    const holder = await armed(sceneOn(t, postgres({ url: secluded.url })), before.scene.group);
    assert.equal((await before.presenceOf(holder)).evidence, "held");
    for (const each of ["pg_try_advisory_lock", "pg_try_advisory_xact_lock_shared", "pg_advisory_xact_lock_shared"]) await server.query(`revoke execute on function ${each}(int, int) from public`, [], on);
    const scene = sceneOn(t, postgres({ url: role }));
    const after = await scene.member({ node: "after", group: before.scene.group, session: await scene.session({ group: before.scene.group, evidence: EVIDENCE }) });
    assert.deepEqual(after.session.info.evidence, { held: false, why: "this role may not execute pg_try_advisory_lock" });
    assert.match(after.session.info.warnings.join(" "), /grant execute/);
    holder.session.destroy(new Error("the process is gone"));
    const looker = await sceneOn(t, postgres({ url: secluded.url })).member({ node: "looker", group: before.scene.group });
    await looker.scene.until("it is free", async () => ((await looker.presenceOf(holder)).evidence === "free" ? true : undefined));
    for (const each of [before, after]) {
      assert.equal((await each.beat()).accepted, true);
      assert.equal((await each.presenceOf(holder)).evidence, "held", "in doubt");
      assert.equal(await each.declareDead(holder, { requireFree: true }), false);
      await assert.rejects(each.attend([holder]), { code: "STORE_PERMISSION_DENIED" });
      const token = await each.lead("e");
      assert.equal(await each.resign("e", token), true);
      assert.equal(each.session.ended.aborted, false);
    }
    assert.equal(await before.declareDead(holder), true);
  });

  it("is void when the session turns out to be served by changing server processes: it ends, and later ones of the store hold none", async (t) => {
    let moved = false;
    class Moving extends Client {
      override query = ((...args: Parameters<Client["query"]>) => {
        const answer = super.query(...args) as unknown as Promise<{ rows: Record<string, unknown>[] }>;
        return answer.then((result) => {
          if (moved) for (const row of result.rows) if ("listening" in row) row["pid"] = "7";
          return result;
        });
      }) as unknown as Client["query"];
    }
    const { scene } = stage(t, {}, Moving);
    const member = await armed(scene);
    const first = member.session;
    moved = true;
    await assert.rejects(member.beat(), { code: "STORE_SESSION_ENDED" });
    assert.ok(isTribuneError(first.ended.reason, "STORE_SESSION_ENDED"));
    assert.deepEqual(first.info.evidence, { held: false, why: "the session turned out to be served by changing server processes" });
    member.session = await scene.session({ evidence: EVIDENCE });
    assert.match(member.session.info.evidence.why, /an earlier session was served by changing server processes/);
    assert.equal((await member.beat()).accepted, true);
    assert.equal((await member.presenceOf(member)).evidence, "none");
  });

  // ---- connections

  it("takes no connection more; attending takes one, named for what it does, and none is left when it is over", async (t) => {
    const { scene } = stage(t);
    const observer = await scene.member({ session: await scene.session({ node: "observer", evidence: EVIDENCE }) });
    const holder = await armed(sceneOn(t, postgres({ url })), scene.group);
    const named = (suffix: string) => async () => (await server.query(OURS)).filter((row) => String(row["application_name"]).endsWith(suffix));
    assert.equal((await server.query(OURS)).length, 2, "one for each session");
    const calledOff = new AbortController();
    const attended = observer.attend([holder], calledOff.signal);
    const waiting = await scene.until("it waits in the server", async () => ((await named(":attend")())[0]?.["wait_event"] === "advisory" ? await server.query(OURS) : undefined));
    assert.equal(waiting.length, 3, "one more while attending");
    calledOff.abort();
    await assert.rejects(attended, { code: "ABORTED" });
    await scene.until("the connection is gone", async () => ((await named(":attend")()).length === 0 ? true : undefined));
    assert.equal((await observer.presenceOf(holder)).evidence, "held");
    for (const each of [observer, holder]) await each.session.close();
    await scene.until("none is left", async () => ((await server.query(OURS)).length === 0 ? true : undefined));
    assert.deepEqual(await server.query(LOCKS), []);
  });

  it("is attended on a connection whose end is nobody else's: it rejects with a code, and the session goes on", async (t) => {
    const [observer, holder] = await cast(t);
    const attended = observer.attend([holder]);
    attended.catch(() => undefined); // looked at below
    await observer.scene.until("it is cut", async () => {
      const cut = await server.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%:attend'");
      return cut.length > 0 ? true : undefined;
    });
    await assert.rejects(attended, isTribuneError);
    assert.equal((await observer.beat()).accepted, true);
  });

  it("is waited for in the server without an error in its log, for longer than one wait lasts", async (t) => {
    const [observer, holder] = await cast(t);
    const attended = observer.attend([holder]);
    const waits = async () => (await server.query("select query_start::text as began from pg_stat_activity where application_name like '%:attend' and wait_event = 'advisory'"))[0]?.["began"];
    const first = await observer.scene.until("it waits", waits);
    await observer.scene.until("it waits again", async () => [undefined, first].includes(await waits() as string) ? undefined : true);
    holder.session.destroy(new Error("the process is gone"));
    await attended;
    assert.deepEqual(server.log.filter((line) => /ERROR: .*canceling/.test(line)), []);
  });

  it("is attended by looking again and again where there is no PL/pgSQL to wait with", async (t) => {
    const bare = await server.createDatabase();
    const scene = sceneOn(t, postgres({ url: bare.url }));
    const [observer, holder] = [await scene.member(), await armed(scene)];
    await server.query("drop extension plpgsql", [], { database: bare.name });
    const attended = observer.attend([holder]);
    await scene.until("it looks without waiting", async () => ((await server.query("select from pg_stat_activity where application_name like '%:attend' and query like '%evidence_key%' and state = 'idle'")).length > 0 ? true : undefined));
    holder.session.destroy(new Error("the process is gone"));
    await attended;
  });

  it("does not hold up fenced transactions, nor do they hold it", async (t) => {
    const [observer, holder] = await cast(t);
    const provider = postgres({ url });
    t.after(async () => await provider.close());
    const token = await holder.lead("e");
    await provider.fenced.transaction(fenceOf(holder, "e", token), async (tx) => {
      await tx.query("select 1");
      assert.equal((await observer.presenceOf(holder)).evidence, "held");
      assert.equal((await holder.beat()).accepted, true);
    });
  });

  // ---- the cast

  /** A store on a pool whose clients the test can get hold of. */
  function stage(t: Context, settings: PoolConfig = {}, ClientClass: typeof Client = Client) {
    const clients: Client[] = [];
    class Kept extends ClientClass {
      constructor(config?: ConstructorParameters<typeof Client>[0]) {
        super(config);
        clients.push(this);
      }
    }
    const pool = new Pool({ connectionString: url, ...settings, Client: Kept });
    t.after(async () => await pool.end());
    return { scene: sceneOn(t, postgres({ pool })), last: (): Client => clients.at(-1) ?? assert.fail("no client was made") };
  }

  /** One who looks, and one whose session holds evidence, armed. */
  async function cast(t: Context): Promise<readonly [Member, Member]> {
    const scene = sceneOn(t, postgres({ url }));
    return [await scene.member(), await armed(scene)];
  }
});

async function armed(scene: Scene, group = scene.group): Promise<Member> {
  const session = await scene.session({ group, evidence: EVIDENCE } satisfies Partial<OpenContext>);
  assert.deepEqual(session.info.evidence, HELD);
  const member = await scene.member({ session, group, node: `armed-${scene.random.id().slice(0, 8)}` }); // scenes count their names for themselves
  assert.equal((await member.beat()).accepted, true);
  return member;
}

/** A process of its own that joined the observer's group, and beats. */
async function startHolder(t: Context, scene: Scene, url: string) {
  const script = fileURLToPath(new URL("evidence-holder.ts", import.meta.url));
  const child: ChildProcess = spawn(process.execPath, ["--no-warnings", script], {
    env: { ...process.env, HOLDER_URL: url, HOLDER_GROUP: scene.group, HOLDER_LEASE_MS: "400" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await gone;
  });
  const lines = createInterface({ input: child.stdout ?? assert.fail("no output") });
  const [line] = (await once(lines, "line")) as [string];
  lines.resume();
  const { incarnation, held } = JSON.parse(line) as { readonly incarnation: string; readonly held: boolean };
  const row = async (observer: Member): Promise<PresenceRow> => (await observer.look()).presence.find((each) => each.incarnation === incarnation) ?? assert.fail("it has no row");
  const declareDead = async (observer: Member, requireFree: boolean): Promise<boolean> => {
    const { epoch } = await observer.look();
    const { beat } = await row(observer);
    return await observer.session.declareDead({ incarnation, beat, epoch, requireExpired: false, requireFree, by: observer.node, reason: "crashed" }, observer.call);
  };
  return { process: child, incarnation, held, row, declareDead };
}

async function connected(t: Context, url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  t.after(async () => await client.end());
  return client;
}

describe("what speaks against holding evidence", () => {
  const server = { address: "10.0.0.9", port: "40000", may_lock: "t", idle_session_timeout: "0", keepalives_idle: "7200", keepalives_interval: "75", keepalives_count: "9", user_timeout: "0" };
  const own = { address: "10.0.0.9", port: "40000" };
  const way = { leaseMs: 15_000, assertedDirect: false, moved: false };

  it("is nothing where both ends see the same numbers and nobody gives up early", () => {
    assert.equal(objectionTo(server, own, way), undefined);
    assert.equal(objectionTo({ ...server, address: null, port: null, keepalives_idle: "1" }, { address: undefined, port: undefined }, way), undefined);
    assert.equal(objectionTo({ ...server, address: "fe80::1%eth0" }, { address: "fe80::1", port: "40000" }, way), undefined);
    assert.equal(objectionTo({ ...server, keepalives_idle: "0", keepalives_interval: "0", keepalives_count: "0" }, own, way), undefined, "0 for all three: the platform has no such thing");
  });

  for (const [what, settings, end, why] of [
    ["another address", { address: "10.0.0.1" }, own, /another address/],
    ["another port", { port: "40001" }, own, /another address/],
    ["a socket here and an address there", {}, { address: undefined, port: undefined }, /another address/],
    ["an address here and a socket there", { address: null, port: null }, own, /another address/],
    ["a driver that does not show its socket", {}, undefined, /does not show its socket/],
    ["a limit on idle sessions", { idle_session_timeout: "10min" }, own, /idle_session_timeout is 10min/],
    ["keep-alives that are short", { keepalives_idle: "10", keepalives_interval: "1", keepalives_count: "4" }, own, /14000 ms, sooner/],
    ["a user timeout that is short", { user_timeout: "14999" }, own, /14999 ms/],
    ["a role that may not", { may_lock: "f" }, own, /may not execute/],
  ] as const) {
    it(`is ${what}`, () => {
      assert.match(objectionTo({ ...server, ...settings }, end, way)?.why ?? "nothing", why);
    });
  }

  it("is, where the user says that the way is direct, still all but the addresses", () => {
    const said = { ...way, assertedDirect: true };
    assert.equal(objectionTo({ ...server, address: "10.0.0.1" }, own, said), undefined);
    assert.equal(objectionTo(server, undefined, said), undefined);
    assert.match(objectionTo({ ...server, user_timeout: "10" }, own, said)?.why ?? "nothing", /tcp_user_timeout/);
  });
});

