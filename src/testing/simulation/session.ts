import { TribuneError } from "../../kernel/index.ts";
import { SessionGate } from "../../store/index.ts";
import type { Call, Hint, OpenContext, SessionInfo, StoreSession } from "../../store/index.ts";
import type { Connection } from "./connection.ts";
import { STORE_PLACE } from "./statements.ts";
import type { Operation } from "./statements.ts";
import type { SimulatedStore } from "./store.ts";

/** All operations of the port. The compiler sees to it that none is missing. */
const OPERATIONS: Readonly<Record<Operation, true>> = {
  join: true,
  beat: true,
  look: true,
  leave: true,
  declareDead: true,
  updateMetadata: true,
  createElection: true,
  claim: true,
  passFence: true,
  resign: true,
  requestResign: true,
  readMembers: true,
  publishView: true,
  readEvents: true,
  readGroup: true,
};

/** What every session is, before it has the operations. */
type Frame = Pick<StoreSession, "ended" | "info" | "onHint" | "close" | "destroy">;

/** A session on the simulated store: each operation is one statement on one connection. */
export function openedSession(store: SimulatedStore, connection: Connection, context: OpenContext): StoreSession {
  const gate = new SessionGate({ clock: context.clock, label: `${STORE_PLACE}:`, onEnd: () => connection.close() });
  const listeners = new Set<(hint: Hint) => void>();
  connection.onEnd((reason) => gate.end(reason));
  connection.listen(context.group, (hint) => {
    if (!gate.ended.aborted) for (const listener of listeners) listener(hint);
  });
  const info: SessionInfo = { serverVersion: "simulated", hints: true, warnings: [] };
  const frame: Frame = {
    ended: gate.ended,
    info,
    onHint(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      gate.end(new TribuneError("STORE_SESSION_ENDED", "the session was closed", { about: STORE_PLACE }));
      return Promise.resolve();
    },
    destroy: (reason) => gate.end(reason),
  };
  const perform = (operation: Operation, input: unknown, call: Call): Promise<unknown> =>
    gate.run(operation, call, () => connection.call(operation, () => store.execute(operation, connection, context.group, input)));
  const operations: Record<string, unknown> = {};
  for (const operation of Object.keys(OPERATIONS) as Operation[]) {
    operations[operation] = operation === "readGroup" ? (call: Call) => perform(operation, undefined, call) : (input: unknown, call: Call) => perform(operation, input, call);
  }
  return { ...frame, ...operations } as unknown as StoreSession;
}
