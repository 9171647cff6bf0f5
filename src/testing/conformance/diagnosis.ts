import assert from "node:assert/strict";
import { silentLogger } from "../../kernel/index.ts";
import type { DiagnoseContext, Finding, StoreProvider } from "../../store/index.ts";
import { Skipped } from "./scene.ts";
import type { Scene, SceneCase } from "./scene.ts";

/** `//user:password@` in a URL. */
const PASSWORD_IN_URL = /\/\/[^\s/@]*:[^\s]*@/;

/** What a store says of itself to `tribune doctor`. */
export const diagnosisCases: readonly SceneCase[] = [
  {
    title: "findings are well formed, each check is there once, whatever is not ok has a next step, and nothing has a password",
    async run(scene) {
      await scene.member();
      const findings = await diagnosed(scene, scene.provider);
      assert.ok(findings.length > 0);
      assert.equal(new Set(findings.map((finding) => finding.check)).size, findings.length, "each check once");
      for (const finding of findings) {
        const { check, level, found, next } = finding;
        assert.match(check, /^[a-z][a-z-]*$/);
        assert.ok(["ok", "warn", "fail"].includes(level), level);
        assert.ok(found.length > 0 && !found.includes("\n"), check);
        assert.ok(level === "ok" || (next !== undefined && next.length > 0), `${check} is not ok, and says nothing of what to do`);
        for (const text of [found, next ?? ""]) {
          assert.doesNotMatch(text, PASSWORD_IN_URL);
          for (const secret of scene.place.secrets ?? []) assert.ok(!text.includes(secret), `${check} has a password`);
        }
      }
      assert.ok(findings.some((finding) => finding.check === "server"));
      assert.ok(!findings.some((finding) => finding.level === "fail"), "a store that serves a member has nothing that fails");
    },
  },
  {
    title: "a diagnosis changes nothing: no member, no event, no election",
    async run(scene) {
      const a = await scene.member();
      const before = await a.session.readGroup(a.call);
      await diagnosed(scene, scene.provider);
      const after = await a.session.readGroup(a.call);
      assert.deepEqual([after?.presence.map((row) => row.incarnation), after?.elections, after?.view], [before?.presence.map((row) => row.incarnation), before?.elections, before?.view]);
    },
  },
  {
    title: "a store without a schema can be diagnosed too, and gets none by that",
    async run(scene) {
      if (scene.place.schemaAt === undefined) throw new Skipped("the place offers no schemaAt");
      const provider = await scene.place.schemaAt({ version: 0, worksWith: 0 });
      try {
        assert.ok((await diagnosed(scene, provider)).length > 0);
        assert.equal((await provider.schema.installed(contextOf(scene))).version, 0);
      } finally {
        await provider.close();
      }
    },
  },
];

async function diagnosed(scene: Scene, provider: StoreProvider): Promise<readonly Finding[]> {
  if (provider.diagnose === undefined) throw new Skipped("this store has no diagnosis");
  return await provider.diagnose(contextOf(scene));
}

function contextOf({ clock, random, group, call }: Scene): DiagnoseContext {
  return { group, node: "doctor", clock, random, logger: silentLogger, deadlineMs: call.deadlineMs, statementLimitMs: call.deadlineMs, createSchema: false, nodes: 1, leaseMs: 4_000 };
}
