import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { findZookeeper, startZookeeper } from "../support/zookeeper-server.ts";
import { skipReason } from "../support/required.ts";
import { once } from "../integration/zookeeper/place.ts";
import { group, lead } from "./group.ts";
import { tribune, until } from "./run.ts";

const programs = await findZookeeper();

if ("missing" in programs) {
  void it("the command line on ZooKeeper", { skip: skipReason("zookeeper", programs.missing) });
} else {
  const server = await startZookeeper({ programs });
  const PASSWORD = "s3cret-and-l0ng";
  const store = `zookeeper://ops:${PASSWORD}@${server.address}`;

  describe("on ZooKeeper", { timeout: 120_000 }, () => {
    after(async () => await server.stop());

    it("the demo holds what it shows there, too, removes its znode, and prints no password", async (t) => {
      const ended = await tribune(t, ["demo", "--json", "--verbose", "--store", store]);
      assert.equal(ended.code, 0, ended.stdout + ended.stderr);
      assert.match(ended.stdout, /\{"step":"done","ok":true,"tookMs":\d+\}\n$/);
      const names = await once(server.url, async (client) => (await client.request({ op: "getChildren", path: "/" })).children);
      assert.deepEqual(names.filter((name) => name.startsWith("tribune_demo")), []);
      assert.ok(!`${ended.stdout}${ended.stderr}`.includes(PASSWORD));
    });

    it("migrate prints what zkCli.sh takes, makes the root once, and doctor finds nothing that fails", async (t) => {
      const fresh = `${store}/apps/fresh`;
      const printed = await tribune(t, ["migrate", "--print", "--store", fresh]);
      assert.equal(printed.code, 0, printed.stderr);
      for (const line of ["addauth digest ops:PASSWORD\n", 'create /apps "" auth::cdrwa\n', 'create /apps/fresh "" auth::cdrwa\n', "create /apps/fresh/tribune '{"]) assert.ok(printed.stdout.includes(line), `${line} in ${printed.stdout}`);
      for (const said of [/now has schema version/, /nothing to do/]) {
        const migrated = await tribune(t, ["migrate", "--store", fresh]);
        assert.match(migrated.stdout, said, migrated.stderr);
      }
      const doctor = await tribune(t, ["doctor", "--json", "--store", fresh, "--group", "g"]);
      assert.ok(!doctor.stdout.includes('"fail"'), doctor.stdout);
      for (const check of ["server", "round-trip", "clock", "ensemble", "write", "session", "way", "schema"]) assert.ok(doctor.stdout.includes(`"${check}"`), `${check} in ${doctor.stdout}`);
      assert.ok(!`${printed.stdout}${doctor.stdout}${doctor.stderr}`.includes(PASSWORD));
    });

    it("what migrate prints makes the root when it is typed into zkCli.sh, and nodes need no more", async (t) => {
      const byHand = `zookeeper://${server.address}/by/hand`;
      const printed = await tribune(t, ["migrate", "--print", "--from", "0", "--store", byHand]);
      const said = await server.cli(printed.stdout.split("\n").filter((line) => line !== "" && !line.startsWith("--")));
      const migrated = await tribune(t, ["migrate", "--store", byHand]);
      assert.match(migrated.stdout, /nothing to do/, said + migrated.stderr);
      const { length } = await group(t, { folder: "", store: byHand, env: {} }, "ada");
      assert.equal(length, 1);
    });

    it("an operator sees a group, moves, pauses, resumes and takes away what it leads, and sends a node away", async (t) => {
      const where = { folder: "", store, env: { TRIBUNE_STORE: store, TRIBUNE_GROUP: "billing" } };
      const [ada, ben] = await group(t, where, "ada", "ben");
      if (ada === undefined || ben === undefined) return assert.fail("nobody is there");
      await lead(ada, "scheduler");
      void lead(ben, "scheduler");
      const said = async (...args: string[]) => {
        const ended = await tribune(t, args, where.env);
        assert.deepEqual([ended.code, ended.stderr], [0, ""], `${args.join(" ")}: ${ended.stdout}`);
        assert.ok(!ended.stdout.includes(PASSWORD));
        return ended.stdout;
      };
      await until("ben is known to contend", async () => /"node":"ben"[^}]*"fit":true/.test(await said("elections", "--json")) || (await said("elections", "--json")).includes('"ben"'));
      assert.match(await said("members"), /ada[^]*ben/);
      assert.match(await said("transfer", "scheduler", "ben"), /^ben holds scheduler now/);
      assert.match(await said("status"), /scheduler[^]*ben/);
      await said("pause", "scheduler", "--reason", "maintenance");
      await said("resign", "scheduler");
      await until("nobody holds it", () => ada.election("scheduler").current?.holder === null);
      await said("resume", "scheduler");
      await until("somebody holds it again", () => ada.election("scheduler").current?.holder !== null);
      const ran = await tribune(t, ["lead", "--election", "job", "--node", "cat", "--exit", "--", "sh", "-c", "echo token $TRIBUNE_TOKEN"], where.env);
      assert.match(ran.stdout, /token \d+/);
      await said("evict", "ben", "--reason", "moved away");
      await until("ben is gone", () => ada.view.members.every((member) => member.node !== "ben"));
      const events = await said("events", "--json");
      for (const type of ["term-began", "election-paused", "election-resumed", "eviction-requested", "view-published"]) assert.ok(events.includes(`"${type}"`), type);
    });

    it("a wrong password, and a port where nobody listens, end with a code of their own, and without a password", async (t) => {
      await tribune(t, ["migrate", "--store", store]);
      const cases = [
        [`zookeeper://ops:not-${PASSWORD}@${server.address}`, "STORE_PERMISSION_DENIED"],
        ["zookeeper://ops:not-used@127.0.0.1:1", "STORE_UNREACHABLE"],
      ] as const;
      for (const [url, code] of cases) {
        const ended = await tribune(t, ["status", "--store", url, "--group", "g"]);
        assert.equal(ended.code, 3, ended.stderr);
        assert.ok(ended.stderr.includes(code), ended.stderr);
        assert.ok(!ended.stderr.includes(PASSWORD) && !ended.stderr.includes("not-used"), ended.stderr);
      }
    });
  });
}
