import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Elector } from "../../src/election/index.ts";
import { Events, seededRandom, silentLogger } from "../../src/kernel/index.ts";
import { Membership } from "../../src/membership/index.ts";
import { Facts } from "../../src/presence/index.ts";
import type { Presence, PresenceEvents } from "../../src/presence/index.ts";
import type { LookReply, PresenceRow, PublishViewInput, StoredView } from "../../src/store/index.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { presenceRow } from "../support/rows.ts";

const row = (incarnation: string, joinOrder: number): PresenceRow => presenceRow({ incarnation, node: incarnation, joinOrder, viewSeen: 1 });
const member = (incarnation: string, joinOrder: number) => ({ incarnation, node: incarnation, metadata: {}, metadataVersion: 1, joinOrder, joinedAtMs: 0 });
const view: StoredView = { version: 1, members: [member("a", 1), member("b", 2)], coordinator: { incarnation: "a", node: "a" } };
const reply = (over: Partial<LookReply>): LookReply => ({ storeTimeMs: 0, epoch: "e", generation: 1, electionsVersion: 0, elections: [], viewVersion: 1, view: null, presence: [], longestLeaseMs: 4_000, ...over });

describe("joined", () => {
  it("waits for trust beside a view that has this node: who was frozen meanwhile may be dead", async () => {
    const clock = new VirtualClock();
    const facts = new Facts();
    const events = new Events<PresenceEvents>(() => undefined);
    let trusted = false;
    const presence = { incarnation: "b", facts, events, attend: () => () => undefined, trusted: () => trusted } as unknown as Presence;
    const membership = new Membership({ presence, clock, random: seededRandom(1), logger: silentLogger, onListenerError: () => undefined, succession: (members) => members });
    let joined = false;
    const joining = membership.joined(new AbortController().signal).then(() => (joined = true));
    events.emit("facts", facts.absorb(reply({ view }), [], { clock, beatMs: 1_000, connection: 1 }));
    await clock.advance(0);
    assert.deepEqual([membership.self?.node, joined], ["b", false]);
    trusted = true;
    events.emit("trusted", { incarnation: "b" });
    await joining;
  });
});

describe("a coordinator", () => {
  it("publishes nothing by a reading that does not show everybody, also when one comes in between two of its steps", async () => {
    const clock = new VirtualClock();
    const facts = new Facts();
    facts.absorb(reply({ view, presence: [row("a", 1), row("b", 2)] }), "all", { clock, beatMs: 1_000, connection: 1 });
    await clock.advance(4_500); // b is silent, and is going to be declared dead
    const published: PublishViewInput[] = [];
    const stop = new AbortController();
    let declared = 0;
    const session = { readMembers: () => Promise.resolve([]), publishView: (input: PublishViewInput) => Promise.resolve(published.push(input) > 0) };
    const presence = {
      incarnation: "a",
      facts,
      events: new Events<PresenceEvents>(() => undefined),
      timing: { leaseMs: 4_000, beatMs: 1_000, stopBudgetMs: 1_000 },
      evidenceRule: () => undefined,
      watchEverybody: () => () => undefined,
      lookSoon: () => undefined,
      report: () => undefined,
      declareDead: () => {
        declared += 1;
        facts.absorb(reply({}), [], { clock, beatMs: 1_000, connection: 1 }); // the answer to a look that had asked for nobody
        return Promise.resolve(true);
      },
      perform: (operation: (session: unknown, call: unknown) => unknown) => Promise.resolve(operation(session, { deadlineMs: 1 })),
    } as unknown as Presence;
    const elector = { lead: (work: (term: unknown) => Promise<void>) => work({ token: 1, node: "a", incarnation: "a", signal: stop.signal }) } as unknown as Elector<unknown>;
    const governing = new Membership({ presence, clock, random: seededRandom(1), logger: silentLogger, onListenerError: () => undefined, succession: (members) => members }).coordinate(elector);
    await clock.advance(1_000);
    stop.abort();
    await governing;
    assert.ok(declared > 0);
    assert.deepEqual(published, []);
  });
});
