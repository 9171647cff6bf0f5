import assert from "node:assert/strict";
import { isTribuneError, sleep } from "../../kernel/index.ts";
import type { FenceHandle } from "../../store/index.ts";
import { untilPassed } from "./fence.ts";
import type { UserTable, UserTransaction } from "./place.ts";
import { atOnce, later, LONG_LEASE_MS, Skipped } from "./scene.ts";
import type { Member, Scene, SceneCase } from "./scene.ts";

const ELECTION = "scheduler";

/** Far longer than the counting takes; a store on which nobody gets on must not keep the case going for ever. */
const LONGEST_COUNT_MS = 60_000;

/** Writes of the user's own that commit only while a term stands. */
export const transactionCases: readonly SceneCase[] = [
  {
    title: "a transaction of the term that the fence stands at commits, and answers what the work answered",
    async run(scene) {
      const [table, a] = [scene.need("table"), await scene.member()];
      const key = scene.random.id();
      const handle = handleOf(a, await a.lead(ELECTION));
      const answer = await scene.provider.fenced.transaction(handle, (tx) => after(table.write(tx, key, 7), () => "the answer"));
      assert.equal(answer, "the answer");
      assert.equal(await table.committed(key), 7);
      await scene.provider.fenced.transaction(handle, (tx) => after(table.read(tx, key), (value) => table.write(tx, key, value + 1)));
      assert.equal(await table.committed(key), 8);
    },
  },
  {
    title: "an error of the work rolls everything back and reaches the caller as it was thrown",
    async run(scene) {
      const [table, a] = [scene.need("table"), await scene.member()];
      const key = scene.random.id();
      const handle = handleOf(a, await a.lead(ELECTION));
      const mine = new Error("the user's own");
      const failing = scene.provider.fenced.transaction(handle, (tx) =>
        after(table.write(tx, key, 7), () => {
          throw mine;
        }),
      );
      await assert.rejects(failing, (error) => error === mine);
      assert.equal(await table.committed(key), 0);
      await scene.provider.fenced.transaction(handle, (tx) => table.write(tx, key, 8));
      assert.equal(await table.committed(key), 8, "the next one works");
    },
  },
  {
    title: "once a later term has passed the fence, a transaction of the older one is TERM_LOST, and its work is not even run",
    async run(scene) {
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      const token = await succeed(b, a, ELECTION);
      let ran = false;
      const late = scene.provider.fenced.transaction(handleOf(a, old), (tx) => {
        ran = true;
        return table.write(tx, key, 1);
      });
      await assert.rejects(late, { code: "TERM_LOST" });
      assert.deepEqual([ran, await table.committed(key)], [false, 0]);
      await scene.provider.fenced.transaction(handleOf(b, token), (tx) => table.write(tx, key, 2));
      assert.equal(await table.committed(key), 2);
    },
  },
  {
    title: "a term that was claimed but has not passed the fence is TERM_LOST: it is not announced yet, or the store has lost it",
    async run(scene) {
      const [table, a] = [scene.need("table"), await scene.member()];
      const key = scene.random.id();
      const token = await a.hold(ELECTION);
      await assert.rejects(scene.provider.fenced.transaction(handleOf(a, token), (tx) => table.write(tx, key, 1)), { code: "TERM_LOST" });
      assert.equal(await table.committed(key), 0);
    },
  },
  {
    title: "a transaction of a term that resigned commits until the next one passes the fence",
    async run(scene) {
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      await a.resign(ELECTION, old);
      await scene.provider.fenced.transaction(handleOf(a, old), (tx) => table.write(tx, key, 1));
      await b.hold(ELECTION);
      await scene.provider.fenced.transaction(handleOf(a, old), (tx) => table.write(tx, key, 2));
      assert.equal(await table.committed(key), 2);
      const { token } = await b.row(ELECTION);
      assert.equal(await b.passFence(ELECTION, token), "passed");
      await assert.rejects(scene.provider.fenced.transaction(handleOf(a, old), (tx) => table.write(tx, key, 3)), { code: "TERM_LOST" });
      assert.equal(await table.committed(key), 2);
    },
  },
  {
    title: "a fence that is not in the database of the transaction is FENCE_NOT_FOUND",
    async run(scene) {
      const [table, a] = [scene.need("table"), await scene.member()];
      const key = scene.random.id();
      const token = await a.lead(ELECTION);
      for (const over of [{ election: "unmade" }, { group: `${scene.group}-unmade` }]) {
        await assert.rejects(scene.provider.fenced.transaction(handleOf(a, token, over), (tx) => table.write(tx, key, 1)), { code: "FENCE_NOT_FOUND" });
      }
      assert.equal(await table.committed(key), 0);
    },
  },
  {
    title: "a holder that may not act any more is TERM_LOST: before the work, which is not run, and before the commit, which is not made",
    async run(scene) {
      const [table, a] = [scene.need("table"), await scene.member()];
      const key = scene.random.id();
      const token = await a.lead(ELECTION);
      let [mayAct, ran] = [false, false];
      const handle = handleOf(a, token, { mayAct: () => mayAct });
      const attempt = async () =>
        await scene.provider.fenced.transaction(handle, (tx) => {
          ran = true;
          return after(table.write(tx, key, 1), () => {
            mayAct = false;
          });
        });
      await assert.rejects(attempt(), { code: "TERM_LOST" });
      assert.equal(ran, false);
      mayAct = true;
      await assert.rejects(attempt(), { code: "TERM_LOST" });
      assert.deepEqual([ran, await table.committed(key)], [true, 0]);
    },
  },
  {
    title: "where transactions are synchronous, work that answers a promise is refused and rolled back",
    async run(scene) {
      if (scene.provider.capabilities.asyncTransactions) throw new Skipped("transactions of this store are asynchronous");
      const [table, a] = [scene.need("table"), await scene.member()];
      const key = scene.random.id();
      const handle = handleOf(a, await a.lead(ELECTION));
      const work = async (tx: unknown) => await table.write(tx, key, 1);
      await assert.rejects(scene.provider.fenced.transaction(handle, work), { code: "TRANSACTION_NOT_SYNCHRONOUS" });
      assert.equal(await table.committed(key), 0);
    },
  },
  {
    title: "while a transaction of the older term is open the successor is told busy; it passes once that one has committed",
    async run(scene) {
      skipWhereCommitsCompare(scene);
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      const token = await claimFrom(b, a, ELECTION);
      const open = await openFenced(scene, handleOf(a, old), (tx) => table.write(tx, key, 1));
      assert.equal(await b.passFence(ELECTION, token), "busy");
      assert.equal(await b.passFence(ELECTION, token), "busy");
      await open.commit();
      assert.equal(await untilPassed(b, ELECTION, token), "passed");
      assert.equal(await table.committed(key), 1);
    },
  },
  {
    title: "a transaction of the older term that rolls back lets the successor pass",
    async run(scene) {
      skipWhereCommitsCompare(scene);
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      const token = await claimFrom(b, a, ELECTION);
      const open = await openFenced(scene, handleOf(a, old), (tx) => table.write(tx, key, 1));
      assert.equal(await b.passFence(ELECTION, token), "busy");
      await open.rollback();
      assert.equal(await untilPassed(b, ELECTION, token), "passed");
      assert.equal(await table.committed(key), 0);
    },
  },
  {
    title: "an open transaction holds up the fence of its own election and of no other",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      if (!scene.provider.capabilities.asyncTransactions) throw new Skipped("this store has one writer, who holds up all others");
      const old = await a.lead(ELECTION);
      const open = await openFenced(scene, handleOf(a, old), () => undefined);
      assert.equal(await b.passFence("another", await b.hold("another")), "passed");
      await open.commit();
    },
  },
  {
    title: "while the successor waits for an older transaction, beats on its connection go on",
    async run(scene) {
      skipWhereCommitsCompare(scene);
      const [a, b] = [await scene.member(), await scene.member()];
      if (!scene.provider.capabilities.asyncTransactions) throw new Skipped("this store has one writer, who holds up all others");
      const old = await a.lead(ELECTION);
      const token = await claimFrom(b, a, ELECTION);
      const open = await openFenced(scene, handleOf(a, old), () => undefined);
      const attempts = Array.from({ length: 3 }, () => b.passFence(ELECTION, token));
      const beat = b.beat();
      for (const answer of await Promise.all(attempts)) assert.equal(answer, "busy");
      assert.equal((await beat).accepted, true);
      assert.equal((await b.beat()).accepted, true);
      await open.commit();
    },
  },
  {
    title: "where the commit compares the fence, an open transaction holds up nobody: the successor passes at once, and the commit is TERM_LOST and writes nothing",
    async run(scene) {
      skipWhereOpenOnesHold(scene);
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      const token = await claimFrom(b, a, ELECTION);
      const open = await openFenced(scene, handleOf(a, old), (tx) => table.write(tx, key, 1));
      const user = await begin(scene);
      await scene.provider.fenced.guard(handleOf(a, old), user.tx);
      await table.write(user.tx, key, 2);
      assert.equal(await b.passFence(ELECTION, token), "passed");
      await assert.rejects(open.commit(), { code: "TERM_LOST" });
      await assert.rejects(user.commit(), { code: "TERM_LOST" });
      assert.equal(await table.committed(key), 0);
      await scene.provider.fenced.transaction(handleOf(b, token), (tx) => table.write(tx, key, 3));
      assert.equal(await table.committed(key), 3);
    },
  },
  {
    title: "where the commit compares the fence, a transaction of a term that nobody has succeeded yet commits, begun by the user or not",
    async run(scene) {
      skipWhereOpenOnesHold(scene);
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const [key, another] = [scene.random.id(), scene.random.id()];
      const old = await a.lead(ELECTION);
      await claimFrom(b, a, ELECTION);
      const open = await openFenced(scene, handleOf(a, old), (tx) => table.write(tx, key, 1));
      const user = await begin(scene);
      await scene.provider.fenced.guard(handleOf(a, old), user.tx);
      await table.write(user.tx, another, 2);
      assert.deepEqual([await table.committed(key), await table.committed(another)], [0, 0]);
      await open.commit();
      await user.commit();
      assert.deepEqual([await table.committed(key), await table.committed(another)], [1, 2]);
    },
  },
  {
    title: "no transaction of an older term commits after its successor passed the fence, however they meet",
    async run(scene) {
      const [table, b, session] = [scene.need("table"), await scene.member(), await scene.session()];
      for (let round = 0; round < 15; round++) {
        const [a, election, key] = [await scene.member({ session }), scene.name("election"), scene.random.id()];
        const old = await a.lead(election);
        const write = async () => {
          await later(a, round);
          try {
            await scene.provider.fenced.transaction(handleOf(a, old, { election }), (tx) => table.write(tx, key, 1));
            return 1;
          } catch (error) {
            assert.ok(isTribuneError(error, "TERM_LOST"), String(error));
            return 0;
          }
        };
        const takeOver = async () => {
          await succeed(b, a, election);
          return await table.committed(key);
        };
        const results = await atOnce([write, takeOver]);
        assert.equal(results[0], results[1], `round ${round}: what was committed is what the successor finds`);
        assert.equal(await table.committed(key), results[0]);
      }
    },
  },
  {
    title: "guard puts the fence into a transaction that the user began: it commits, and until then no successor passes",
    async run(scene) {
      skipWhereCommitsCompare(scene);
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      const token = await claimFrom(b, a, ELECTION);
      const user = await begin(scene);
      await scene.provider.fenced.guard(handleOf(a, old), user.tx);
      await table.write(user.tx, key, 5);
      assert.equal(await b.passFence(ELECTION, token), "busy");
      await user.commit();
      assert.equal(await table.committed(key), 5);
      assert.equal(await untilPassed(b, ELECTION, token), "passed");
    },
  },
  {
    title: "a claim does not pass the fence under an open transaction of the term before, and does not wait for it either",
    async run(scene) {
      skipWhereCommitsCompare(scene);
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      await scene.until("the holder is declared dead", async () => ((await b.declareDead(a)) ? true : undefined));
      const user = await begin(scene);
      await scene.provider.fenced.guard(handleOf(a, old), user.tx);
      await table.write(user.tx, key, 5);
      // Where there is one writer at a time, there is no claim either while the transaction is open.
      assert.notEqual((await b.claim(ELECTION, { andPass: true }))?.passed, true);
      await user.commit();
      assert.equal(await table.committed(key), 5);
    },
  },
  {
    title: "after a claim that passed the fence no transaction of the term before commits",
    async run(scene) {
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      await b.declareDead(a);
      const claimed = (await b.claim(ELECTION, { andPass: true })) ?? assert.fail("the claim was refused");
      if (!claimed.passed) await untilPassed(b, ELECTION, claimed.token);
      await assert.rejects(async () => await scene.provider.fenced.transaction(handleOf(a, old), (tx) => table.write(tx, key, 5)), { code: "TERM_LOST" });
      assert.equal(await table.committed(key), 0);
    },
  },
  {
    title: "guard in a transaction of a term that is over, not announced, or may not act, is TERM_LOST; the user rolls back",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const old = await a.lead(ELECTION);
      const token = await succeed(b, a, ELECTION);
      const unannounced = await b.hold("unannounced");
      const lost = [handleOf(a, old), handleOf(b, unannounced, { election: "unannounced" }), handleOf(b, token, { mayAct: () => false })];
      for (const handle of lost) {
        const user = await begin(scene);
        await assert.rejects(scene.provider.fenced.guard(handle, user.tx), { code: "TERM_LOST" });
        await user.rollback();
      }
    },
  },
  {
    title: "guard where no fence is, is FENCE_NOT_FOUND",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      const user = await begin(scene);
      await assert.rejects(scene.provider.fenced.guard(handleOf(a, 1, { election: "unmade" }), user.tx), { code: "FENCE_NOT_FOUND" });
      await user.rollback();
    },
  },
  {
    title: "guard outside a transaction is TRANSACTION_REQUIRED, and holds nobody up",
    async run(scene) {
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      if (table.outside === undefined) throw new Skipped("the place's table offers no outside");
      const old = await a.lead(ELECTION);
      const outside = await table.outside();
      scene.atEnd(() => outside.release());
      await assert.rejects(scene.provider.fenced.guard(handleOf(a, old), outside.tx), { code: "TRANSACTION_REQUIRED" });
      assert.equal(await b.passFence(ELECTION, await claimFrom(b, a, ELECTION)), "passed");
    },
  },
  {
    title: "the server ends the transaction of a frozen process, so that its successor passes; nothing of it is committed",
    async run(scene) {
      if (!scene.provider.capabilities.boundsFrozenTransactions) throw new Skipped("this store does not do so (capabilities.boundsFrozenTransactions is false)");
      const [table, a, b] = [scene.need("table"), await scene.member(), await scene.member()];
      const key = scene.random.id();
      const old = await a.lead(ELECTION);
      const token = await claimFrom(b, a, ELECTION);
      const user = await begin(scene);
      await scene.provider.fenced.guard(handleOf(a, old, { leaseMs: 1_000 }), user.tx);
      await table.write(user.tx, key, 5);
      assert.equal(await untilPassed(b, ELECTION, token), "passed");
      await assert.rejects(user.commit());
      assert.equal(await table.committed(key), 0);
    },
  },
  {
    title: "a counter that leaders read and then write, deposing each other all the time, loses no increment",
    async run(scene) {
      const [table, key] = [scene.need("table"), scene.random.id()];
      const enough = 40;
      const endMs = scene.clock.monotonicMs() + LONGEST_COUNT_MS;
      let [counted, lost] = [0, 0];
      const worker = async () => {
        let self = await scene.member();
        await self.createElection(ELECTION);
        while (counted < enough && scene.clock.monotonicMs() < endMs) {
          const { presence, elections } = await self.look();
          const holder = elections.find((row) => row.election === ELECTION)?.holder?.incarnation;
          const alive = presence.find((row) => row.incarnation === holder)?.state === "alive";
          if (alive && scene.random.next() < 0.5) await self.declareDead(self, { incarnation: holder ?? "", beat: 0 });
          const claimed = await self.claim(ELECTION, { andPass: scene.random.next() < 0.5 });
          if (claimed !== null && (claimed.passed || (await untilPassed(self, ELECTION, claimed.token)) === "passed")) {
            // Goes on as a process does that froze: it never asks whether its term still stands, the fence must tell it.
            for (let n = 0; n < 4; n++) {
              if (await increment(scene, table, key, handleOf(self, claimed.token))) counted += 1;
              else lost += 1;
            }
            await self.resign(ELECTION, claimed.token);
          }
          if ((await self.presenceOf(self)).state === "dead") self = await scene.member({ session: self.session });
        }
      };
      await atOnce([worker, worker, worker, worker]);
      assert.ok(counted >= enough, `only ${counted} transactions committed`);
      assert.equal(await table.committed(key), counted, `${counted} transactions committed, ${lost} were refused`);
    },
  },
];

/** Adds one in two steps with a gap. Answers whether it was committed. */
async function increment(scene: Scene, table: UserTable, key: string, handle: FenceHandle): Promise<boolean> {
  const gap = scene.provider.capabilities.asyncTransactions ? () => sleep(scene.clock, scene.random.next() * 4) : () => undefined;
  try {
    await scene.provider.fenced.transaction(handle, (tx) => after(table.read(tx, key), (value) => after(gap(), () => table.write(tx, key, value + 1))));
    return true;
  } catch (error) {
    assert.ok(isTribuneError(error, "TERM_LOST"), String(error));
    return false;
  }
}

function skipWhereCommitsCompare(scene: Scene): void {
  if (scene.provider.capabilities.fencesAtCommit === true) throw new Skipped("open transactions of this store hold up nobody (capabilities.fencesAtCommit is true)");
}

function skipWhereOpenOnesHold(scene: Scene): void {
  if (scene.provider.capabilities.fencesAtCommit !== true) throw new Skipped("open transactions of this store hold the fence (capabilities.fencesAtCommit is not set)");
}

function handleOf(member: Member, token: number, over: Partial<FenceHandle> = {}): FenceHandle {
  const { scene } = member;
  return { group: scene.group, election: ELECTION, token, leaseMs: LONG_LEASE_MS, clock: scene.clock, mayAct: () => true, over: new AbortController().signal, ...over };
}

/** Declares the holder dead and claims its election; the fence still stands at its token. */
async function claimFrom(successor: Member, holder: Member, election: string): Promise<number> {
  const { scene } = successor;
  await scene.until("the holder is declared dead", async () => ((await successor.declareDead(holder)) ? true : undefined));
  return (await scene.until("the successor claims", async () => (await successor.claim(election)) ?? undefined)).token;
}

/** Like `claimFrom`, and passes the fence. */
async function succeed(successor: Member, holder: Member, election: string): Promise<number> {
  const token = await claimFrom(successor, holder, election);
  assert.equal(await untilPassed(successor, election, token), "passed");
  return token;
}

interface OpenTransaction {
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** A transaction as a user begins one; rolled back with the case if that left it open. */
async function begin(scene: Scene): Promise<UserTransaction> {
  const table = scene.need("table");
  if (table.begin === undefined) throw new Skipped("the place's table offers no begin");
  const user = await table.begin();
  let open = true;
  const once = (end: () => Promise<void>) => async () => {
    open = false;
    await end();
  };
  scene.atEnd(async () => (open ? await user.rollback() : undefined));
  return { tx: user.tx, commit: once(() => user.commit()), rollback: once(() => user.rollback()) };
}

/** A fenced transaction that has done its work and stays open until told: by `transaction`, or by `guard` where that must be synchronous. */
async function openFenced(scene: Scene, handle: FenceHandle, work: (tx: unknown) => void | Promise<void>): Promise<OpenTransaction> {
  if (!scene.provider.capabilities.asyncTransactions) {
    const user = await begin(scene);
    await scene.provider.fenced.guard(handle, user.tx);
    await work(user.tx);
    return user;
  }
  const [opened, ending] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const rolledBack = new Error("rolled back on purpose");
  const transaction = scene.provider.fenced.transaction(handle, async (tx) => {
    await work(tx);
    opened.resolve();
    await ending.promise;
  });
  scene.atEnd(async () => {
    ending.reject(rolledBack);
    await transaction;
  });
  transaction.catch(() => undefined); // looked at by whoever ends it
  await Promise.race([opened.promise, transaction]);
  return {
    async commit() {
      ending.resolve();
      await transaction;
    },
    async rollback() {
      ending.reject(rolledBack);
      await assert.rejects(transaction, (error) => error === rolledBack);
    },
  };
}

/** `next` after `first`, at once where that is synchronous: work of a synchronous transaction must not answer a promise. */
function after<T, U>(first: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  return first instanceof Promise ? (async () => await next(await first))() : next(first);
}
