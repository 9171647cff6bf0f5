import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { readOptions, WrongUsage } from "../../bench/options.ts";
import { ROOT } from "../architecture/source.ts";

const run = promisify(execFile);
const bench = (...args: readonly string[]) => run(process.execPath, [join(ROOT, "bench/main.ts"), ...args], { cwd: ROOT });

interface Results {
  readonly machine: { readonly cores: number; readonly loadAtStart: readonly number[] };
  readonly results: readonly [
    { readonly benchmark: string; readonly rows: ReadonlyArray<{ readonly departure: string; readonly rounds: ReadonlyArray<{ readonly tookMs: number }> }> },
    { readonly benchmark: string; readonly rows: readonly unknown[]; readonly leftOut: ReadonlyArray<{ readonly who: string }> },
    { readonly benchmark: string; readonly rows: ReadonlyArray<{ readonly members: number; readonly trusted: number; readonly beatMs: { readonly count: number } }> },
    { readonly benchmark: string; readonly rows: ReadonlyArray<{ readonly ratio: { readonly p50: number } }> },
    { readonly benchmark: string; readonly rows: ReadonlyArray<{ readonly carrier: string; readonly rounds: ReadonlyArray<{ readonly deliveredPerSecond: number; readonly lost: number; readonly times: ReadonlyArray<{ readonly operation: string; readonly lanes: number; readonly p50Us: number }> }> }>; readonly leftOut: readonly unknown[] },
    { readonly benchmark: string; readonly rows: ReadonlyArray<{ readonly keeper: string; readonly rounds: ReadonlyArray<{ readonly flushes: ReadonlyArray<{ readonly touched: number; readonly ms: number; readonly payloadBytes: number }>; readonly join: { readonly ms: number } }> }>; readonly leftOut: readonly unknown[] },
  ];
}

describe("npm run bench", () => {
  let folder: string;
  before(async () => void (folder = await mkdtemp(join(tmpdir(), "tribune-bench-test-"))));
  after(() => rm(folder, { recursive: true, force: true }));

  it("measures everything in a quick run, and tells it as tables and as JSON", async () => {
    const json = join(folder, "results.json");
    const { stdout } = await bench("all", "--quick", "--store", "sqlite", "--peers", "none", "--json", json);
    for (const heading of ["## Failover", "## Cut", "## Beats", "## Fence", "## Channel", "## Contexts"]) assert.ok(stdout.includes(heading), heading);
    const { machine, results } = JSON.parse(await readFile(json, "utf8")) as Results;
    assert.ok(machine.cores > 0 && machine.loadAtStart.length === 3);
    const [failover, cut, beats, fence, channel, contexts] = results;
    assert.deepEqual([failover.benchmark, cut.benchmark, beats.benchmark, fence.benchmark, channel.benchmark, contexts.benchmark], ["failover", "cut", "beats", "fence", "channel", "contexts"]);
    assert.deepEqual([cut.rows, cut.leftOut.map(({ who }) => who)], [[], ["SQLite"]], "there is no way to cut");
    assert.deepEqual(failover.rows.map(({ departure }) => departure), ["resign", "kill"]);
    for (const { rounds } of failover.rows) assert.ok(rounds.length === 1 && rounds.every(({ tookMs }) => tookMs > 0), JSON.stringify(rounds));
    assert.ok(beats.rows.every(({ members, trusted, beatMs }) => members === 2 && trusted === 2 && beatMs.count > 0), JSON.stringify(beats.rows));
    assert.ok((fence.rows[0]?.ratio.p50 ?? 0) > 0);
    assert.deepEqual([channel.rows.map(({ carrier }) => carrier), channel.leftOut], [["raw-tcp", "raw-tcp-each", "plaintext", "channel-plaintext", "raw-tls", "raw-tls-each", "keys", "channel-keys"], []]);
    for (const { carrier, rounds } of channel.rows) {
      const [round, ...more] = rounds;
      assert.ok(round !== undefined && more.length === 0 && round.deliveredPerSecond > 0 && round.lost === 0, carrier);
      assert.deepEqual(new Set(round.times.map(({ operation }) => operation)), new Set(carrier.startsWith("channel") ? ["echo", "acknowledged", "request", "requestAll"] : ["echo", "acknowledged", "requestAll"]));
      assert.ok(round.times.every(({ p50Us }) => p50Us > 0), carrier);
    }
    assert.deepEqual([contexts.rows.map(({ keeper }) => keeper), contexts.leftOut], [["contexts-keys", "contexts-plaintext"], []]);
    for (const [round] of contexts.rows.map(({ rounds }) => rounds)) {
      assert.ok(round !== undefined);
      assert.deepEqual(round.flushes.map(({ touched }) => touched), [1, 100]);
      assert.ok(round.join.ms > 0 && round.flushes.every(({ ms, payloadBytes }) => ms > 0 && payloadBytes > 0), JSON.stringify(round));
    }
  });

  it("ends with code 2 and says how it is used, when it is used wrongly", async () => {
    await assert.rejects(bench("speed"), (error: Error & { readonly code?: number; readonly stderr?: string }) => {
      assert.equal(error.code, 2);
      assert.match(error.stderr ?? "", /there is no benchmark "speed"[^]*usage: npm run bench/);
      return true;
    });
  });
});

describe("the options of npm run bench", () => {
  it("are everything by default", () => {
    const options = readOptions([]);
    assert.deepEqual(options?.benchmarks, ["failover", "cut", "beats", "fence", "channel", "contexts"]);
    assert.ok(options.stores.includes("sqlite") && options.peers.includes("etcd3") && ["nats", "tribes", "tribes-order", "redis", "yjs"].every((name) => options.peers.includes(name)));
  });

  it("choose", () => {
    const options = readOptions(["fence", "--store", "sqlite", "--peers", "none", "--runs", "7"]);
    assert.deepEqual([options?.benchmarks, options?.stores, options?.peers, options?.runs], [["fence"], ["sqlite"], [], 7]);
    assert.equal(readOptions(["channel", "--bytes", "1000000"])?.bytes, 1_000_000);
  });

  it("may be to ask for help", () => assert.equal(readOptions(["--help"]), undefined));

  for (const [args, complaint] of [
    [["speed"], /there is no benchmark "speed"/],
    [["--store", "oracle"], /--store does not know "oracle"/],
    [["--peers", "advisory-lock,zookeeper"], /--peers does not know "zookeeper"/],
    [["--runs", "0"], /--runs takes a whole number/],
    [["--bytes", "1e3"], /--bytes takes a whole number/],
    [["--fast"], /--fast/],
  ] as const) {
    it(`that are wrong are refused: ${args.join(" ")}`, () => assert.throws(() => readOptions(args), (error: Error) => error instanceof WrongUsage && complaint.test(error.message)));
  }
});
