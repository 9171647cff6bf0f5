import { abortError, sleep } from "../../kernel/index.ts";
import type { OpenContext } from "../index.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { mapMysqlError } from "./errors.ts";
import { bellOf } from "./evidence.ts";
import type { Statements } from "./statements.ts";

/** How often it is looked whether one of several is free. */
const POLL_MS = 50;
/** The same, while none of them is armed: one that is going to be will be so with a beat, and that takes longer. */
const UNARMED_POLL_MS = 1_000;
/** The longest that one statement waits for a lock, in seconds: if this process is cut off, its connection may stay on the server for as long. */
const WAIT_S = 5;

/** What to attend, and how. */
export interface Attendance {
  readonly source: ConnectionSource;
  readonly context: OpenContext;
  readonly signal: AbortSignal;
  readonly incarnations: readonly string[];
  readonly sql: Statements;
}

const OPERATION = "attending evidence";

/**
 * Resolves when the evidence of one of the incarnations seems to be free, or its bell was rung. Has a connection of its own for as long as it takes, since waiting for one incarnation means to wait in
 * the server: for its bell, which is given back in the same packet. Several are looked at again and again, as is one that is not armed, or dead, or not there.
 */
export async function attend({ source, context, signal, incarnations, sql }: Attendance): Promise<void> {
  if (signal.aborted) throw abortError(signal, OPERATION);
  const { evidence: _, ...plain } = context;
  const connection = await Connection.open(source, { context: { ...plain, signal, statementLimitMs: 2_000 * WAIT_S }, operation: OPERATION });
  const leave = () => connection.destroy();
  signal.addEventListener("abort", leave, { once: true });
  try {
    for (;;) {
      const [looked = []] = await connection.run(sql.keysOf, { group: context.group, incarnations });
      if (looked.some((row) => row["free"] === "1")) return;
      const key = looked[0]?.["armed_key"] ?? null;
      if (key === null) await sleep(context.clock, UNARMED_POLL_MS, signal);
      else if (incarnations.length > 1) await sleep(context.clock, POLL_MS, signal);
      else if (await hears(connection, bellOf(key))) return;
      if (signal.aborted) throw abortError(signal, OPERATION);
    }
  } catch (error) {
    throw signal.aborted ? abortError(signal, OPERATION) : mapMysqlError(error, OPERATION, source.label);
  } finally {
    signal.removeEventListener("abort", leave);
    await connection.close();
  }
}

/** Whether the bell could be had: its holder let go of it, or is gone. */
async function hears(connection: Connection, bell: string): Promise<boolean> {
  const [[row] = []] = await connection.run("select get_lock(:bell, :waitS) as got; do release_lock(:bell)", { bell, waitS: WAIT_S });
  return row?.["got"] === "1";
}
