import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { requireOrSkip } from "../support/required.ts";
import { nodeRelease } from "./node-releases.ts";
import type { NodeRelease } from "./node-releases.ts";
import { install, manifest, pack, ROOT, subpaths } from "./packed.ts";
import type { Packed } from "./packed.ts";
import { CONSUMER, CONSUMER_BY_REQUIRE, ELECT, LOAD_BY_IMPORT, LOAD_BY_REQUIRE } from "./programs.ts";

const run = promisify(execFile);

/** The oldest that package.json allows, and the newest; the one in between runs these tests. */
const OTHER_NODES = ["22.18.0", "26"];

const home = mkdtempSync(join(tmpdir(), "tribune-package-"));
const project = join(home, "project");
let packed: Packed;

before(async () => {
  packed = await pack(home);
  const commander = await pack(join(home, "dependency"), join(ROOT, "node_modules/commander"));
  await install(project, [packed.tarball, commander.tarball]);
});

after(() => rmSync(home, { recursive: true, force: true }));

describe("the package as it would be published", () => {
  const paths = () => packed.files.map(({ path }) => path);

  it("has code, types, sources and the papers, and nothing else", () => {
    const foreign = paths().filter((path) => !/^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|(?:dist|src)\/.+)$/.test(path));
    assert.deepEqual(foreign, []);
    for (const path of ["package.json", "README.md", "LICENSE", "CHANGELOG.md"]) assert.ok(paths().includes(path), path);
    assert.match(readFileSync(join(project, "node_modules/tribune/LICENSE"), "utf8"), /Apache License\s+Version 2\.0/);
  });

  it("has no tests, no fixtures, no leftovers", () => {
    const foreign = paths().filter((path) => /(?:^|\/)(?:test|tests|fixtures?|__\w+__|node_modules)\/|\.test[-.]|\.test-d\.|\.tsbuildinfo$|\.(?:db|log|tgz|env|pem|key)$|(?:^|\/)\./.test(path));
    assert.deepEqual(foreign, []);
  });

  it("has the compiled form of each source and of nothing else", () => {
    const sources = paths().filter((path) => /^src\/.*\.ts$/.test(path)).map((path) => path.replace(/^src\/(.*)\.ts$/, "$1"));
    for (const ending of [".js", ".d.ts", ".js.map", ".d.ts.map"]) {
      const compiled = paths().filter((path) => path.startsWith("dist/") && path.endsWith(ending)).map((path) => path.slice("dist/".length, -ending.length));
      assert.deepEqual(compiled.filter((path) => !path.endsWith(".d")).sort(compare), sources.sort(compare), ending);
    }
  });

  it("has maps that lead to sources which are there", () => {
    for (const path of paths().filter((each) => each.endsWith(".map"))) {
      const { sources } = JSON.parse(readFileSync(join(project, "node_modules/tribune", path), "utf8")) as { sources: string[] };
      for (const source of sources) assert.ok(paths().includes(posix.join(posix.dirname(path), source)), `${path} names ${source}`);
    }
  });

  it("has what every subpath and command names; commands are executable", () => {
    const targets = Object.values(manifest.exports).flatMap((target) => (typeof target === "string" ? [target] : Object.values(target)));
    for (const target of [...targets, ...Object.values(manifest.bin)]) assert.ok(paths().includes(posix.normalize(target)), target);
    for (const target of Object.values(manifest.bin)) assert.equal((packed.files.find(({ path }) => path === posix.normalize(target))?.mode ?? 0) & 0o111, 0o111, target);
  });

  it("runs nothing when it is installed", () => {
    assert.deepEqual(["preinstall", "install", "postinstall", "prepare"].filter((name) => name in manifest.scripts), []);
  });
});

describe("the package, installed into an empty project", () => {
  it("pulls in commander and no database client", () => {
    const installed = readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."));
    assert.deepEqual(installed.sort(compare), ["commander", "tribune"]);
    assert.ok(!existsSync(join(project, "node_modules/tribune/node_modules")));
  });

  it("keeps what is behind its doors to itself", async () => {
    const program = `import("tribune/dist/index.js").then(() => "loaded", (error) => error.code).then(console.log)`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program], { cwd: project });
    assert.equal(stdout.trim(), "ERR_PACKAGE_PATH_NOT_EXPORTED");
  });

  it("says how to install the database client that is not there", () => {
    const { status, stderr } = tribune(["status", "--store", "postgres://user:secret@localhost/app", "--group", "g"]);
    assert.equal(status, 1);
    assert.match(stderr, /^error DRIVER_MISSING: .*npm install pg/);
    assert.ok(!stderr.includes("secret"));
  });
});

describe("the package on", () => {
  const ownVersion = process.versions.node;
  const releases: Array<readonly [string, Promise<NodeRelease>]> = [[ownVersion, Promise.resolve({ program: process.execPath })], ...OTHER_NODES.map((version) => [version, nodeRelease(version)] as const)];

  for (const [version, release] of releases) {
    describe(`Node ${version}`, () => {
      let found: NodeRelease;
      before(async () => {
        found = await release;
      });

      /** Runs `work` with the Node, or skips for want of it. */
      const withNode = (title: string, work: (program: string) => Promise<void> | void): void => {
        void it(title, async (t) => {
          if ("missing" in found) requireOrSkip(t, "node", `${version}, for which ${found.missing}`);
          else await work(found.program);
        });
      };

      withNode("loads every subpath by import, without a word, and ends by itself", async (program) => {
        const { stdout, stderr } = await run(program, [file("load.mjs", LOAD_BY_IMPORT), JSON.stringify(subpaths)], { cwd: project });
        assert.equal(stderr, "");
        assertComplete(JSON.parse(stdout) as Loaded);
      });

      withNode("loads every subpath by require, and gets the same", async (program) => {
        const [required, imported] = await Promise.all([
          run(program, [file("load.cjs", LOAD_BY_REQUIRE), JSON.stringify(subpaths)], { cwd: project }),
          run(program, [file("load.mjs", LOAD_BY_IMPORT), JSON.stringify(subpaths)], { cwd: project }),
        ]);
        assert.equal(required.stderr, "");
        assert.deepEqual(JSON.parse(required.stdout), JSON.parse(imported.stdout));
      });

      withNode("elects, writes behind the fence, and stops, on SQLite", async (program) => {
        const path = join(home, `${version}.db`);
        const { stdout } = await run(program, [file("elect.mjs", ELECT), path], { cwd: project });
        assert.deepEqual(JSON.parse(stdout), { rows: 1, isAfterStop: "TERM_RESIGNED" });
      });

      withNode("answers on the command line with its version and its commands", (program) => {
        const asked = tribune(["--version"], program);
        assert.deepEqual([asked.status, asked.stdout.trim(), asked.stderr], [0, manifest.version, ""]);
        const helped = tribune(["--help"], program);
        assert.equal(helped.status, 0);
        for (const command of ["demo", "lead", "status"]) assert.match(helped.stdout, new RegExp(`^\\s+${command}\\b`, "m"));
      });
    });
  }
});

describe("the types of the package", () => {
  /** With the types of Node beside it, as a program that uses Node has them, and with those of no database client. */
  before(() => {
    const types = join(project, "types/node_modules/@types");
    mkdirSync(types, { recursive: true });
    symlinkSync(join(ROOT, "node_modules/@types/node"), join(types, "node"));
  });

  const consumers: ReadonlyArray<readonly [name: string, files: Readonly<Record<string, string>>, options: Readonly<Record<string, unknown>>]> = [
    ["module and resolution nodenext, from ESM and from CommonJS", { "consumer.mts": CONSUMER, "required.cts": CONSUMER_BY_REQUIRE }, { module: "nodenext" }],
    ["resolution by a bundler", { "bundled.ts": CONSUMER }, { module: "esnext", moduleResolution: "bundler" }],
  ];
  for (const [name, files, options] of consumers) {
    it(`resolve and hold with ${name}, declarations of the package included`, () => {
      for (const [path, text] of Object.entries(files)) file(`types/${path}`, text);
      const config = { compilerOptions: { target: "es2023", strict: true, noEmit: true, skipLibCheck: false, types: ["node"], ...options }, files: Object.keys(files) };
      const path = file("types/tsconfig.json", JSON.stringify(config));
      const { status, stdout } = spawnSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", path], { cwd: dirname(path), encoding: "utf8" });
      assert.equal(status, 0, stdout);
    });
  }

  it("are looked at: a wrong use does not compile", () => {
    file("types/wrong.mts", `import { createCluster } from "tribune";\ncreateCluster({ group: 1 });\n`);
    const path = file("types/wrong.json", JSON.stringify({ compilerOptions: { target: "es2023", strict: true, noEmit: true, types: ["node"], module: "nodenext" }, files: ["wrong.mts"] }));
    const { status, stdout } = spawnSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", path], { cwd: dirname(path), encoding: "utf8" });
    assert.notEqual(status, 0);
    assert.match(stdout, /wrong\.mts\(2,/);
    assert.doesNotMatch(stdout, /Cannot find module/);
  });
});

type Loaded = Readonly<Record<string, readonly string[]>>;

function assertComplete(loaded: Loaded): void {
  for (const subpath of subpaths) assert.ok((loaded[subpath]?.length ?? 0) > 0, `${subpath} exports nothing`);
  const named: Loaded = { tribune: ["createCluster", "isTribuneError", "Term"], "tribune/sqlite": ["sqlite"], "tribune/postgres": ["postgres"], "tribune/mysql": ["mysql"], "tribune/etcd": ["etcd", "fenceComparison"], "tribune/zookeeper": ["zookeeper"], "tribune/memory": ["memory"], "tribune/testing": ["storeConformance"] };
  for (const [subpath, names] of Object.entries(named)) for (const name of names) assert.ok(loaded[subpath]?.includes(name), `${name} from ${subpath}`);
}

/** Writes a file of the consumer's, and answers its path. */
function file(name: string, text: string): string {
  const path = join(project, name);
  writeFileSync(path, text);
  return path;
}

/** Runs the command that npm put there, with the given Node as the only one that it finds. */
function tribune(args: readonly string[], program = process.execPath): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const env = { ...process.env, PATH: `${dirname(program)}:/usr/bin:/bin`, NO_COLOR: "1" };
  return spawnSync(join(project, "node_modules/.bin/tribune"), args, { cwd: project, env, encoding: "utf8", timeout: 60_000 });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
