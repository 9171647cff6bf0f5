import pg from "pg";
import pino from "pino";

const LOCK = 4_711;

export async function contend({ url, options }, { announced, ended }) {
  const { default: createLeaderElector } = await import("@platformatic/leader");
  const pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => undefined);
  let leads = false;
  const elector = createLeaderElector({
    pool,
    lock: LOCK,
    log: pino({ level: "silent" }),
    ...(options.pollMs === undefined ? {} : { poll: options.pollMs }),
    onLeadershipChange(elected) {
      leads = elected;
      if (elected) announced();
      else ended();
    },
  });
  elector.start().catch(() => undefined);
  return {
    async resign() {
      await elector.stop();
      if (leads) ended();
      // stop() gives the connection back to the pool with the lock still on it; ending the pool frees it.
      await pool.end();
    },
  };
}
