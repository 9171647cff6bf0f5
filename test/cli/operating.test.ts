import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import type { ElectionStatus, GroupStatus, MemberStatus } from "../../src/admin/index.ts";
import type { Cluster } from "../../src/cluster/index.ts";
import { group, lead } from "./group.ts";
import { isRunning, place, Run, tribune, until } from "./run.ts";
import type { Ended, Place } from "./run.ts";

/** A lease that the busiest machine keeps; beats are short, since an operator's request comes with one. */
const TIMING = ["--lease-ms", "20000", "--beat-ms", "200", "--stop-budget-ms", "600"];

function assertRefused(ended: Ended, code: string, pattern: RegExp, exit = 4): void {
  assert.match(ended.stderr, new RegExp(`^error ${code}: [^\\n]+\\n$`));
  assert.match(ended.stderr, pattern);
  assert.deepEqual([ended.code, ended.stdout], [exit, ""]);
}

/** A group of two that both contend; `ada` holds. */
async function contending(t: TestContext, where: Place): Promise<readonly [Cluster, Cluster, string]> {
  const [ada, ben] = (await group(t, where, "ada", "ben")) as [Cluster, Cluster];
  const token = await lead(ada, "scheduler");
  void lead(ben, "scheduler");
  await until("ben is known to contend", async () => {
    const status = JSON.parse((await tribune(t, ["elections", "--json"], where.env)).stdout) as ElectionStatus[];
    return status.find((each) => each.election === "scheduler")?.candidates.some((candidate) => candidate.node === "ben") === true;
  });
  return [ada, ben, token];
}

describe("transfer", () => {
  it("has the other node hold the election, as a sentence and as JSON", async (t) => {
    const where = place(t);
    const [ada, ben, token] = await contending(t, where);
    const json = await tribune(t, ["transfer", "scheduler", "ben", "--json"], where.env);
    assert.deepEqual([json.code, json.stderr], [0, ""]);
    const outcome = JSON.parse(json.stdout) as { readonly outcome: string; readonly from: unknown; readonly to: { readonly node: string; readonly token: string } };
    assert.deepEqual([outcome.outcome, outcome.from, outcome.to.node], ["transferred", { node: "ada", token }, "ben"]);
    assert.equal(String(ben.election("scheduler").term?.token), outcome.to.token);
    await until("ada contends again", () => ada.election("scheduler").current?.holder?.node === "ben");
    const text = await tribune(t, ["transfer", "scheduler", "ada"], where.env);
    assert.match(text.stdout, /^ada holds scheduler now, with token \d+; ben gave it up, \d+ ms after it was asked\n$|^ada holds scheduler now, with token \d+; ben gave it up, [\d.]+ s after it was asked\n$/);
  });

  it("hands the coordinator's work over, too", async (t) => {
    const where = place(t);
    const [, ben] = (await group(t, where, "ada", "ben")) as [Cluster, Cluster];
    const ended = await tribune(t, ["transfer", "coordinator", "ben"], where.env);
    assert.match(ended.stdout, /^ben holds coordinator now/);
    await until("the view names ben", () => ben.view.coordinator?.node === "ben");
  });

  it("is refused with exit code 4 where it cannot be", async (t) => {
    const where = place(t);
    const [ada] = await contending(t, where);
    const [nobody, same, unknown, missing] = await Promise.all([
      tribune(t, ["transfer", "scheduler", "benn"], where.env),
      tribune(t, ["transfer", "scheduler", "ada"], where.env),
      tribune(t, ["transfer", "shceduler", "ben"], where.env),
      tribune(t, ["transfer", "scheduler"], where.env),
    ]);
    assertRefused(nobody, "NODE_UNKNOWN", /did you mean ben\?/);
    assertRefused(same, "NOT_ELIGIBLE", /ada holds scheduler already/);
    assertRefused(unknown, "NOT_HELD", /did you mean scheduler\?/);
    assertRefused(missing, "INVALID_OPTIONS", /node/, 2);
    assert.equal(ada.election("scheduler").current?.holder?.node, "ada");
  });

  it("that does not come about in time is TRANSFER_FAILED", async (t) => {
    const where = place(t);
    const [ada, ben] = (await group(t, where, "ada", "ben")) as [Cluster, Cluster];
    const term = await ada.election("scheduler").campaign();
    void lead(ben, "scheduler");
    await until("ben contends", async () => {
      const ended = await tribune(t, ["transfer", "scheduler", "ben", "--wait-ms", "0"], where.env);
      if (ended.stderr.startsWith("error NOT_ELIGIBLE: ben does not contend")) return false;
      if (ended.code !== 0) assertRefused(ended, "TRANSFER_FAILED", /ada was asked, and still holds|ada has given scheduler up/);
      return true;
    });
    await term.resign();
  });
});

describe("evict", () => {
  it("ends a member of its own process with exit code 4, and says so", async (t) => {
    const where = place(t);
    await group(t, where, "ada");
    const run = new Run(t, ["join", "--node", "guest", ...TIMING], where.env);
    await run.line(/guest joined billing/);
    const ended = await tribune(t, ["evict", "guest", "--reason", "it is in the way"], where.env);
    assert.deepEqual([ended.code, ended.stderr], [0, ""]);
    assert.match(ended.stdout, /^guest left [\d.]+ m?s after it was asked\n$/);
    const guest = await run.exited;
    assert.equal(guest.code, 4);
    assert.match(guest.stderr, /^error EVICTED: an operator asked guest to leave group billing[^\n]*\n$/);
    const events = await tribune(t, ["events"], where.env);
    assert.match(events.stdout, /eviction-requested +guest .*it is in the way/);
  });

  it("ends what a leader runs, with exit code 4; another one leads", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    const run = new Run(t, ["lead", "--election", "scheduler", "--node", "guest", ...TIMING, "--", "sh", "-c", 'echo "runs $$"; exec sleep 300'], where.env);
    const pid = Number((await run.line(/^runs (\d+)$/))[1]);
    const led = lead(ada, "scheduler");
    const ended = await tribune(t, ["evict", "guest", "--reason", "bad disk", "--json"], where.env);
    const { outcome, how, held, last } = JSON.parse(ended.stdout) as Record<string, unknown>;
    assert.deepEqual([outcome, how, held, last], ["gone", "left", ["scheduler"], false]);
    const guest = await run.closed;
    assert.equal(guest.code, 4);
    assert.match(guest.stderr, /\nerror EVICTED: /);
    assert.equal(isRunning(pid), false);
    await led;
  });

  it("of the last member works, with a warning", async (t) => {
    const where = place(t);
    await group(t, where, "ada");
    const ended = await tribune(t, ["evict", "ada", "--reason", "the end"], where.env);
    assert.deepEqual([ended.code, ended.stderr], [0, "warning: ada was the last member; nobody leads anything now\n"]);
  });

  it("without a reason, of nobody, or of the node that this command is a part of is refused", async (t) => {
    const where = place(t);
    await group(t, where, "ada");
    const [reasonless, empty, nobody, self] = await Promise.all([
      tribune(t, ["evict", "ada"], where.env),
      tribune(t, ["evict", "ada", "--reason", " "], where.env),
      tribune(t, ["evict", "adda", "--reason", "x"], where.env),
      tribune(t, ["evict", "ada", "--reason", "x"], { ...where.env, TRIBUNE_NODE: "ada" }), // as what 'tribune lead' runs has it
    ]);
    assertRefused(reasonless, "INVALID_OPTIONS", /--reason/, 2);
    assertRefused(empty, "INVALID_OPTIONS", /reason must be a text/, 2);
    assertRefused(nobody, "NODE_UNKNOWN", /did you mean ada\?/);
    assertRefused(self, "NOT_ELIGIBLE", /cannot evict itself/);
  });
});

describe("pause and resume", () => {
  it("keep the election empty when its holder has gone, and let it go on", async (t) => {
    const where = place(t);
    const [, , token] = await contending(t, where);
    const paused = await tribune(t, ["pause", "scheduler", "--reason", "moving house"], where.env);
    assert.equal(paused.stdout, `scheduler is paused; ada keeps term ${token}: 'tribune resign scheduler' ends it\n`);
    const resigned = await tribune(t, ["resign", "scheduler"], where.env);
    assert.match(resigned.stdout, /nobody held it a moment later/);
    const shown = await tribune(t, ["elections"], where.env);
    assert.match(shown.stdout, /\nscheduler +nobody .*paused by .*: moving house/);
    const [twice, handed, reserved] = await Promise.all([
      tribune(t, ["pause", "scheduler", "--reason", "again"], where.env),
      tribune(t, ["transfer", "scheduler", "ben"], where.env),
      tribune(t, ["pause", "coordinator", "--reason", "x"], where.env),
    ]);
    assertRefused(twice, "ELECTION_PAUSED", /paused already, by .* since \d{4}-.*: moving house/);
    assertRefused(handed, "NOT_HELD", /nobody holds scheduler/);
    assertRefused(reserved, "ELECTION_RESERVED", /coordinator cannot be paused/, 2);
    const resumed = await tribune(t, ["resume", "scheduler", "--json"], where.env);
    const { outcome, paused: was } = JSON.parse(resumed.stdout) as { readonly outcome: string; readonly paused: { readonly reason: string } };
    assert.deepEqual([outcome, was.reason], ["resumed", "moving house"]);
    const follow = new Run(t, ["elections", "--follow", "--json"], where.env);
    await follow.line(/"election":"scheduler","holder":\{"node":"(?:ada|ben)"/);
    assertRefused(await tribune(t, ["resume", "scheduler"], where.env), "NOT_PAUSED", /scheduler is not paused/);
  });
});

describe("options of members", () => {
  it("an observer is shown as one, without evidence if it goes by its lease, and is never the coordinator", async (t) => {
    const where = place(t);
    const run = new Run(t, ["join", "--node", "watcher", "--observer", "--crash-detection", "lease", ...TIMING], where.env);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    await run.line(/watcher joined billing/);
    await until("both are members", () => ada.view.members.length === 2);
    const text = await tribune(t, ["members"], where.env);
    assert.match(text.stdout, /\nwatcher +alive +observer .* none +/);
    assert.match(text.stdout, /\nada +alive +coordinator .* held +/);
    for (const line of text.stdout.split("\n")) assert.ok(line.replace(/ \{.*/, "").length <= 80, line);
    const members = JSON.parse((await tribune(t, ["members", "--json"], where.env)).stdout) as MemberStatus[];
    assert.deepEqual(members.map((member) => [member.node, member.observer, member.crashDetection]).sort(([a], [b]) => String(a).localeCompare(String(b))), [["ada", false, "evidence"], ["watcher", true, "lease"]]);
    const status = JSON.parse((await tribune(t, ["status", "--json"], where.env)).stdout) as GroupStatus;
    assert.equal(status.crashDetection.inForce, "mixed");
    assert.deepEqual(status.warnings.map((warning) => [warning.code, warning.about]), [["CRASH_DETECTION_LEASE", "watcher"]]);
  });

  it("a probe decides who leads: exit code 0 is yes, and it is asked again", async (t) => {
    const where = place(t);
    const file = join(where.folder, "mounted");
    const args = ["lead", "--election", "scheduler", "--node", "ada", "--json", ...TIMING, "--priority", "10", "--minimum-term-ms", "1000", "--probe-every-ms", "100", "--probe", `test -e '${file}' && test "$TRIBUNE_NODE" = ada`];
    const run = new Run(t, [...args, "--", "sh", "-c", "exec sleep 300"], where.env);
    assert.equal((await run.event("probe"))["fit"], false);
    const follow = new Run(t, ["status", "--follow", "--json"], where.env);
    await follow.line(/"code":"NO_FIT_CANDIDATE"/);
    writeFileSync(file, "");
    await run.event("leading");
    const [, election] = (JSON.parse((await tribune(t, ["status", "--json"], where.env)).stdout) as GroupStatus).elections;
    assert.deepEqual([election?.priority, election?.minimumTermMs, election?.candidates], [10, 1_000, [{ node: "ada", priority: 10, fit: true }]]);
  });

  it("a probe that hangs is killed with all that it started, and told of as PROBE_FAILED; one that cannot be run, too", async (t) => {
    const where = place(t);
    const file = join(where.folder, "pids");
    const probe = `sleep 300 & echo "$$ $!" > '${file}'; wait`;
    const run = new Run(t, ["lead", "--election", "scheduler", "--node", "ada", "--json", ...TIMING, "--probe-timeout-ms", "1500", "--probe-every-ms", "60000", "--probe", probe, "--", "true"], where.env);
    const other = new Run(t, ["lead", "--election", "other", "--node", "ben", "--json", ...TIMING, "--probe", "/no/such/program", "--", "true"], where.env);
    const trouble = await run.event("error");
    assert.equal((trouble["error"] as { readonly code: string }).code, "PROBE_FAILED");
    const pids = readFileSync(file, "utf8").trim().split(" ").map(Number);
    assert.equal(pids.length, 2);
    await until("the probe and its child are gone", () => pids.every((pid) => !isRunning(pid)));
    const missing = (await other.event("error"))["error"] as { readonly code: string; readonly message: string };
    assert.deepEqual([missing.code, /not found/.test(missing.message)], ["PROBE_FAILED", true]);
  });

  it("a group that is smaller than the minimum leads nothing", async (t) => {
    const where = place(t);
    const run = new Run(t, ["lead", "--election", "scheduler", "--node", "ada", "--json", ...TIMING, "--minimum-members", "2", "--", "sh", "-c", "exec sleep 300"], where.env);
    await run.event("contending");
    const [ailment] = (await run.event("degraded"))["ailments"] as readonly Record<string, unknown>[];
    assert.deepEqual([ailment?.["what"], ailment?.["members"], ailment?.["minimumMembers"]], ["too-few-members", 1, 2]);
    assert.deepEqual(run.events("leading"), []);
    await group(t, where, "ben");
    await run.event("leading");
  });

  it("out of their range are refused with exit code 2", async (t) => {
    const where = place(t);
    const [priority, members, how, observer] = await Promise.all([
      tribune(t, ["lead", "--election", "e", "--priority", "2000", "--", "true"], where.env),
      tribune(t, ["lead", "--election", "e", "--minimum-members", "0", "--", "true"], where.env),
      tribune(t, ["join", "--crash-detection", "guess"], where.env),
      tribune(t, ["lead", "--election", "e", "--observer", "--", "true"], where.env),
    ]);
    assertRefused(priority, "INVALID_OPTIONS", /-1000 to 1000/, 2);
    assertRefused(members, "INVALID_OPTIONS", /at least 1/, 2);
    assertRefused(how, "INVALID_OPTIONS", /evidence, lease/, 2);
    assertRefused(observer, "INVALID_OPTIONS", /--observer/, 2);
  });
});
