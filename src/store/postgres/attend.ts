import { abortError, sleep } from "../../kernel/index.ts";
import type { OpenContext } from "../index.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { mapPostgresError, wasAnswered } from "./errors.ts";
import { isTrue } from "./replies.ts";
import { EVIDENCE_CLASS } from "./statements.ts";

/** How often it is looked whether one of several is free. */
const POLL_MS = 50;
/** The same, while none of them is armed: one that is going to be will be so with a beat, and that takes longer. */
const UNARMED_POLL_MS = 1_000;
/**
 * The longest that one statement waits for a lock. Its snapshot keeps the versions that rows had since then, and if this process is cut off, its server process may stay
 * for as long.
 */
const WAIT_MS = 5_000;

/** What to attend, and how. */
export interface Attendance {
  readonly source: ConnectionSource;
  readonly context: OpenContext;
  readonly signal: AbortSignal;
  readonly incarnations: readonly string[];
  /** The statement that tells whether one of them is free, and the key of one that is armed. */
  readonly statement: string;
  readonly label: string;
}

const OPERATION = "attending evidence";

/**
 * Resolves when the evidence of one of the incarnations is free. Has a connection of its own for as long as it takes, since waiting for one incarnation means to wait in the server:
 * for a lock that is given back in the same moment. An incarnation that is not armed, or dead, or not there, is looked at again now and then.
 */
export async function attend({ source, context, signal, incarnations, statement, label }: Attendance): Promise<void> {
  if (signal.aborted) throw abortError(signal, OPERATION);
  const connection = await Connection.open(source, { context: { ...context, signal, statementLimitMs: 2 * WAIT_MS }, operation: OPERATION, role: "attend" });
  const leave = () => connection.destroy();
  signal.addEventListener("abort", leave, { once: true });
  try {
    // Through a pooler waiting would keep one of its server connections from everybody else.
    let waits = connection.facts.direct && incarnations.length === 1;
    for (;;) {
      const [row] = await connection.query(statement, [context.group, incarnations], "tribune_attend");
      if (isTrue(row, "free")) return;
      const key = row?.["key"] ?? null;
      if (waits && key !== null) waits = await waitFor(connection, key);
      else await sleep(context.clock, key === null ? UNARMED_POLL_MS : POLL_MS, signal);
      if (signal.aborted) throw abortError(signal, OPERATION);
    }
  } catch (error) {
    throw signal.aborted ? abortError(signal, OPERATION) : mapPostgresError(error, OPERATION, label);
  } finally {
    signal.removeEventListener("abort", leave);
    await connection.close();
  }
}

/**
 * Waits until nobody holds the lock of `key`, or for some seconds. Answers whether this works here. The time limit is caught in the server, by a block that needs PL/pgSQL: an
 * error that comes back every few seconds would fill the server's log.
 */
async function waitFor(connection: Connection, key: string): Promise<boolean> {
  const block = `do $$ begin
      set local lock_timeout = ${WAIT_MS};
      perform pg_catalog.pg_advisory_xact_lock_shared(${EVIDENCE_CLASS}, ${Number(key)});
    exception when lock_not_available then null; end $$`;
  try {
    await connection.query(block);
    return true;
  } catch (error) {
    if (wasAnswered(error)) return false;
    throw error;
  }
}
