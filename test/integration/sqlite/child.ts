/**
 * A process of its own on a SQLite store. Says "ready", does what its arguments name when the parent says "go", prints
 * one line of JSON with what came out, and ends.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { isTribuneError } from "../../../src/kernel/index.ts";
import { CALL, joined, NOTHING_SEEN } from "./member.ts";

const [command = "", path = "", argument = ""] = process.argv.slice(2);

console.log("ready");
await once(process.stdin, "data");
process.stdin.unref();
console.log(JSON.stringify(await run()));

async function run(): Promise<unknown> {
  switch (command) {
    case "race":
      return await race(Number(argument));
    case "lead":
      return await leadAndResign(argument);
    case "increment":
      return await incrementWhileLeading(Number(argument));
    case "hold":
      return await holdWriteLock();
    case "live":
      return await live(argument);
    case "look":
      return await lookAt(argument);
    default:
      throw new Error(`no such command: ${command}`);
  }
}

/** Claims and resigns one election until it has changed hands `rounds` times; the tokens that were won here. */
async function race(rounds: number): Promise<unknown> {
  const { session, incarnation, node, epoch } = await joined(path);
  await session.createElection({ election: "e" }, CALL);
  const won: number[] = [];
  for (;;) {
    const row = (await session.look({ cursor: NOTHING_SEEN, watch: [] }, CALL)).elections.find((each) => each.election === "e");
    const token = row?.token ?? 0;
    if (row?.holder == null && token % 2 ** 32 >= rounds) break;
    const claimed = await session.claim({ election: "e", incarnation, node, expectedToken: token, epoch, tokenSeen: 0 }, CALL);
    if (claimed === null) continue;
    won.push(claimed.token);
    await session.passFence({ election: "e", incarnation, token: claimed.token, epoch }, CALL);
    await session.resign({ election: "e", incarnation, token: claimed.token, reason: "next" }, CALL);
  }
  await session.close();
  return { epoch, won };
}

/** One change of each kind that others are to hear of. */
async function leadAndResign(election: string): Promise<unknown> {
  const a = await joined(path);
  const token = await a.lead(election);
  await a.session.resign({ election, incarnation: a.incarnation, token, reason: "done" }, CALL);
  await a.session.close();
  return { token };
}

/** Deposes whoever leads, leads, and increments a counter in fenced transactions; how many of those committed. */
async function incrementWhileLeading(rounds: number): Promise<unknown> {
  let [committed, refused] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    const a = await joined(path);
    const { session, epoch } = a;
    await session.createElection({ election: "e" }, CALL);
    const row = (await session.look({ cursor: NOTHING_SEEN, watch: "all" }, CALL)).elections.find((each) => each.election === "e");
    if (row?.holder != null) await session.declareDead({ incarnation: row.holder.incarnation, beat: 0, epoch, requireExpired: false, by: a.node, reason: "expired" }, CALL);
    const claimed = await session.claim({ election: "e", incarnation: a.incarnation, node: a.node, expectedToken: row?.token ?? 0, epoch, tokenSeen: 0 }, CALL);
    if (claimed !== null) {
      let answer = "busy";
      while (answer === "busy") answer = await session.passFence({ election: "e", incarnation: a.incarnation, token: claimed.token, epoch }, CALL);
      // Never asks whether the term still stands, as a process does that froze: the fence must tell it.
      for (let n = 0; n < 5; n++) {
        try {
          await a.provider.fenced.transaction(a.handle("e", claimed.token), (tx) => {
            const value = Number(tx.prepare("SELECT value FROM counter").get()?.["value"]);
            tx.prepare("UPDATE counter SET value = ?").run(value + 1);
          });
          committed += 1;
        } catch (error) {
          if (!isTribuneError(error, "TERM_LOST")) throw error;
          refused += 1;
        }
      }
    }
    await session.close();
    await a.provider.close();
  }
  return { committed, refused };
}

/** Begins a write transaction and stays in it, as a process does that is frozen there. */
async function holdWriteLock(): Promise<never> {
  const database = new DatabaseSync(path);
  database.exec("BEGIN IMMEDIATE");
  console.log("holding");
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
}

/** Joins with evidence of life, and lives on. `beats`: is armed; `silent`: is not; `parent`: is, and has a child of its own that outlives it, with all the files it may inherit. */
async function live(how: string): Promise<never> {
  const me = await joined(path, { evidence: { leaseMs: 60_000 } });
  const { session, incarnation, node, epoch } = me;
  if (how !== "silent") await me.beat(1);
  const outlives = how === "parent" ? spawn(process.execPath, ["-e", "setTimeout(() => {}, 600_000)"], { stdio: "ignore", detached: true }).pid : undefined;
  setInterval(() => {}, 60_000); // a session alone keeps no process running
  console.log(JSON.stringify({ incarnation, node, epoch, evidence: session.info.evidence, outlives }));
  await once(session.ended, "abort");
  throw new Error("the session ended");
}

/** What one process more sees of somebody's evidence. */
async function lookAt(incarnation: string): Promise<unknown> {
  const { session } = await joined(path);
  const { presence } = await session.look({ cursor: NOTHING_SEEN, watch: [incarnation] }, CALL);
  await session.close();
  return presence[0]?.evidence;
}
