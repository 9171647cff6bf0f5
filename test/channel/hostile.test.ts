import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeWord } from "../../src/channel/messages.ts";
import { encodeRpc } from "../../src/channel/rpc-words.ts";
import { seededRandom, silentLogger } from "../../src/kernel/index.ts";
import type { Link } from "../../src/transport/index.ts";
import { fc } from "../support/properties.ts";
import { bytes, Members, text } from "./members.ts";
import { encodeMessageHead } from "./words.ts";
import type { TestMember } from "./members.ts";

const head = { topic: "t", ordered: true, settledBelow: 1, awaited: true, view: 1, token: undefined, election: undefined, enveloped: false, deadlineMs: 0 } as const;

/** What a member may say, to be spoiled. */
const WORDS: readonly Uint8Array[] = [
  Buffer.concat([encodeMessageHead({ ...head, number: 1 }), bytes("{}")]),
  Buffer.concat([encodeMessageHead({ ...head, topic: "~t", number: 1 }), encodeRpc({ kind: "request", id: 1, payload: bytes("1"), enveloped: false })]),
  Buffer.concat([encodeMessageHead({ ...head, topic: "~t", number: 2 }), encodeRpc({ kind: "failed", id: 1, after: 0, code: "X", message: "y" })]),
  encodeWord({ kind: "gap", topic: "t", ordered: true, number: 3, settledBelow: 1 }),
  encodeWord({ kind: "received", topic: "t", ordered: true, next: 2 }),
  encodeWord({ kind: "missing", topic: "t", ordered: false, next: 9 }),
  encodeWord({ kind: "handled", topic: "t", ordered: true, next: 2, first: 1, last: 1 }),
  encodeWord({ kind: "outcome", topic: "t", ordered: true, next: 2, number: 1, outcome: { status: "failed", code: "X", message: "y" } }),
];

/** Any of them cut off, or with a byte changed; or anything. */
const spoiled = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.tuple(fc.constantFrom(...WORDS), fc.nat(), fc.nat(255)).map(([word, at, value]) => word.map((byte, index) => (index === at % word.length ? value : byte))),
  fc.tuple(fc.constantFrom(...WORDS), fc.nat()).map(([word, at]) => word.subarray(0, at % (word.length + 1))),
);

describe("a member that says anything", () => {
  it("loses its connection at the most: nobody throws, and the others go on talking", async () => {
    const members = new Members(21);
    const [a, b] = (await members.start(2)) as [TestMember, TestMember];
    for (const { channel } of [a, b]) {
      channel.listen("t", (message) => message.value());
      channel.respond("t", (request) => request.value());
    }
    // One more in everybody's view, that has a transport and no channel.
    const evil = { node: "evil", incarnation: "e".repeat(32), address: "" };
    const known = () => members.all.map(({ node, incarnation, channel }) => ({ node, incarnation, address: channel.address }));
    const endpoint = await members.network.transport().open({
      group: "g",
      node: evil.node,
      incarnation: evil.incarnation,
      known: (incarnation) => known().find((each) => each.incarnation === incarnation),
      handlers: { up() {}, down() {}, unreachable() {}, frame: ({ link, ...frame }) => link.consumed({ link, ...frame }) },
      clock: members.clock,
      random: seededRandom(5),
      logger: silentLogger,
      deadlineMs: 1_000,
    });
    evil.address = endpoint.address;
    const everybody = { version: 100, members: [...known(), evil], coordinator: a.incarnation };
    for (const { channel } of [a, b]) channel.setView(everybody);
    const linkTo = (member: TestMember): Link => endpoint.link(member);
    const connected = () => members.clock.advanceUntil(() => linkTo(a).state === "up", 20_000, "it is connected again");

    let ended = 0;
    const heard: string[] = [];
    b.channel.listen("fine", ({ payload }) => void heard.push(text(payload)));
    for (const [index, words] of fc.sample(fc.array(spoiled, { minLength: 1, maxLength: 6 }), { numRuns: 60, seed: 1 }).entries()) {
      await connected();
      const { connection } = linkTo(a);
      for (const word of words) linkTo(a).send(word.length % 3, word);
      await members.clock.advance(50);
      if (linkTo(a).connection !== connection) ended++;
      const report = await members.outcome(a.channel.send("fine", bytes(`${index}`), { to: ["node-2"], deadlineMs: 2_000 }));
      assert.ok(report.ok, `after ${index}: ${JSON.stringify([...report.results])}`);
    }
    assert.ok(ended > 20, `${ended} connections were ended`);
    assert.equal(heard.length, 60);
  });
});
