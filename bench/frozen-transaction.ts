/**
 * What a leader costs its successor that freezes between two statements of `term.transaction`, on PostgreSQL: how long from SIGSTOP to the successor's term,
 * with the transaction open and, as a control, without one. Then the frozen one goes on, and its commit has to fail.
 *
 *     node bench/frozen-transaction.ts [--rounds 5] [--lease 4000] [--json]
 *
 * Exit code 1 if a frozen transaction committed, left a row behind, or held its successor off for longer than a lease.
 */
import { parseArgs } from "node:util";
import { setTimeout as pause } from "node:timers/promises";
import { hostMonotonicMs } from "../src/testing/history/index.ts";
import { TABLE } from "./node.ts";
import { round, spread, spreadText } from "./numbers.ts";
import { openPlace } from "./place.ts";
import { BenchNode } from "./processes.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" }, lease: { type: "string", default: "4000" }, json: { type: "boolean", default: false } } });
const rounds = Math.max(1, Math.round(Number(values.rounds)));
const leaseMs = Number(values.lease);
const timing = { leaseMs, beatMs: leaseMs / 4 };

const place = await openPlace("postgres");
const nodes = ["a", "b"].map((node) => new BenchNode({ node, store: place.store, ...timing }));
try {
  await place.query(`create table ${TABLE} (token bigint not null, part int not null)`);
  for (const node of nodes) await node.next("joined");
  let [leader, other] = nodes as [BenchNode, BenchNode];
  const tookMs: Record<"control" | "open", number[]> = { control: [], open: [] };
  const outcomes: string[] = [];
  leader.order("contend");
  await leader.next("announced");
  for (let each = 0; each < 2 * rounds; each++) {
    const kind = each % 2 === 0 ? "control" : "open";
    other.order("contend");
    await other.next("contending");
    await pause(leaseMs / 4 + Math.random() * timing.beatMs);
    if (kind === "open") {
      leader.order("open-transaction");
      await leader.next("inside");
    }
    const frozenMs = hostMonotonicMs();
    leader.signal("SIGSTOP");
    const announced = await other.next("announced");
    tookMs[kind].push(announced.t - frozenMs);
    leader.signal("SIGCONT");
    if (kind === "open") {
      leader.order("commit");
      outcomes.push((await leader.next("outcome")).outcome);
    }
    [leader, other] = [other, leader];
  }
  const left = Number((await place.query(`select count(*) as n from ${TABLE}`))[0]?.["n"]);
  const [control, open] = [spread(tookMs.control), spread(tookMs.open)];
  // The worst against the best: no round may have cost more than a lease.
  const result = { benchmark: "frozen-transaction", store: place.label, ...timing, control, open, medianDelayMs: round(open.medianMs - control.medianMs), worstDelayMs: round(open.maxMs - control.minMs), outcomes, rowsLeft: left };
  const honest = left === 0 && outcomes.every((outcome) => outcome === "TERM_LOST") && result.worstDelayMs <= leaseMs;
  if (values.json) console.log(JSON.stringify({ ...result, passed: honest }));
  else {
    console.log(`frozen leader on ${place.label}, lease ${leaseMs} ms, beat ${timing.beatMs} ms; from SIGSTOP to the successor's term:`);
    console.log(`  no transaction open: ${spreadText(control)}`);
    console.log(`  frozen between two statements of term.transaction: ${spreadText(open)}`);
    console.log(`  the open transaction delays the successor by ${result.medianDelayMs} ms (medians), by at most ${result.worstDelayMs} ms (worst against best); a lease is allowed`);
    console.log(`  commits after SIGCONT: ${outcomes.join(", ")}; rows left behind: ${left}`);
    console.log(honest ? "passed" : "FAILED");
  }
  process.exitCode = honest ? 0 : 1;
} finally {
  await Promise.all(nodes.map((node) => node.end()));
  await place.close();
}
