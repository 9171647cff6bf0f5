import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Channel } from "../../src/channel/index.ts";
import type { SendReport } from "../../src/channel/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { Members } from "./members.ts";
import type { TestMember } from "./members.ts";

type Two = [TestMember, TestMember];

const codes = ({ results }: SendReport) => [...results.values()].map((result) => (result.status === "failed" ? result.code : result.status));

describe("a handler that demands a current view", () => {
  it("refuses what was sent in an older view than its own, and takes what is of its own or a newer one", async () => {
    const members = new Members(301);
    const [a, b] = (await members.start(2)) as Two;
    const handled: number[] = [];
    b.channel.listen("t", ({ view }) => void handled.push(view), { currentView: true });
    b.channel.respond("ask", () => "yes", { currentView: true });
    const view = (version: number) => ({ version, members: members.all.map(({ node, incarnation, channel }) => ({ node, incarnation, address: channel.address })), coordinator: null });
    const ask = async () => [...(await members.outcome(a.channel.request("ask", 0))).replies.values()].map((reply) => (reply.status === "failed" ? reply.code : reply.status));
    b.channel.setView(view(7));
    assert.deepEqual([codes(await members.outcome(a.channel.send("t", 0))), await ask()], [["VIEW_STALE"], ["VIEW_STALE"]]);
    a.channel.setView(view(7));
    assert.deepEqual([codes(await members.outcome(a.channel.send("t", 0))), await ask()], [["delivered"], ["replied"]]);
    a.channel.setView(view(9));
    assert.deepEqual(codes(await members.outcome(a.channel.send("t", 0))), ["delivered"]);
    assert.deepEqual(handled, [7, 9]);
  });
});

describe("a handler that demands a token of an election", () => {
  it("takes the same or a greater one than it knows, and refuses none, a smaller one, and one of another election", async () => {
    const members = new Members(302);
    const [a, b] = (await members.start(2)) as Two;
    const handled: Array<[number | undefined, string | undefined]> = [];
    b.channel.listen("t", ({ token, election }) => void handled.push([token, election]), { tokenOf: "scheduler" });
    const send = async (token?: number, election?: string) => codes(await members.outcome(a.channel.send("t", 0, token === undefined ? {} : { token: election === undefined ? token : { token, election } })))[0];
    assert.deepEqual([await send(5, "scheduler"), await send(5, "scheduler"), await send(4, "scheduler"), await send(7, "scheduler"), await send(6, "scheduler")], ["delivered", "delivered", "TOKEN_STALE", "delivered", "TOKEN_STALE"]);
    assert.deepEqual([await send(), await send(99), await send(99, "other")], ["TOKEN_STALE", "TOKEN_STALE", "TOKEN_STALE"]);
    assert.deepEqual(handled, [[5, "scheduler"], [5, "scheduler"], [7, "scheduler"]]);
  });

  it("goes by what this member knows from elsewhere too, for messages and requests, other handlers undisturbed", async () => {
    const members = new Members(303);
    let known = 10;
    const [a, b] = (await members.start(2, { tokenOf: (election) => (election === "scheduler" ? known : undefined) })) as Two;
    let others = 0;
    b.channel.listen("t", () => undefined, { tokenOf: "scheduler" });
    b.channel.listen("t", () => void others++);
    b.channel.respond("ask", () => "yes", { tokenOf: "scheduler" });
    const both = async (token: number) => {
      const given = { token: { token, election: "scheduler" } };
      const { replies } = await members.outcome(a.channel.request("ask", 0, given));
      return [codes(await members.outcome(a.channel.send("t", 0, given)))[0], ...[...replies.values()].map((reply) => (reply.status === "failed" ? reply.code : reply.status))];
    };
    assert.deepEqual([await both(9), await both(10)], [["TOKEN_STALE", "TOKEN_STALE"], ["delivered", "replied"]]);
    known = 11;
    assert.deepEqual(await both(10), ["TOKEN_STALE", "TOKEN_STALE"]);
    assert.equal(others, 3);
  });

  it("names an election, and tokens are whole numbers", async () => {
    const members = new Members(304);
    const [a] = (await members.start(2)) as Two;
    assert.throws(() => a.channel.listen("t", () => undefined, { tokenOf: "no name" }), (error) => isTribuneError(error, "INVALID_NAME"));
    assert.throws(() => a.channel.respond("t", () => undefined, { tokenOf: "" }), (error) => isTribuneError(error, "INVALID_NAME"));
    for (const token of [1.5, -1, Number.NaN]) await assert.rejects(a.channel.send("t", 0, { token }), (error) => isTribuneError(error, "INVALID_OPTIONS"));
    await assert.rejects(a.channel.send("t", 0, { token: { token: 1, election: "~" } }), (error) => isTribuneError(error, "INVALID_NAME"));
    assert.ok(a.channel instanceof Channel);
  });
});
