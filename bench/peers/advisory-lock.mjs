// A session advisory lock on a connection of its own, as one writes it: whoever gets the lock leads until the connection ends.
// With pollMs the lock is tried again and again; without, the statement waits in the server.
import pg from "pg";

const LOCK = 4_711;

export async function contend({ url, options }, { announced, ended }) {
  const client = new pg.Client({ connectionString: url });
  let leads = false;
  let over = false;
  let resting;
  const stop = () => {
    over = true;
    clearTimeout(resting);
    if (leads) ended();
    leads = false;
  };
  client.on("error", stop);
  client.on("end", stop);
  await client.connect();

  const won = () => {
    leads = true;
    announced();
  };
  const attempt = async () => {
    if (over) return;
    const { rows } = await client.query("select pg_try_advisory_lock($1) as won", [LOCK]);
    if (rows[0].won) won();
    else resting = setTimeout(() => void attempt().catch(stop), options.pollMs);
  };
  if (options.pollMs === undefined) client.query("select pg_advisory_lock($1)", [LOCK]).then(won, stop);
  else attempt().catch(stop);

  return {
    async resign() {
      await client.query("select pg_advisory_unlock($1)", [LOCK]);
      stop();
      await client.end();
    },
  };
}
