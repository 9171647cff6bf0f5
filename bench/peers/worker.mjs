// A contender that is not ours, in a process of its own. Says the same as ours do; see failover/protocol.ts.
const config = JSON.parse(process.env.TRIBUNE_BENCH_CONTENDER ?? "{}");
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const tell = (report) => void process.send?.(report);
const failed = (error) => tell({ report: "failed", message: String(error?.stack ?? error) });

/** After handing over it contends again, but leaves the others time to come first: more than their period. */
const { restMs = 1_000 } = config.options;

const { contend } = await import(`./${config.contender}.mjs`);
const hooks = {
  announced: (token = null) => tell({ report: "announced", t: nowMs(), token }),
  ended: () => tell({ report: "ended", t: nowMs(), trustEndMs: null }),
  failed,
};
let contender = await contend(config, hooks);

async function resign() {
  tell({ report: "handing-over", t: nowMs() });
  tell({ report: "resting" });
  await contender.resign();
  await new Promise((resolve) => setTimeout(resolve, restMs));
  contender = await contend(config, hooks);
  tell({ report: "ready", detail: "" });
}

process.on("message", ({ order }) => {
  if (order === "resign") resign().catch(failed);
  if (order === "watch-trust") tell({ report: "watching" });
  if (order === "tell-trace") tell({ report: "trace", lines: [] });
});
process.once("disconnect", () => process.exit(0));
process.on("unhandledRejection", failed);
tell({ report: "ready", detail: "" });
