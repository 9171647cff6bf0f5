import assert from "node:assert/strict";
import { it } from "node:test";
import { Client, Pool } from "pg";
import type { PoolConfig } from "pg";
import { silentLogger } from "../../../src/kernel/index.ts";
import type { Hint } from "../../../src/store/index.ts";
import { channelOf } from "../../../src/store/postgres/hints.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import type { Member, Scene } from "../../../src/testing/conformance/scene.ts";
import { describeWithServer, sceneOn } from "./here.ts";

/** The one connection that a node has: how it is made of the pool's settings, what it sets, how it keeps listening. */
await describeWithServer("a node's connection to PostgreSQL", {}, async (server) => {
  const { url } = await server.createDatabase();

  /** A store on a pool whose clients the test can get hold of. */
  function stage(t: Parameters<typeof sceneOn>[0], ClientClass: typeof Client = Client, settings: PoolConfig = {}) {
    const clients: Client[] = [];
    class Spied extends ClientClass {
      constructor(config?: ConstructorParameters<typeof Client>[0]) {
        super(config);
        clients.push(this);
      }
    }
    const pool = new Pool({ connectionString: url, ...settings, Client: Spied });
    t.after(async () => await pool.end());
    const last = (): Client => clients.at(-1) ?? assert.fail("no client was made");
    return { scene: sceneOn(t, postgres({ pool })), pool, clients, last };
  }

  it("is one for each node, named for the people who look there, and not one of the pool's", async (t) => {
    const { scene, pool, clients } = stage(t);
    const session = await scene.session({ node: `node-${"x".repeat(120)}` });
    assert.deepEqual([clients.length, pool.totalCount], [1, 0]);
    const [row] = await server.query("select application_name from pg_stat_activity where application_name like 'tribune:%'");
    assert.equal(row?.["application_name"], `tribune:${scene.group}:node-${"x".repeat(120)}`.slice(0, 63));
    await session.close();
    await scene.until("it is gone", async () => ((await server.query("select from pg_stat_activity where application_name like 'tribune:%'")).length === 0 ? true : undefined));
  });

  it("has settings of its own, whatever role and database say", async (t) => {
    const { scene, last } = stage(t, Client, { options: `-c default_transaction_isolation=serializable -c lock_timeout=5${server.major >= 14 ? " -c idle_session_timeout=60000" : ""}` });
    await scene.session({ statementLimitMs: 4_321 });
    const show = async (name: string) => (await last().query<Record<string, string>>(`show ${name}`)).rows[0]?.[name];
    assert.equal(await show("search_path"), "pg_catalog");
    assert.equal(await show("default_transaction_isolation"), "read committed");
    assert.equal(await show("statement_timeout"), "4321ms");
    assert.equal(await show("lock_timeout"), "0");
    if (server.major >= 14) assert.equal(await show("idle_session_timeout"), "0");
    if (server.major >= 14 && process.platform === "linux") assert.equal(await show("client_connection_check_interval"), "1s");
  });

  it("is not bothered by time limits and readers of types that the pool's clients have", async (t) => {
    const types = { getTypeParser: () => () => "nonsense" };
    const { scene } = stage(t, Client, { query_timeout: 1, statement_timeout: 1, lock_timeout: 1, idle_in_transaction_session_timeout: 1, types });
    const member = await scene.member();
    for (let n = 0; n < 50; n++) assert.equal((await member.beat()).presence[0]?.joinOrder, 1);
    assert.equal(typeof (await member.hold("e")), "number");
  });

  it("takes the password that the pool hides, also where that is a function", async (t) => {
    const { user, host, port, database } = new Client({ connectionString: url });
    const place = { user, host, port, database, connectionString: undefined };
    for (const password of [server.password, async () => await Promise.resolve(server.password)]) {
      const { scene } = stage(t, Client, { ...place, password });
      assert.equal((await scene.session()).ended.aborted, false);
    }
  });

  it("is used the same way with a configuration", async (t) => {
    const { user, host, port, database } = new Client({ connectionString: url });
    const scene = sceneOn(t, postgres({ config: { user, host, port, database, password: server.password } }));
    assert.equal((await (await scene.member()).beat()).accepted, true);
  });

  // ---- hints

  it("listens again, with the next beat, when somebody made it stop", async (t) => {
    const { scene, last } = stage(t);
    const [observer, actor] = [await scene.member(), await scene.member({ session: await sceneOn(t, postgres({ url })).session({ group: scene.group }) })];
    const hints: Hint[] = [];
    observer.session.onHint((hint) => hints.push(hint));
    await last().query("unlisten *");
    await actor.createElection("unheard");
    await observer.look();
    await scene.until("it listens again", async () => ((await last().query("select from pg_listening_channels()")).rowCount === 1 ? true : undefined));
    await actor.createElection("heard");
    const elections = () => hints.filter((hint) => hint.kind === "election");
    await scene.until("the hint comes", async () => (elections().length > 0 ? true : undefined));
    assert.deepEqual(elections(), [{ kind: "election", election: "heard" }]);
    assert.equal(observer.session.info.hints, true);
  });

  it("ignores what others say on its channel, and what it does not understand", async (t) => {
    const { scene } = stage(t);
    const member = await scene.member();
    const hints: Hint[] = [];
    member.session.onHint((hint) => hints.push(hint));
    const channel = channelOf("tribune", scene.group);
    const other = new Client({ connectionString: url });
    await other.connect();
    for (const payload of ["", "x", "V", "election", "e", "p:1"]) await other.query("select pg_notify($1, $2)", [channel, payload]);
    await other.query("select pg_notify($1, 'e:last')", [channel]);
    await other.end();
    await scene.until("the last one comes", async () => (hints.length > 0 ? true : undefined));
    assert.deepEqual(hints.filter((hint) => hint.kind !== "presence"), [{ kind: "election", election: "last" }]);
  });

  it("goes on when a listener of hints throws, which is logged; the other listeners hear the hint", async (t) => {
    const { scene } = stage(t);
    const errors: string[] = [];
    const member = await scene.member({ session: await scene.session({ logger: { ...silentLogger, error: (_, message) => errors.push(message) } }) });
    let heard = 0;
    member.session.onHint(() => {
      throw new Error("a listener's own");
    });
    member.session.onHint(() => (heard += 1));
    await member.createElection("e");
    await scene.until("the hint comes", async () => (heard > 0 ? true : undefined));
    assert.equal(errors.length > 0, true);
    assert.equal((await member.beat()).accepted, true);
  });

  it("prepares beats and looks once, and does without when they are gone", async (t) => {
    const { scene, last } = stage(t);
    const member = await scene.member();
    for (let n = 0; n < 2; n++) {
      await member.beat();
      await member.look({ watch: [] });
    }
    const prepared = async () => (await last().query<{ name: string }>("select name from pg_prepared_statements order by name")).rows.map((row) => row.name);
    assert.deepEqual(await prepared(), ["tribune_beat_all", "tribune_look"]);
    await last().query("deallocate all");
    assert.equal((await member.beat()).accepted, true);
    assert.deepEqual(await prepared(), []);
    assert.equal(member.session.ended.aborted, false);
  });

  it("rehearses a takeover with its third beat, so that nothing of it has to be planned when it counts", async (t) => {
    const { scene, last } = stage(t);
    const member = await scene.member();
    for (let n = 0; n < 3; n++) await member.beat();
    const takeover = ["tribune_claim", "tribune_declare_dead", "tribune_pass_fence", "tribune_resign"];
    const planned = async () => (await last().query<{ name: string }>("select name from pg_prepared_statements where generic_plans > 0 order by name")).rows.map((row) => row.name);
    await scene.until("all four are planned", async () => {
      const names = await planned();
      return takeover.every((name) => names.includes(name)) ? names : undefined;
    });
    assert.equal(await member.claim("scheduler"), null, "and nothing was written");
  });

  // ---- somebody in between

  it("that is not the server's own sets nothing, listens to nothing, prepares nothing, says so, and works", async (t) => {
    class Pooled extends Client {
      get processID(): number {
        return 7;
      }
      set processID(_: number) {}
    }
    const { scene, last } = stage(t, Pooled);
    const member = await scene.member();
    assertWithoutHints(member, /pooler/);
    assert.equal((await last().query("select from pg_listening_channels()")).rowCount, 0);
    assert.equal((await last().query<{ search_path: string }>("show search_path")).rows[0]?.search_path, '"$user", public');
    await everything(scene, member);
    assert.equal((await last().query("select from pg_prepared_statements")).rowCount, 0);
  });

  it("that is behind a pooler still tells the others", async (t) => {
    class Pooled extends Client {
      get processID(): number {
        return 7;
      }
      set processID(_: number) {}
    }
    const pooled = stage(t, Pooled);
    const direct = sceneOn(t, postgres({ url }));
    const actor = await pooled.scene.member();
    const hints: Hint[] = [];
    (await direct.session({ group: pooled.scene.group })).onHint((hint) => hints.push(hint));
    await actor.createElection("told");
    await pooled.scene.until("the hint comes", async () => (hints.length > 0 ? true : undefined));
  });

  it("whose server process changes under it counts as pooled from then on", async (t) => {
    let moved = false;
    class Moving extends Client {
      override query = ((...args: Parameters<Client["query"]>) => {
        const answer = super.query(...args) as unknown as Promise<{ rows: Record<string, unknown>[] }>;
        return answer.then((result) => {
          if (moved) for (const row of result.rows) if ("pid" in row) row["pid"] = "7";
          return result;
        });
      }) as unknown as Client["query"];
    }
    const { scene } = stage(t, Moving);
    const member = await scene.member();
    assert.equal(member.session.info.hints, true);
    moved = true;
    assert.equal((await member.beat()).accepted, true);
    assertWithoutHints(member, /changing server processes/);
    await member.beat();
    assert.equal(member.session.info.warnings.length, 1, "said once");
    await everything(scene, member);
  });

  it("with another isolation level, as a pooler's may have, does everything, racing or not", async (t) => {
    class Serializable extends Client {
      get processID(): number {
        return 7;
      }
      set processID(_: number) {}
    }
    const { scene } = stage(t, Serializable, { options: "-c default_transaction_isolation=serializable" });
    const members = await scene.members(4);
    assert.match(members[0]?.session.info.warnings.join(" ") ?? "", /READ COMMITTED/);
    await Promise.all(members.map(async (member) => await everything(scene, member)));
    for (let round = 0; round < 10; round++) {
      const election = scene.name("election");
      await Promise.all(members.map(async (member) => await member.createElection(election)));
      const { epoch } = (await members[0]?.look()) ?? { epoch: "" };
      const claims = await Promise.all(members.map(async (member) => await member.claim(election, { expectedToken: 0, epoch })));
      assert.equal(claims.filter((each) => each !== null).length, 1);
      for (const member of members) assert.equal((await member.beat()).accepted, true);
    }
  });

  function assertWithoutHints(member: Member, reason: RegExp): void {
    const { hints, warnings } = member.session.info;
    assert.equal(hints, false);
    assert.match(warnings.join(" "), reason);
    assert.match(warnings.join(" "), /connect to the server directly/);
  }

  /** One of each, on an election of its own. */
  async function everything(scene: Scene, member: Member): Promise<void> {
    const election = scene.name("own");
    const token = await member.lead(election);
    assert.equal((await member.beat()).accepted, true);
    assert.equal((await member.row(election)).token, token);
    assert.equal(await member.requestResign(election, token), true);
    assert.equal(await member.resign(election, token), true);
    assert.equal(await member.session.updateMetadata({ incarnation: member.incarnation, metadata: "{}" }, member.call), true);
    assert.ok((await member.events()).length > 0);
  }
});
