import assert from "node:assert/strict";
import { atOnce, later } from "./scene.ts";
import type { Member, SceneCase } from "./scene.ts";

const ELECTION = "scheduler";

/** The row that says which token may write. */
export const fenceCases: readonly SceneCase[] = [
  {
    title: "the holder passes the fence, which then stands at its token; a claim alone leaves it where it was",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      assert.equal(await fenceOf(a), 0);
      assert.equal(await a.passFence(ELECTION, token), "passed");
      assert.equal(await fenceOf(a), token);
    },
  },
  {
    title: "a claim that is to pass as well says whether it did: then the fence stands at its token, and else where it was",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const old = await a.lead(ELECTION);
      await b.declareDead(a);
      const { token, passed } = (await b.claim(ELECTION, { andPass: true })) ?? assert.fail("the claim was refused");
      assert.equal(token, old + 1);
      assert.equal(await fenceOf(b), passed ? token : old);
      assert.equal(await b.passFence(ELECTION, token), "passed");
      assert.equal(await a.passFence(ELECTION, old), "superseded");
    },
  },
  {
    title: "a claim that is refused leaves the fence where it was, also if it was to pass as well",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.lead(ELECTION);
      assert.equal(await b.claim(ELECTION, { andPass: true }), null, "the holder is alive");
      assert.equal(await b.claim(ELECTION, { andPass: true, expectedToken: token + 1 }), null, "the token is another one");
      assert.equal(await fenceOf(b), token);
    },
  },
  {
    title: "passing a fence that already stands at the holder's token is passed again",
    async run(scene) {
      const a = await scene.member();
      const token = await a.lead(ELECTION);
      assert.equal(await a.passFence(ELECTION, token), "passed");
      assert.equal(await fenceOf(a), token);
    },
  },
  {
    title: "passing the fence changes neither the election row nor its version",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      const [row, { electionsVersion }] = [await a.row(ELECTION), await a.look()];
      await a.passFence(ELECTION, token);
      assert.deepEqual(await a.row(ELECTION), row);
      assert.equal((await a.look()).electionsVersion, electionsVersion);
    },
  },
  {
    title: "a holder whose election somebody else has claimed is superseded, before and after that one passed",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const old = await a.hold(ELECTION);
      await b.declareDead(a);
      const token = (await b.claim(ELECTION))?.token ?? 0;
      assert.equal(await a.passFence(ELECTION, old), "superseded");
      assert.equal(await fenceOf(a), 0);
      assert.equal(await b.passFence(ELECTION, token), "passed");
      assert.equal(await a.passFence(ELECTION, old), "superseded");
      assert.equal(await fenceOf(a), token, "a fence never goes down");
    },
  },
  {
    title: "who does not hold with exactly that token is superseded: another incarnation, another token, after resigning",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      assert.equal(await b.passFence(ELECTION, token), "superseded");
      for (const other of [token - 1, token + 1]) assert.equal(await a.passFence(ELECTION, other), "superseded", `token ${other}`);
      assert.equal(await fenceOf(a), 0);
      assert.equal(await a.passFence(ELECTION, token), "passed");
      assert.equal(await b.passFence(ELECTION, token), "superseded", "a fence at the token is not enough");
      await a.resign(ELECTION, token);
      assert.equal(await a.passFence(ELECTION, token), "superseded");
      assert.equal(await fenceOf(a), token, "resigning leaves the fence");
    },
  },
  {
    title: "passing the fence in another epoch than the server's is superseded, also where it already stands at the token",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      for (const epoch of ["another epoch", ""]) assert.equal(await a.passFence(ELECTION, token, { epoch }), "superseded");
      assert.equal(await fenceOf(a), 0);
      await a.passFence(ELECTION, token);
      assert.equal(await a.passFence(ELECTION, token, { epoch: "another epoch" }), "superseded");
    },
  },
  {
    title: "a term that was claimed before the epoch changed passes the fence in the new epoch and not in the old one",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      const { epoch } = await a.look();
      await scene.newEpoch(a);
      assert.equal(await a.passFence(ELECTION, token, { epoch }), "superseded");
      assert.equal(await a.passFence(ELECTION, token), "passed");
    },
  },
  {
    title: "a token is greater than the fence's, so that each term can pass it",
    async run(scene) {
      const members = await scene.members(2);
      let last = 0;
      for (let round = 0; round < 6; round++) {
        const leader = members[round % 2] ?? assert.fail("no member");
        const token = await leader.lead(ELECTION);
        assert.ok(token > last);
        assert.equal(await fenceOf(leader), token);
        await leader.resign(ELECTION, token);
        last = token;
      }
    },
  },
  {
    title: "when a deposed holder and its successor pass at once, the fence ends at the successor's token",
    async run(scene) {
      const [b, session] = [await scene.member(), await scene.session()];
      for (let round = 0; round < 20; round++) {
        const a = await scene.member({ session });
        const election = scene.name("election");
        const old = await a.hold(election);
        await b.declareDead(a);
        const { epoch } = await b.look();
        const late = async () => {
          await later(a, round % 8);
          return { late: await a.passFence(election, old, { epoch }) };
        };
        const takeOver = async () => {
          const { token } = await scene.until("the successor claims", async () => (await b.claim(election, { expectedToken: old, epoch })) ?? undefined);
          return { token, passed: await untilPassed(b, election, token) };
        };
        const [, successor] = await atOnce<object>([late, takeOver]);
        assert.deepEqual(successor, { token: old + 1, passed: "passed" });
        assert.equal(await fenceOf(b, election), old + 1);
      }
    },
  },
];

async function fenceOf(member: Member, election = ELECTION): Promise<number | undefined> {
  return (await member.reading()).fences.find((fence) => fence.election === election)?.token;
}

/** Asks again while the answer is `busy`, as an elector does. */
export async function untilPassed(member: Member, election: string, token: number): Promise<"passed" | "superseded"> {
  return await member.scene.until(`${member.node} passes the fence of ${election}`, async () => {
    const answer = await member.passFence(election, token);
    return answer === "busy" ? undefined : answer;
  });
}
