import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FarmCoordinator } from "../../src/farm/coordinator.ts";
import type { FarmDocuments } from "../../src/farm/document-cache.ts";
import { appDocument, emptyRecord, encode, voteDocument } from "../../src/farm/record.ts";
import { silentLogger } from "../../src/kernel/index.ts";
import type { View } from "../../src/membership/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { bytes, worlds } from "./farms.ts";

const FENCE = { election: "coordinator", token: 1, incarnation: "i" };
const VIEW = { version: 1, members: [] } as unknown as View;
const CHANGE = "a".repeat(32);

/** Documents, and a coordinator for whom nothing is under way. */
function idle() {
  const texts = new Map<string, string>();
  const documents: FarmDocuments = {
    list: async (prefix) => [...texts.keys()].filter((name) => name.startsWith(prefix)).map((name) => ({ name, version: 1 })),
    read: async (name) => (texts.has(name) ? { version: 1, text: texts.get(name) ?? "" } : null),
    write: async ({ name, text }) => (texts.set(name, text), true),
    remove: async ({ name }) => texts.delete(name),
  };
  const clock = new VirtualClock();
  const coordinator = new FarmCoordinator({ documents, clock, logger: silentLogger });
  const records = new Map([[appDocument("app"), { version: 1, value: emptyRecord("app") }]]);
  const late = voteDocument(CHANGE, "i");
  const vote = () => void texts.set(late, encode({ change: CHANGE, node: "a", incarnation: "i", yes: true, code: null, why: null }));
  return { texts, clock, vote, late, round: (isWhole: boolean) => coordinator.round(FENCE, records, isWhole, VIEW) };
}

describe("what is left over", () => {
  it("is looked for again: a vote that comes after its change has ended goes, though nothing else happens", async () => {
    const { texts, clock, vote, round } = idle();
    await round(true);
    vote();
    await clock.advance(30_000);
    await round(true);
    assert.deepEqual([...texts.keys()], []);
  });

  it("stays where a document of a name cannot be understood: the vote may be on a change in it", async () => {
    const { texts, clock, vote, late, round } = idle();
    vote();
    await round(false);
    assert.deepEqual([...texts.keys()], [late]);
    await clock.advance(30_000);
    await round(true);
    assert.deepEqual([...texts.keys()], []);
  });

  it("are no artifacts while a document of a name cannot be understood: it may refer to them", async () => {
    const farms = worldOf();
    const [a] = await farms.start("a");
    assert.ok(a);
    await a.farm.deploy({ name: "app", version: "1", artifact: bytes("one") });
    const name = appDocument("app");
    const [row] = farms.store.engine.listDocuments("g", { prefix: name });
    assert.equal(farms.store.engine.writeDocument("g", { name, expectedVersion: row?.version ?? 0, text: '{"name":"app","of":"a later version of this software"}' }), true);
    await a.farm.deploy({ name: "web", version: "1", artifact: bytes("two") });
    await a.farm.status();
    await a.farm.deploy({ name: "web", version: "2", artifact: bytes("three") });
    assert.equal(readdirSync(join(farms.folder, "a", "artifacts")).length, 3);
  });

  const worldOf = worlds();
});
