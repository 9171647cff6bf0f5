import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { runCli } from "../../src/cli/program.ts";
import { Shell } from "../../src/cli/shell.ts";
import { ERROR_CODES } from "../../src/kernel/index.ts";
import { place, tribune } from "./run.ts";

/** The same program without a process of its own: for the many ways of being wrong. */
async function here(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ code: number; stdout: string; stderr: string }> {
  const text = { stdout: "", stderr: "" };
  const stream = (name: keyof typeof text) => ({ write: (more: string) => (text[name] += more), on: () => undefined });
  const code = await runCli(args, new Shell({ stdout: stream("stdout"), stderr: stream("stderr"), env }));
  return { code, ...text };
}

/** One line, a code that exists, and its exit code. */
function assertFailure(ended: { code: number | null; stdout: string; stderr: string }, code: keyof typeof ERROR_CODES, pattern: RegExp): void {
  assert.match(ended.stderr, new RegExp(`^error ${code}: [^\\n]+\\n$`));
  assert.match(ended.stderr, pattern);
  assert.equal(ended.code, ERROR_CODES[code].exit);
  assert.equal(ended.stdout, "");
}

const SOMEWHERE = ["--store", "sqlite:/nowhere/at/all.db", "--group", "g"];

describe("wrong usage, from a shell", () => {
  it("an unknown command is one line with what was meant, and exit code 2", async (t) => {
    assertFailure(await tribune(t, ["statsu"]), "INVALID_OPTIONS", /"statsu".*did you mean status\?/);
  });

  it("a password on the command line is not repeated, wherever it stands", async (t) => {
    const ended = await tribune(t, ["postgres://me:geheim@db/x"]);
    assert.equal(ended.code, 2);
    assert.doesNotMatch(ended.stderr, /geheim/);
  });

  it("a file that is not a database is refused with exit code 3, and is not touched", async (t) => {
    const { folder } = place(t);
    const file = join(folder, "letter.txt");
    writeFileSync(file, "Dear Sir or Madam, this is a letter and no database.\n".repeat(50));
    assertFailure(await tribune(t, ["status", "--store", `sqlite:${file}`, "--group", "g"]), "STORE_NOT_A_DATABASE", /letter\.txt/);
  });

  it("a PostgreSQL server that is not there is exit code 3, without the password", async (t) => {
    const ended = await tribune(t, ["status", "--store", "postgres://me:geheim@127.0.0.1:1/x", "--group", "g", "--verbose"]);
    assert.equal(ended.code, 3);
    assert.match(ended.stderr, /^error STORE_UNREACHABLE: /);
    assert.match(ended.stderr, /\n +at /, "--verbose shows the stack");
    assert.doesNotMatch(ended.stderr, /geheim/);
  });
});

describe("wrong usage", () => {
  it("without a command the help goes to standard error, with exit code 2", async () => {
    const ended = await here([]);
    assert.equal(ended.code, 2);
    assert.match(ended.stderr, /Usage: tribune/);
  });

  it("an unknown option names the one that was meant", async () => {
    assertFailure(await here(["status", "--folow"]), "INVALID_OPTIONS", /"--folow" of tribune status, did you mean --follow\?/);
  });

  it("an option before its command is told where to stand", async () => {
    assertFailure(await here(["--store", "sqlite:x", "status"]), "INVALID_OPTIONS", /put it after the command/);
  });

  it("an unknown option with a password in it does not repeat that", async () => {
    const ended = await here(["status", "--stor=postgres://me:geheim@db/x"]);
    assertFailure(ended, "INVALID_OPTIONS", /did you mean --store\?/);
    assert.doesNotMatch(ended.stderr, /geheim/);
  });

  it("arguments too many are counted, not repeated", async () => {
    const ended = await here(["members", "geheim"]);
    assertFailure(ended, "INVALID_OPTIONS", /too many arguments for tribune members/);
    assert.doesNotMatch(ended.stderr, /geheim/);
  });

  it("missing store and missing group are complained about at once", async () => {
    assertFailure(await here(["status"]), "INVALID_OPTIONS", /--store URL or set TRIBUNE_STORE; no group is given/);
  });

  it("an empty variable is one that is not set", async () => {
    assertFailure(await here(["status"], { TRIBUNE_STORE: "", TRIBUNE_GROUP: "" }), "INVALID_OPTIONS", /no store is given/);
  });

  it("an unknown scheme names the one that was meant, and nothing else of the URL", async () => {
    const ended = await here(["status", "--store", "postgers://me:geheim@db/x", "--group", "g"]);
    assertFailure(ended, "UNKNOWN_STORE", /did you mean postgres: \?/);
    assert.doesNotMatch(ended.stderr, /geheim|me:/);
  });

  const names: ReadonlyArray<readonly [what: string, name: string]> = [
    ["quotes", `it's "quoted"`],
    ["a NUL", "a\0b"],
    ["10 kB", "x".repeat(10_240)],
    ["an emoji", "team🚀"],
    ["path characters", "../../etc/passwd"],
    ["an escape sequence", "\u001b[2Jgone"],
    ["nothing", ""],
    ["a statement", "'; drop table tribune_group; --"],
  ];
  for (const [what, name] of names) {
    it(`a group name with ${what} is refused, on one short line that acts on no terminal`, async () => {
      const ended = await here(["status", "--store", "sqlite:/nowhere/at/all.db", "--group", name]);
      assertFailure(ended, "INVALID_NAME", /group/);
      assert.ok(ended.stderr.length < 400, `${ended.stderr.length} characters`);
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(ended.stderr.trimEnd(), /[\u0000-\u001f\u007f]/);
    });
  }

  it("a bad name of an election is refused before anybody is asked", async () => {
    assertFailure(await here(["resign", "a/b", ...SOMEWHERE]), "INVALID_NAME", /election/);
    assertFailure(await here(["lead", "--election", "a b", ...SOMEWHERE, "--", "true"]), "INVALID_NAME", /election/);
  });

  it("numbers have to be numbers, and in their range", async () => {
    assertFailure(await here(["events", "--limit", "many", ...SOMEWHERE]), "INVALID_OPTIONS", /whole number/);
    assertFailure(await here(["events", "--limit", "0", ...SOMEWHERE]), "INVALID_OPTIONS", /at least 1/);
    assertFailure(await here(["join", "--lease-ms", "10", ...SOMEWHERE]), "INVALID_OPTIONS", /leaseMs/);
    assertFailure(await here(["join", "--preset", "slow", ...SOMEWHERE]), "INVALID_OPTIONS", /fast, default, calm/);
  });

  it("a value of 10 kB is not repeated at length", async () => {
    const ended = await here(["events", "--limit", "9".repeat(10_240), ...SOMEWHERE]);
    assert.ok(ended.stderr.length < 600, `${ended.stderr.length} characters`);
  });

  it("lead wants an election, a command, time to stop it, and not the coordinator's election", async () => {
    assertFailure(await here(["lead", ...SOMEWHERE, "--", "true"]), "INVALID_OPTIONS", /--election/);
    assertFailure(await here(["lead", "--election", "e", ...SOMEWHERE]), "INVALID_OPTIONS", /'command'/);
    assertFailure(await here(["lead", "--election", "e", "--stop-budget-ms", "10", ...SOMEWHERE, "--", "true"]), "INVALID_OPTIONS", /at least 100/);
    assertFailure(await here(["lead", "--election", "coordinator", ...SOMEWHERE, "--", "true"]), "ELECTION_RESERVED", /coordinator/);
  });

  it("metadata has to be a JSON object", async () => {
    assertFailure(await here(["join", "--metadata", "{zone", ...SOMEWHERE]), "INVALID_METADATA", /not JSON/);
    assertFailure(await here(["join", "--metadata", "[1]", ...SOMEWHERE]), "INVALID_METADATA", /object/);
  });

  it("a folder that is not there is exit code 3, and is not made", async () => {
    assertFailure(await here(["join", ...SOMEWHERE, "--start-timeout-ms", "0"]), "STORE_NOT_WRITABLE", /\/nowhere\/at/);
  });

  it("three processes cannot share memory, and the demo says so", async () => {
    assertFailure(await here(["demo", "--store", "memory:"]), "INVALID_OPTIONS", /memory:/);
  });
});

describe("help", () => {
  const commands = ["demo", "lead", "join", "status", "members", "elections", "events", "resign", "migrate"];

  for (const command of commands) {
    it(`of ${command} has examples, and goes to standard output with exit code 0`, async () => {
      const ended = await here([command, "--help"]);
      assert.equal(ended.code, 0);
      assert.match(ended.stdout, new RegExp(`Usage: tribune ${command}`));
      assert.match(ended.stdout, /\nExamples:\n {2}tribune /);
      for (const option of ["--store", "--group", "--verbose", "--json"]) assert.ok(ended.stdout.includes(option), option);
      assert.equal(ended.stderr, "");
    });
  }

  it("the program's own lists every command; the version is that of the package", async (t: TestContext) => {
    const [help, version] = await Promise.all([tribune(t, ["--help"]), tribune(t, ["--version"])]);
    for (const command of commands) assert.match(help.stdout, new RegExp(`\\n {2}${command} `));
    assert.match(version.stdout, /^\d+\.\d+\.\d+\S*\n$/);
    assert.deepEqual([help.code, version.code], [0, 0]);
  });
});
