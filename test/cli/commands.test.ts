import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { ElectionStatus, EventRecord, EventsPage, GroupStatus, MemberStatus } from "../../src/admin/index.ts";
import type { Cluster } from "../../src/cluster/index.ts";
import { group, lead } from "./group.ts";
import { atEnd, place, Run, tribune } from "./run.ts";

describe("looking at a group", () => {
  it("status shows store, members, elections and warnings; the same as JSON, with tokens as strings", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada", "ben")) as [Cluster, Cluster];
    const token = await lead(ada, "scheduler");
    const [text, json] = await Promise.all([tribune(t, ["status"], where.env), tribune(t, ["status", "--json"], where.env)]);
    assert.deepEqual([text.code, text.stderr, json.code, json.stderr], [0, "", 0, ""]);
    assert.match(text.stdout, /^billing on sqlite:/);
    assert.match(text.stdout, /\nada +alive +coordinator +\d+ ms ago/);
    assert.match(text.stdout, new RegExp(`\\nscheduler +ada +${token}  `));
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(text.stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/, "what a member says about itself does not act on the terminal");
    const status = JSON.parse(json.stdout) as GroupStatus;
    assert.equal(json.stdout.trimEnd().includes("\n"), false, "one JSON value on one line");
    assert.deepEqual(status.members.map((member) => [member.node, member.state, member.inView]), [["ada", "alive", true], ["ben", "alive", true]]);
    assert.deepEqual(status.elections.map((election) => [election.election, election.holder?.node, typeof election.token]), [["coordinator", "ada", "string"], ["scheduler", "ada", "string"]]);
    assert.deepEqual(status.members[0]?.metadata, { of: "ada", evil: "\u001b[2J\u202e" });
  });

  it("members and elections print theirs; --departed adds who left", async (t) => {
    const where = place(t);
    const [, ben] = (await group(t, where, "ada", "ben")) as [Cluster, Cluster];
    const before = await tribune(t, ["members"], where.env);
    assert.match(before.stdout, /\nben +alive/);
    await ben.stop();
    const watch = new Run(t, ["members", "--follow", "--json"], where.env);
    await watch.line(/^\[\{"node":"ada"(?!.*"node":"ben").*\}\]$/); // a view without ben has been published
    const [now, departed, elections] = await Promise.all([
      tribune(t, ["members", "--json"], where.env),
      tribune(t, ["members", "--departed", "--json"], where.env),
      tribune(t, ["elections", "--json"], where.env),
    ]);
    assert.deepEqual((JSON.parse(now.stdout) as MemberStatus[]).map((member) => member.node), ["ada"]);
    assert.deepEqual((JSON.parse(departed.stdout) as MemberStatus[]).map((member) => [member.node, member.state]), [["ada", "alive"], ["ben", "dead"]]);
    assert.deepEqual((JSON.parse(elections.stdout) as ElectionStatus[]).map((election) => election.election), ["coordinator"]);
  });

  it("events show what happened, from a cursor on, with a limit", async (t) => {
    const where = place(t);
    await group(t, where, "ada");
    const all = JSON.parse((await tribune(t, ["events", "--json"], where.env)).stdout) as EventsPage;
    assert.deepEqual(all.events.slice(0, 2).map((event) => [event.sequence, event.type, event.subject]), [[1, "term-began", "coordinator"], [2, "member-joined", "ada"]]);
    assert.equal(typeof all.events[0]?.detail["token"], "string");
    const [after, newest, text] = await Promise.all([
      tribune(t, ["events", "--json", "--after", "1", "--limit", "1"], where.env),
      tribune(t, ["events", "--json", "--limit", "1"], where.env),
      tribune(t, ["events"], where.env),
    ]);
    const { events, cursor, skipped } = JSON.parse(after.stdout) as EventsPage;
    assert.deepEqual([events.map((event) => event.sequence), cursor, skipped], [[2], 2, 0]);
    assert.equal((JSON.parse(newest.stdout) as EventsPage).events[0]?.sequence, all.newest);
    assert.match(text.stdout, /member-joined +ada/);
  });

  it("a cursor ahead of the store is refused, and not read as 'nothing new'", async (t) => {
    const where = place(t);
    await group(t, where, "ada");
    const ended = await tribune(t, ["events", "--after", "1000000"], where.env);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /^error CURSOR_EXPIRED: /);
  });

  it("a group that does not exist is exit code 1; a store without a schema too, and no file is made", async (t) => {
    const where = place(t);
    const empty = await tribune(t, ["status"], where.env);
    assert.match(empty.stderr, /^error SCHEMA_MISSING: .*tribune migrate/);
    assert.equal(existsSync(join(where.folder, "cluster.db")), false);
    await group(t, where, "ada");
    const other = await tribune(t, ["status", "--group", "biling"], where.env);
    assert.match(other.stderr, /^error GROUP_UNKNOWN: /);
    assert.deepEqual([empty.code, other.code], [1, 1]);
  });
});

describe("following", () => {
  it("events come as they happen, one JSON value per line, until SIGINT ends it with 0", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    const run = new Run(t, ["events", "--follow", "--json"], where.env);
    await run.line(/"member-joined"/);
    const token = await lead(ada, "scheduler");
    await run.line(new RegExp(`"type":"term-began","subject":"scheduler".*"token":"${token}"`));
    run.process.kill("SIGINT");
    const ended = await run.exited;
    assert.deepEqual([ended.code, ended.signal, ended.stderr], [0, null, ""]);
    const sequences = ended.stdout.trimEnd().split("\n").map((line) => (JSON.parse(line) as EventRecord).sequence);
    assert.deepEqual(sequences, sequences.map((_, index) => index + 1), "each once, in order, none left out");
  });

  it("status prints again when something changed, and ends on SIGTERM with 0", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    const run = new Run(t, ["status", "--follow", "--json"], where.env);
    await run.line(/"holder":\{"node":"ada"/);
    await lead(ada, "scheduler");
    await run.line(/"election":"scheduler","holder":\{"node":"ada"/);
    run.process.kill("SIGTERM");
    assert.equal((await run.exited).code, 0);
  });

  it("a reader that goes away, as head does, ends it with 0 and without a word", { skip: process.platform === "win32" ? "needs a shell with pipes" : false }, async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
    const shell = spawn("bash", ["-c", `set -o pipefail; "$0" "$1" events --follow --json | head -1`, process.execPath, main], { env: { ...process.env, ...where.env }, stdio: ["ignore", "pipe", "pipe"] });
    atEnd(t, () => shell.kill("SIGKILL"));
    let text = "";
    for (const stream of [shell.stdout, shell.stderr]) stream.setEncoding("utf8").on("data", (more: string) => (text += more));
    const closed = new Promise<number | null>((resolve) => shell.on("close", resolve));
    await new Promise<void>((resolve) => shell.stdout.once("data", () => resolve()));
    await lead(ada, "scheduler"); // its event is written to nobody
    assert.equal(await closed, 0);
    assert.match(text, /^\{"sequence":1,[^\n]*\}\n$/);
  });
});

describe("resign", () => {
  it("asks the holder, waits until the term has ended, and says so", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    const token = await lead(ada, "scheduler");
    const ended = await tribune(t, ["resign", "scheduler", "--json"], where.env);
    assert.equal(ended.code, 0, ended.stderr);
    const outcome = JSON.parse(ended.stdout) as Record<string, unknown>;
    assert.deepEqual([outcome["outcome"], outcome["election"], outcome["token"], outcome["node"], outcome["reason"]], ["resigned", "scheduler", token, "ada", "resigned"]);
  });

  it("is refused with exit code 4 where nobody holds it, or no such election is known", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    const term = await ada.election("scheduler").campaign();
    await term.resign();
    const [free, unknown] = await Promise.all([tribune(t, ["resign", "scheduler"], where.env), tribune(t, ["resign", "shceduler"], where.env)]);
    assert.match(free.stderr, /^error NOT_HELD: nobody holds scheduler, /);
    assert.match(unknown.stderr, /^error NOT_HELD: .*did you mean scheduler\?/);
    assert.deepEqual([free.code, unknown.code], [4, 4]);
  });

  it("says who did not stop in time; the request stays", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    const term = await ada.election("scheduler").campaign(); // handed out: nobody stops for it until its owner resigns
    const ended = await tribune(t, ["resign", "scheduler", "--wait-ms", "1"], where.env);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /^error STOP_OVERRUN: ada was asked, and still holds term \d+ of scheduler/);
    await term.resign();
  });
});

describe("join", () => {
  it("is a member, tells each view, and leaves on SIGINT with 0", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    const run = new Run(t, ["join", "--node", "guest", "--preset", "fast", "--metadata", '{"zone":"a"}', "--json"], where.env);
    const joined = await run.event("joined");
    assert.equal(joined["node"], "guest");
    const view = await run.event("view");
    assert.deepEqual(view["joined"], ["ada", "guest"]);
    const seen = ada.view.members.find((member) => member.node === "guest");
    assert.deepEqual(seen?.metadata, { zone: "a" });
    const left = new Promise<void>((resolve) => ada.on("view", ({ left }) => left.some((member) => member.node === "guest") && resolve()));
    run.process.kill("SIGINT");
    assert.equal((await run.exited).code, 0);
    assert.equal((await run.event("left"))["node"], "guest");
    await left;
  });

  it("a name that a live member has is refused with exit code 4", async (t) => {
    const where = place(t);
    await group(t, where, "ada");
    const ended = await tribune(t, ["join", "--node", "ada"], where.env);
    assert.equal(ended.code, 4);
    assert.match(ended.stderr, /^error NODE_NAME_TAKEN: /);
  });
});

describe("migrate", () => {
  it("makes the schema, twice without harm, and prints the statements instead if asked", async (t) => {
    const { store } = place(t);
    const first = await tribune(t, ["migrate", "--store", store]);
    const [again, printed, whole] = await Promise.all([tribune(t, ["migrate", "--store", store, "--json"]), tribune(t, ["migrate", "--store", store, "--print"]), tribune(t, ["migrate", "--store", store, "--print", "--from", "0"])]);
    assert.match(first.stdout, /now has schema version 2 \(it had none\)/);
    assert.deepEqual(JSON.parse(again.stdout), { store, from: 2, to: 2, worksWith: 2 });
    assert.match(printed.stdout, /^-- .*nothing to do\n$/);
    assert.match(whole.stdout, /CREATE TABLE/i);
    assert.deepEqual([first, again, printed, whole].map((ended) => ended.code), [0, 0, 0, 0]);
  });

  it("prints what leads from an older version to this one, for each kind of store, and which code works with that", async (t) => {
    const stores = ["sqlite:/nowhere/at/all.db", "postgres://me:geheim@nowhere.invalid/db"];
    for (const store of stores) {
      const [text, json] = await Promise.all([tribune(t, ["migrate", "--store", store, "--print", "--from", "1"]), tribune(t, ["migrate", "--store", store, "--print", "--from", "1", "--json"])]);
      assert.match(text.stdout, /^-- from schema version 1 to 2; code for schema version 2 or newer works with it\n/);
      assert.match(text.stdout, /alter table/i);
      const plan = JSON.parse(json.stdout) as { readonly from: number; readonly to: number; readonly worksWith: number; readonly statements: readonly string[] };
      assert.deepEqual([plan.from, plan.to, plan.worksWith, plan.statements.length > 0], [1, 2, 2, true]);
      assert.ok(!text.stdout.includes("geheim"));
    }
    const none = await tribune(t, ["migrate", "--store", "memory:", "--print", "--from", "1"]);
    assert.match(none.stdout, /nothing to do\n$/);
  });

  it("printing touches nothing", async (t) => {
    const { store, folder } = place(t);
    assert.match((await tribune(t, ["migrate", "--store", store, "--print"])).stdout, /from schema version 0/);
    assert.equal(existsSync(join(folder, "cluster.db")), false);
  });
});
