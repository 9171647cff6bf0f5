// A crontab of once a minute. "Leads" is whoever ran it last.
import { Logger, run } from "graphile-worker";

export async function contend({ url }, { announced }) {
  const runner = await run({
    connectionString: url,
    crontab: "* * * * * work",
    taskList: { work: async () => announced() },
    noHandleSignals: true,
    logger: new Logger(() => () => undefined),
  });
  return { resign: () => runner.stop() };
}
