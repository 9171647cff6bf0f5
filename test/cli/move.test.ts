import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import type { MoveOutcome } from "../../src/admin/index.ts";
import { createCluster } from "../../src/cluster/index.ts";
import type { Cluster } from "../../src/cluster/index.ts";
import { findEtcd, startEtcd } from "../support/etcd-server.ts";
import { requireOrSkip } from "../support/required.ts";
import { findZookeeper, startZookeeper } from "../support/zookeeper-server.ts";
import { group, lead } from "./group.ts";
import { atEnd, place, tribune, until } from "./run.ts";
import type { Place } from "./run.ts";

/** A place to move to: its URL, or why there is none. */
type Destination = (t: TestContext, where: Place) => Promise<string | undefined>;

const DESTINATIONS: ReadonlyArray<readonly [string, Destination]> = [
  ["another SQLite file", (_, { folder }) => Promise.resolve(`sqlite:${join(folder, "elsewhere.db")}`)],
  [
    "etcd",
    async (t) => {
      const programs = await findEtcd();
      if ("missing" in programs) {
        requireOrSkip(t, "etcd", programs.missing);
        return undefined;
      }
      const server = await startEtcd({ programs });
      atEnd(t, () => server.stop());
      return server.urlOf({});
    },
  ],
  [
    "ZooKeeper",
    async (t) => {
      const programs = await findZookeeper();
      if ("missing" in programs) {
        requireOrSkip(t, "zookeeper", programs.missing);
        return undefined;
      }
      const server = await startZookeeper({ programs });
      atEnd(t, () => server.stop());
      return server.url;
    },
  ],
];

describe("move", () => {
  for (const [name, destination] of DESTINATIONS) {
    it(`takes a live group from a SQLite file to ${name}: nobody leads on the old store, and nodes that are restarted there have greater tokens`, async (t) => {
      const where = place(t);
      const to = await destination(t, where);
      if (to === undefined) return;
      const [ada, ben] = (await group(t, where, "ada", "ben")) as [Cluster, Cluster];
      const token = await lead(ada, "scheduler");
      void lead(ben, "scheduler");
      const ended = await tribune(t, ["move", "--to", to, "--json"], where.env);
      assert.deepEqual([ended.code, ended.stderr], [0, ""]);
      const outcome = JSON.parse(ended.stdout) as MoveOutcome;
      assert.deepEqual(outcome.elections, [{ election: "scheduler", token }]);
      await until("both know that it is paused", () => [ada, ben].every((node) => node.election("scheduler").current?.paused?.reason.startsWith("moved to ") === true && node.election("scheduler").term === undefined));
      // One after the other: while one node is there, the other one is still here, and leads nothing.
      await ben.stop();
      const moved = createCluster({ group: "billing", node: "ben", store: to, leaseMs: 2_000, beatMs: 200 });
      atEnd(t, () => moved.stop());
      await moved.start();
      const later = await lead(moved, "scheduler");
      assert.ok(BigInt(later) > BigInt(outcome.tokensAbove) && BigInt(later) > BigInt(token), `${later} after ${token}`);
      assert.equal(ada.election("scheduler").term, undefined);
    });
  }

  it("tells each step, and is refused where the group lives already", async (t) => {
    const where = place(t);
    const [ada] = (await group(t, where, "ada")) as [Cluster];
    await lead(ada, "scheduler");
    const same = await tribune(t, ["move", "--to", where.store], where.env);
    assert.match(same.stderr, /^error INVALID_OPTIONS: group billing has 1 live member on [^\n]+ already: ada[^\n]*\n$/);
    assert.deepEqual([same.code, same.stdout], [2, ""]);
    const moved = await tribune(t, ["move", "--to", `sqlite:${join(where.folder, "elsewhere.db")}`], where.env);
    assert.match(moved.stderr, /^scheduler is paused\nada resigned scheduler, token \d+\nthe group is made, generation 2\n$/);
    assert.match(moved.stdout, /^billing can be started on sqlite:[^\n]+ now, [^\n]+; 1 election is paused on sqlite:[^\n]+ for good, and tokens there will be greater than 8589934591\n$/);
    assert.equal(moved.code, 0);
    const wrong = await tribune(t, ["move", "--to", "oracle:x"], where.env);
    assert.deepEqual([wrong.code, wrong.stderr.startsWith("error UNKNOWN_STORE: ")], [2, true]);
    assert.equal((await tribune(t, ["move"], where.env)).code, 2);
  });
});
