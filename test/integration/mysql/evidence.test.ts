import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { isTribuneError } from "../../../src/kernel/index.ts";
import type { PresenceRow } from "../../../src/store/index.ts";
import type { ServerFacts } from "../../../src/store/mysql/connection.ts";
import { objectionTo } from "../../../src/store/mysql/evidence.ts";
import { mysql } from "../../../src/store/mysql/index.ts";
import type { Member, Scene } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { startMariadb } from "../../support/mariadb-server.ts";
import { describeWithServer, fenceOf, sceneOn } from "./here.ts";

type Context = Parameters<typeof sceneOn>[0];

const EVIDENCE = { leaseMs: 15_000 };
const HELD = { held: true, why: "the presence lock is held on a direct session" };

/** The lock that a session holds while its process lives: when it is held, when it is free, and what speaks against holding it. */
await describeWithServer("evidence of death in MariaDB", {}, async (server) => {
  const { url, name } = await server.createDatabase();
  const waiting = async () => (await server.query("select id from information_schema.processlist where state = 'User lock'")).map((row) => Number(row["id"]));

  // ---- the process dies, or does not

  it("is free once the process is killed, which whoever attends hears of; one that is frozen holds it, however long its lease has run out", async (t) => {
    const observer = await sceneOn(t, mysql({ url })).member();
    const holder = await startHolder(t, observer.scene, url);
    assert.equal(holder.held, true);
    const attended = observer.session.attend({ incarnations: [holder.incarnation], signal: new AbortController().signal });
    assert.equal((await holder.row(observer)).evidence, "held");
    holder.process.kill("SIGSTOP");
    await observer.scene.until("the lease runs out", async () => ((await holder.row(observer)).expired ? true : undefined));
    for (let n = 0; n < 20; n++) assert.equal((await holder.row(observer)).evidence, "held");
    assert.equal(await holder.declareDead(observer, true), false);
    const killedAtMs = performance.now();
    holder.process.kill("SIGKILL");
    await attended;
    t.diagnostic(`whoever attended heard of it after ${(performance.now() - killedAtMs).toFixed(1)} ms`);
    await observer.scene.until("it is free", async () => ((await holder.row(observer)).evidence === "free" ? true : undefined));
    assert.equal(await holder.declareDead(observer, true), true);
  });

  it("is free once the server ends the session, and whose it was has heard that its session is over", async (t) => {
    const [observer, holder] = await cast(t);
    const [row] = await server.query(`select is_used_lock(armed_key) as id from ${name}.tribune_presence where incarnation = ?`, [holder.incarnation]);
    await server.query(`kill connection ${Number(row?.["id"])}`);
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

  it("after a crash of the server shows none: it freed everybody's, also of those who live and do not know yet; the next beats arm again", async (t) => {
    const [observer, holder] = await cast(t);
    const { epoch } = await observer.look();
    const started = async () => Number((await server.query("select unix_timestamp() - variable_value as at from information_schema.global_status where variable_name = 'UPTIME'"))[0]?.["at"]);
    const before = await started();
    await server.kill("SIGKILL");
    await observer.scene.until("the second of its start is over", async () => (Math.floor(Date.now() / 1_000) > before ? true : undefined));
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

  it("is armed with no lock but the session's own: a beat on a session that has lost it disarms", async (t) => {
    const [observer, holder] = await cast(t);
    const [row] = await server.query(`select armed_key from ${name}.tribune_presence where incarnation = ?`, [holder.incarnation]);
    assert.match(String(row?.["armed_key"]), /^tribune_[0-9a-f]{32}$/);
    // As a proxy would that puts another connection under the session: somebody else has the lock.
    await server.query(`update ${name}.tribune_presence set armed_key = 'tribune_other' where incarnation = ?`, [holder.incarnation]);
    assert.equal((await observer.presenceOf(holder)).evidence, "free");
    assert.equal((await holder.beat()).accepted, true);
    assert.equal((await observer.presenceOf(holder)).evidence, "held");
  });

  // ---- what speaks against it

  it("is held on a socket file, on which there are no addresses to compare", async (t) => {
    const config = { socketPath: server.socketPath, user: "tribune", password: server.password, database: name };
    assert.deepEqual((await sceneOn(t, mysql({ config })).session({ evidence: EVIDENCE })).info.evidence, HELD);
  });

  it("is held where the server tells addresses, as where it tells names", async (t) => {
    const plain = await startMariadb({ programs: server.place.programs, settings: { skip_name_resolve: 1 } });
    t.after(async () => await plain.stop());
    const { info } = await sceneOn(t, mysql({ url: (await plain.createDatabase()).url })).session({ evidence: EVIDENCE });
    assert.deepEqual(info.evidence, HELD);
  });

  it("is not held through a plain proxy, whose address the server sees, unless the user says that the way is as good as direct", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const through = server.urlOf({ database: name, port: proxy.port });
    const { info } = await sceneOn(t, mysql({ url: through })).session({ evidence: EVIDENCE });
    assert.deepEqual(info.evidence, { held: false, why: "the server sees another address than ours, so a proxy or NAT stands between" });
    assert.match(info.warnings.join(" "), /no evidence of life.*direct: true/);
    assert.deepEqual((await sceneOn(t, mysql({ url: through, direct: true })).session({ evidence: EVIDENCE })).info.evidence, HELD);
  });

  it("is not held where the server gives up a connection sooner than the lease is over, and is where it does not", async (t) => {
    await server.query("set global tcp_keepalive_time = 4, global tcp_keepalive_interval = 1, global tcp_keepalive_probes = 3");
    t.after(async () => void (await server.query("set global tcp_keepalive_time = 0, global tcp_keepalive_interval = 0, global tcp_keepalive_probes = 0")));
    const scene = sceneOn(t, mysql({ url }));
    const { info } = await scene.session({ evidence: { leaseMs: 7_001 } });
    assert.deepEqual([info.evidence.held, /7000 ms, sooner than a lease of 7001 ms/.test(info.evidence.why)], [false, true], info.evidence.why);
    assert.match(info.warnings.join(" "), /raise tcp_keepalive_time/);
    assert.equal((await scene.session({ evidence: { leaseMs: 7_000 } })).info.evidence.held, true);
  });

  it("outlasts a server that ends silent connections soon: the session asks for ten leases", async (t) => {
    await server.query("set global wait_timeout = 1, global interactive_timeout = 1, global idle_transaction_timeout = 1");
    t.after(async () => void (await server.query("set global wait_timeout = 28800, global interactive_timeout = 28800, global idle_transaction_timeout = 0")));
    const [observer, holder] = await cast(t);
    const endMs = performance.now() + 2_500;
    await observer.scene.until("the server's own limit is long over", async () => {
      assert.equal((await observer.presenceOf(holder)).evidence, "held");
      return performance.now() > endMs ? true : undefined;
    });
    assert.equal((await holder.beat()).accepted, true);
  });

  // ---- connections

  it("takes no connection more; attending takes one, and none is left when it is over", async (t) => {
    const count = async () => (await server.query("select 1 from information_schema.processlist where db = ?", [name])).length;
    const scene = sceneOn(t, mysql({ url }));
    await scene.until("those of other tests are gone", async () => ((await count()) === 0 ? true : undefined));
    const observer = await scene.member({ session: await scene.session({ evidence: EVIDENCE }) });
    const holder = await armed(scene);
    assert.equal(await count(), 2, "one for each session");
    const calledOff = new AbortController();
    const attended = observer.attend([holder], calledOff.signal);
    attended.catch(() => undefined); // looked at below
    await scene.until("it waits in the server", async () => ((await waiting()).length === 1 ? true : undefined));
    assert.equal(await count(), 3, "one more while attending");
    calledOff.abort();
    await assert.rejects(attended, { code: "ABORTED" });
    // The server notices who has gone when the wait is over.
    await scene.until("the connection is gone", async () => ((await count()) === 2 ? true : undefined));
    assert.equal((await observer.presenceOf(holder)).evidence, "held");
  });

  it("is attended on a connection whose end is nobody else's: it rejects with a code, and the session goes on", async (t) => {
    const [observer, holder] = await cast(t);
    const attended = observer.attend([holder]);
    attended.catch(() => undefined); // looked at below
    await observer.scene.until("it is cut", async () => {
      const [id] = await waiting();
      if (id === undefined) return undefined;
      await server.query(`kill connection ${id}`);
      return true;
    });
    await assert.rejects(attended, isTribuneError);
    assert.equal((await observer.beat()).accepted, true);
  });

  it("of one that was attended is free at once, however many attended: none of them keeps the lock", async (t) => {
    const scene = sceneOn(t, mysql({ url }));
    const [attenders, holder] = [await scene.members(4), await armed(scene)];
    const attended = attenders.map(async (each) => await each.attend([holder]));
    await scene.until("all of them wait", async () => ((await waiting()).length === 4 ? true : undefined));
    holder.session.destroy(new Error("the process is gone"));
    await Promise.all(attended);
    await scene.until("it is free", async () => ((await attenders[0]?.presenceOf(holder))?.evidence === "free" ? true : undefined));
    assert.deepEqual(await waiting(), []);
  });

  it("has a bell: whoever attends is woken when the holder frees an election in good order, while the evidence stays held, and can wait again", async (t) => {
    const scene = sceneOn(t, mysql({ url }));
    const [attenders, holder] = [await scene.members(2), await armed(scene)];
    await holder.createElection("e");
    for (let round = 0; round < 2; round++) {
      const token = (await holder.claim("e"))?.token ?? assert.fail("the election is free");
      const attended = attenders.map(async (each) => await each.attend([holder]));
      await scene.until("both of them wait", async () => ((await waiting()).length === 2 ? true : undefined));
      await holder.resign("e", token);
      await Promise.all(attended);
      assert.equal((await attenders[0]?.presenceOf(holder))?.evidence, "held");
      await scene.until("it hangs again", async () => {
        const [row] = await server.query("select is_used_lock(concat(armed_key, '_bell')) is not null as hangs from tribune_presence where incarnation = ?", [holder.incarnation], { database: name });
        return Number(row?.["hangs"]) === 1 ? true : undefined;
      });
    }
  });

  it("does not hold up fenced transactions, nor do they hold it", async (t) => {
    const [observer, holder] = await cast(t);
    const provider = mysql({ url });
    t.after(async () => await provider.close());
    const token = await holder.lead("e");
    await provider.fenced.transaction(fenceOf(holder, "e", token), async (tx) => {
      await tx.query("select 1");
      assert.equal((await observer.presenceOf(holder)).evidence, "held");
      assert.equal((await holder.beat()).accepted, true);
    });
  });

  // ---- the cast

  /** One who looks, and one whose session holds evidence, armed. */
  async function cast(t: Context): Promise<readonly [Member, Member]> {
    const scene = sceneOn(t, mysql({ url }));
    return [await scene.member(), await armed(scene)];
  }
});

async function armed(scene: Scene): Promise<Member> {
  const session = await scene.session({ evidence: EVIDENCE });
  assert.deepEqual(session.info.evidence, HELD);
  const member = await scene.member({ session });
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

describe("what speaks against holding evidence in MySQL", () => {
  const facts: ServerFacts = {
    ...{ version: "8.4.0", mariadb: false, connectionId: 7, greeted: true, seenFrom: "10.0.0.9:40000", comesFrom: { address: "10.0.0.9", port: 40_000 } },
    ...{ lasting: true, galera: false, multiPrimary: false, keepAliveMs: 0 },
  };
  const way = { leaseMs: 15_000, assertedDirect: false, sameEnd: true };

  it("is nothing where both ends see the same and nobody gives up early", () => {
    assert.equal(objectionTo(facts, way), undefined);
    assert.equal(objectionTo({ ...facts, keepAliveMs: 15_000 }, way), undefined);
    assert.equal(objectionTo({ ...facts, comesFrom: undefined, keepAliveMs: 1 }, way), undefined, "a socket file has no keep-alive");
  });

  for (const [what, over, why] of [
    ["a node of a Galera cluster", { galera: true }, /Galera/],
    ["a group with several primaries", { multiPrimary: true }, /several servers/],
    ["a proxy that greets by itself", { greeted: false }, /a proxy stands between/],
    ["keep-alives that are short", { keepAliveMs: 14_999 }, /14999 ms, sooner/],
  ] as const) {
    it(`is ${what}, also where the user says that the way is direct`, () => {
      for (const assertedDirect of [false, true]) assert.match(objectionTo({ ...facts, ...over }, { ...way, assertedDirect })?.why ?? "nothing", why);
    });
  }

  it("is another address, unless the user says that the way is direct", () => {
    assert.match(objectionTo(facts, { ...way, sameEnd: false })?.why ?? "nothing", /another address/);
    assert.equal(objectionTo(facts, { ...way, sameEnd: false, assertedDirect: true }), undefined);
  });
});
