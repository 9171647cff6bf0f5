import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { systemRandom } from "../../../src/kernel/index.ts";
import type { Timer } from "../../../src/kernel/index.ts";
import type { PresenceRow, SessionEvidence } from "../../../src/store/index.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";
import { Evidence } from "../../../src/store/sqlite/evidence.ts";
import { child } from "./children.ts";
import type { Child } from "./children.ts";
import { CALL, joined, NOTHING_SEEN, turnOfTheLoop } from "./member.ts";
import type { Joined } from "./member.ts";
import { folder, moveCopyIntoPlace, withDatabase } from "./place.ts";

/** What a child says that lives (see child.ts). */
interface Living {
  readonly incarnation: string;
  readonly node: string;
  readonly epoch: string;
  readonly evidence: SessionEvidence;
  readonly outlives?: number;
}

const EVIDENCE = { leaseMs: 60_000 };

describe("evidence of death in a SQLite store", { timeout: 120_000 }, () => {
  const home = folder();
  let path: string;
  let files = 0;
  const open: Joined[] = [];
  const running: Child[] = [];
  const member = async (over: Parameters<typeof joined>[1] = {}) => {
    const each = await joined(path, over);
    open.push(each);
    return each;
  };
  const living = async (how = "beats"): Promise<Living & { readonly process: Child }> => {
    const started = await child("live", path, how);
    running.push(started);
    started.go();
    return { ...(JSON.parse(await started.line()) as Living), process: started };
  };
  beforeEach(() => {
    files += 1;
    path = home.file(`${files}.db`);
  });
  after(async () => {
    for (const each of open) await each.session.close();
    for (const each of running) await each.kill();
    home.remove();
  });

  const alive = () => `${path}-tribune_alive`;
  const fileOf = (incarnation: string) =>
    join(alive(), withDatabase(path, (database) => String(database.prepare("SELECT evidence_key FROM tribune_presence WHERE incarnation = ?").get(incarnation)?.["evidence_key"])));
  const evidenceOf = async (by: Joined, incarnation: string): Promise<PresenceRow["evidence"] | undefined> =>
    (await by.session.look({ cursor: NOTHING_SEEN, watch: [incarnation] }, CALL)).presence[0]?.evidence;
  const declareDead = (by: Joined, { incarnation, epoch }: { incarnation: string; epoch: string }) =>
    by.session.declareDead({ incarnation, beat: 1, epoch, requireExpired: false, requireFree: true, by: by.node, reason: "crashed" }, CALL);
  const attend = (by: Joined, incarnation: string) => by.session.attend({ incarnations: [incarnation], signal: new AbortController().signal });
  const inAnotherProcess = async (incarnation: string): Promise<string> => {
    const looking = await child("look", path, incarnation);
    looking.go();
    return await looking.result<string>();
  };

  it("is there as soon as a process was killed, is heard of by who attends, and is cleaned up by who declares it dead", async () => {
    const [a, b] = [await member(), await living()];
    assert.equal(b.evidence.held, true, b.evidence.why);
    assert.equal(await evidenceOf(a, b.incarnation), "held");
    assert.equal(await declareDead(a, b), false, "it lives");
    const file = fileOf(b.incarnation);
    const heard = attend(a, b.incarnation);
    await b.process.kill();
    await heard;
    assert.equal(await evidenceOf(a, b.incarnation), "free");
    assert.equal(existsSync(file), true);
    assert.equal(await declareDead(a, b), true);
    assert.equal(await evidenceOf(a, b.incarnation), "none");
    assert.deepEqual(readdirSync(alive()), []);
  });

  it("is not there of a process that is frozen, but is if it is killed in that state", async () => {
    const [a, b] = [await member(), await living()];
    b.process.process.kill("SIGSTOP");
    await frozen(b.process.process.pid);
    assert.equal(await evidenceOf(a, b.incarnation), "held");
    assert.equal(await declareDead(a, b), false);
    b.process.process.kill("SIGCONT");
    assert.equal(await evidenceOf(a, b.incarnation), "held");
    b.process.process.kill("SIGSTOP");
    const heard = attend(a, b.incarnation);
    await b.process.kill();
    await heard;
    assert.equal(await declareDead(a, b), true);
  });

  it("is there although a child of the dead process lives on, which inherits no lock", async () => {
    const [a, b] = [await member(), await living("parent")];
    const orphan = b.outlives ?? assert.fail("there is no child");
    try {
      const heard = attend(a, b.incarnation);
      await b.process.kill();
      await heard;
      assert.equal(process.kill(orphan, 0), true, "it lives");
      assert.equal(await evidenceOf(a, b.incarnation), "free");
    } finally {
      process.kill(orphan, "SIGKILL");
    }
  });

  it("is seen in the same process as in any other; looks, and their end, take no lock away", async () => {
    const [a, b] = [await member({ evidence: EVIDENCE }), await member({ evidence: EVIDENCE })];
    for (const each of [a, b]) await each.beat(1);
    assert.equal(await evidenceOf(a, a.incarnation), "held", "its own");
    for (let times = 0; times < 3; times++) {
      const c = await member();
      assert.equal(await evidenceOf(c, a.incarnation), "held");
      await c.session.close();
    }
    assert.equal(await inAnotherProcess(a.incarnation), "held");
    await a.session.close();
    assert.equal(await evidenceOf(b, a.incarnation), "free");
    assert.equal(await inAnotherProcess(a.incarnation), "free");
    assert.equal(await inAnotherProcess(b.incarnation), "held");
  });

  it("is an empty file of its own for each session, with nothing beside it; one that nobody needs goes with the session", async () => {
    const [a, b] = [await member({ evidence: EVIDENCE }), await member({ evidence: EVIDENCE })];
    await a.beat(1);
    const names = readdirSync(alive());
    assert.equal(names.length, 2);
    for (const name of names) assert.equal(statSync(join(alive(), name)).size, 0);
    await b.session.close();
    assert.deepEqual(readdirSync(alive()).map((name) => join(alive(), name)), [fileOf(a.incarnation)], "b never beat");
    await a.session.leave({ incarnation: a.incarnation }, CALL);
    await a.session.close();
    assert.deepEqual(readdirSync(alive()), []);
  });

  it("comes after the end of the session has been announced", async () => {
    const [a, b] = [await member({ evidence: EVIDENCE }), await member()];
    await a.beat(1);
    const eyes = Evidence.none(alive(), "looks only");
    const key = fileOf(a.incarnation).slice(alive().length + 1);
    const seen: boolean[] = [];
    a.session.ended.addEventListener("abort", () => seen.push(eyes.isFree(key)));
    a.session.destroy(new Error("enough"));
    seen.push(eyes.isFree(key));
    assert.deepEqual(seen, [false, true]);
    assert.equal(await evidenceOf(b, a.incarnation), "free");
  });

  it("is never a file that is missing: somebody may have cleaned up where a process lives", async () => {
    const [a, b] = [await member(), await living()];
    rmSync(alive(), { recursive: true });
    assert.equal(await evidenceOf(a, b.incarnation), "held");
    assert.equal(existsSync(alive()), false, "a look makes nothing");
    await b.process.kill();
    assert.equal(await evidenceOf(a, b.incarnation), "held");
    assert.equal(await declareDead(a, b), false);
  });

  it("is nothing but a name of the right form", async () => {
    const [a, b] = [await member(), await member({ evidence: EVIDENCE })];
    await b.beat(1);
    const outside = home.file(`outside-${files}`);
    writeFileSync(outside, "");
    withDatabase(path, (database) => database.prepare("UPDATE tribune_presence SET evidence_key = ? WHERE incarnation = ?").run(`../outside-${files}`, b.incarnation));
    assert.equal(await evidenceOf(a, b.incarnation), "held");
    assert.equal(await a.session.declareDead({ incarnation: b.incarnation, beat: 1, epoch: b.epoch, requireExpired: false, by: a.node, reason: "expired" }, CALL), true);
    assert.equal(existsSync(outside), true);
  });

  it("counts in one epoch only", async () => {
    const b = await living();
    moveCopyIntoPlace(path);
    await b.process.kill();
    const a = await member();
    assert.notEqual(a.epoch, b.epoch);
    assert.equal(await evidenceOf(a, b.incarnation), "none");
  });

  it("is seen, heard of and looked at while somebody else keeps all writers out", async () => {
    const [a, b] = [await member(), await living()];
    const writer = await child("hold", path);
    running.push(writer);
    writer.go();
    assert.equal(await writer.line(), "holding");
    assert.equal(await evidenceOf(a, b.incarnation), "held");
    const heard = attend(a, b.incarnation);
    await b.process.kill();
    await heard;
    assert.equal(await evidenceOf(a, b.incarnation), "free");
    await writer.kill();
    assert.equal(await declareDead(a, b), true);
  });

  it("is heard of by who began to attend before there was any", async () => {
    const clock = new VirtualClock();
    const [a, b] = [await member({ clock }), await member({ evidence: EVIDENCE })];
    let heard = false;
    const attending = attend(a, b.incarnation).then(() => (heard = true));
    await b.beat(1);
    await clock.advance(1_000);
    assert.equal(heard, false);
    await b.session.close();
    await clock.advance(20);
    await attending;
  });

  it("that is attended is attended no more after the signal, or the end of the session; neither leaves a timer behind", async () => {
    const clock = new CountingClock();
    const [a, b] = [await member({ clock }), await member({ evidence: EVIDENCE })];
    await b.beat(1);
    const enough = new AbortController();
    const called = assert.rejects(a.session.attend({ incarnations: [b.incarnation], signal: enough.signal }), { code: "ABORTED" });
    enough.abort();
    await called;
    assert.equal(clock.running, 0);
    const ended = assert.rejects(attend(a, b.incarnation), { code: "STORE_SESSION_ENDED" });
    assert.equal(clock.running, 1);
    await a.session.close();
    await ended;
    assert.equal(clock.running, 0);
    await assert.rejects(attend(a, b.incarnation), { code: "STORE_SESSION_ENDED" });
  });

  it("is left behind by the dead until the next session opens; what is fresh, held, or still needed stays", async () => {
    const found = () => readdirSync(alive()).map((name) => join(alive(), name)).sort();
    await living("silent");
    const heldByAnUnnamed = found();
    const [unnamed, needed, held] = [await living("silent"), await living(), await living()];
    await unnamed.process.kill();
    await needed.process.kill();
    const kept = [...heldByAnUnnamed, fileOf(needed.incarnation), fileOf(held.incarnation)].sort();
    const opens = async () => {
      const each = await member({ evidence: EVIDENCE });
      await each.session.close();
    };
    await opens();
    assert.equal(found().length, 4, "they are fresh");
    const longAgo = new Date(Date.now() - 3_600_000);
    for (const file of found()) utimesSync(file, longAgo, longAgo);
    writeFileSync(join(alive(), "somebody's notes"), "");
    utimesSync(join(alive(), "somebody's notes"), longAgo, longAgo);
    await opens();
    assert.deepEqual(found(), [...kept, join(alive(), "somebody's notes")].sort());
    const a = await member();
    assert.equal(await evidenceOf(a, needed.incarnation), "free");
    assert.equal(await evidenceOf(a, held.incarnation), "held");
  });

  it("is not held where its file cannot be made, which `info` tells, and nothing else is the worse for it", async () => {
    writeFileSync(alive(), "in the way");
    const a = await member({ evidence: EVIDENCE });
    assert.equal(a.session.info.evidence.held, false);
    assert.match(a.session.info.evidence.why, /cannot be made and locked/);
    assert.equal((await a.beat(1)).accepted, true);
    assert.equal(await evidenceOf(a, a.incarnation), "none");
  });

  it("may be looked at by all who may read the database", async () => {
    const a = await member({ evidence: EVIDENCE });
    await a.beat(1);
    const mode = statSync(path).mode & 0o666;
    assert.equal(statSync(fileOf(a.incarnation)).mode & 0o777, mode);
    assert.equal(statSync(alive()).mode & 0o777, mode | ((mode & 0o444) >> 2));
  });

  it("keeps no file open for looks at sessions that ended unseen", (t) => {
    if (process.platform !== "linux") return t.skip("only Linux lists the open files of a process");
    mkdirSync(home.file(`many-${files}`));
    const [database, folderOfMany] = [home.file(`many-${files}.db`), home.file(`many-${files}`)];
    writeFileSync(database, "");
    const openFiles = () => readdirSync("/proc/self/fd").length;
    const eyes = Evidence.none(folderOfMany, "looks only");
    const before = openFiles();
    for (let times = 0; times < 200; times++) {
      const each = Evidence.take(folderOfMany, { path: database, random: systemRandom });
      assert.equal(each.info.held, true, each.info.why);
      assert.equal(eyes.isFree(each.key ?? ""), false);
      each.end({ named: true });
    }
    assert.ok(openFiles() - before < 40, `${openFiles() - before} files are open`);
    eyes.end({ named: false });
    assert.equal(openFiles(), before);
    return undefined;
  });
});

/** Resolves once the kernel shows the process as stopped; where it shows no processes, a signal that was sent is all there is to wait for. */
async function frozen(pid: number | undefined): Promise<void> {
  const stat = `/proc/${pid}/stat`;
  while (existsSync(stat) && !/\) T /.test(readFileSync(stat, "utf8"))) await turnOfTheLoop();
}

/** Knows how many of its timers have neither fired nor been called off. */
class CountingClock extends VirtualClock {
  running = 0;

  override setTimer(delayMs: number, callback: () => void): Timer {
    let runs = true;
    this.running += 1;
    const stop = () => {
      if (runs) this.running -= 1;
      runs = false;
    };
    const timer = super.setTimer(delayMs, () => {
      stop();
      callback();
    });
    return {
      cancel: () => {
        stop();
        timer.cancel();
      },
    };
  }
}
