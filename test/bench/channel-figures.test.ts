import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { delivered, overRounds, p50Of, ratioOverRounds, targetsOf } from "../../bench/channel/figures.ts";
import type { ChannelRow } from "../../bench/channel/figures.ts";
import type { Round } from "../../bench/channel/rounds.ts";
import { BYTES } from "../../bench/channel/protocol.ts";
import { channelText } from "../../bench/channel/text.ts";

describe("the figures of the channel's benchmark", () => {
  const round = (deliveredPerSecond: number, p50Us: number): Round => ({
    deliveredPerSecond,
    lost: 0,
    times: (["echo", "acknowledged", "request"] as const).flatMap((operation) => [1, 64].map((lanes) => ({ operation, lanes, perSecond: 1, p50Us, p99Us: p50Us }))),
  });
  const rows = (ours: readonly Round[], raw: readonly Round[]): ChannelRow[] => [
    { carrier: "raw-tcp", rounds: raw },
    { carrier: "raw-tcp-each", rounds: raw },
    { carrier: "channel-plaintext", rounds: ours },
  ];

  it("are compared within a round, so that a slow machine in one does not show", () => {
    const measured = rows([round(80, 10), round(8, 100), round(60, 10)], [round(100, 10), round(10, 100), round(100, 10)]);
    const ratio = ratioOverRounds(measured, "channel-plaintext", delivered, "raw-tcp", delivered);
    assert.deepEqual([ratio.count, ratio.min, ratio.p50, ratio.max], [3, 0.6, 0.8, 0.8]);
    assert.deepEqual(overRounds(measured, "raw-tcp", p50Of("echo", 1)).p50, 10);
  });

  it("are none where nothing was measured", () => assert.ok(Number.isNaN(overRounds(rows([], [round(1, 1)]), "channel-plaintext", delivered).p50)));

  it("meet their targets from 0.6 of the throughput and up to 1.5 times the time", () => {
    const met = (ours: Round) => targetsOf(rows([ours], [round(100, 10)])).map(({ isMet }) => isMet);
    assert.deepEqual(new Set(met(round(60, 15))), new Set([true]));
    assert.deepEqual(met(round(59, 15)).filter((each) => !each).length, 1, "the broadcast");
    assert.deepEqual(met(round(60, 15.1)).filter((each) => !each).length, 10, "all times");
  });

  it("are no targets for carriers that were not measured", () => assert.deepEqual(targetsOf([{ carrier: "raw-tcp", rounds: [round(1, 1)] }]), []));

  describe("beside Apache Tribes", () => {
    const text = (more: readonly ChannelRow[]) => channelText({ benchmark: "channel", bytes: BYTES, messages: 1, echoes: 1, rows: [...rows([round(80, 10), round(90, 10)], [round(100, 10), round(100, 10)]), ...more], targets: [], peers: [], leftOut: [] });

    it("are of the same rounds, where it was measured", () => {
      const tribes = [40, 30].map((deliveredPerSecond) => ({ ...round(deliveredPerSecond, 10), disordered: deliveredPerSecond / 100 }));
      const told = text([{ carrier: "tribes", rounds: tribes }]);
      assert.match(told, /\| asynchronous \| 30 \[30–40\] % out of order \| 30 \| 80 \| 2 \[2–3\] \|/);
      assert.ok(told.includes("measured in this run") && !told.includes("not from this run") && !told.includes("68,595"));
      assert.ok(!told.includes("| USE_ACK") && !told.includes("| asynchronous, OrderInterceptor"), "what was not measured");
    });

    it("are of another machine where it was not, and say so", () => {
      const told = text([]);
      assert.ok(told.includes("**not from this run**") && told.includes("| asynchronous | 86–93 % out of order | 68,595 |") && told.includes("| USE_ACK | kept |"));
    });
  });
});
