import { toTribuneError, TribuneError } from "../../kernel/index.ts";
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
  evict: true,
  createElection: true,
  claim: true,
  passFence: true,
  resign: true,
  requestResign: true,
  pause: true,
  resume: true,
  setCandidacy: true,
  readCandidates: true,
  readMembers: true,
  publishView: true,
  readDocument: true,
  writeDocument: true,
  removeDocument: true,
  listDocuments: true,
  readEvents: true,
  readGroup: true,
};

/** What every session is, before it has the operations. */
type Frame = Pick<StoreSession, "ended" | "info" | "onHint" | "attend" | "close" | "destroy">;

/** A session on the simulated store: each operation is one statement on one connection. */
export function openedSession(store: SimulatedStore, connection: Connection, context: OpenContext, connect: () => Connection): StoreSession {
  // As the self-test of a real provider finds out.
  const isDirect = !connection.client.isPooled;
  const armed = context.evidence !== undefined && isDirect;
  const gate = new SessionGate({ clock: context.clock, label: `${STORE_PLACE}:`, onEnd: () => connection.close() });
  const listeners = new Set<(hint: Hint) => void>();
  connection.onEnd((reason) => gate.end(reason));
  connection.listen(context.group, (hint) => {
    if (!gate.ended.aborted) for (const listener of listeners) listener(hint);
  });
  const info: SessionInfo = { serverVersion: "simulated", hints: true, warnings: [], evidence: { held: armed, why: armed ? "a connection to this server ends with its process" : isDirect ? "this session was not asked to hold any" : "a pooler stands between" } };
  const frame: Frame = {
    ended: gate.ended,
    info,
    onHint(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    attend: ({ incarnations, signal }) => attend(store, connect(), { context, incarnations, signals: [signal, gate.ended] }),
    close() {
      gate.end(new TribuneError("STORE_SESSION_ENDED", "the session was closed", { about: STORE_PLACE }));
      return Promise.resolve();
    },
    destroy: (reason) => gate.end(reason),
  };
  const perform = (operation: Operation, input: unknown, call: Call): Promise<unknown> =>
    gate.run(operation, call, () => connection.call(operation, () => store.execute(operation, connection, { group: context.group, armed }, input)));
  const operations: Record<string, unknown> = {};
  for (const operation of Object.keys(OPERATIONS) as Operation[]) {
    operations[operation] = operation === "readGroup" ? (call: Call) => perform(operation, undefined, call) : (input: unknown, call: Call) => perform(operation, input, call);
  }
  return { ...frame, ...operations } as unknown as StoreSession;
}

/** Waits at the server, on a connection of its own. */
function attend(store: SimulatedStore, connection: Connection, { context, incarnations, signals }: { readonly context: OpenContext; readonly incarnations: readonly string[]; readonly signals: readonly AbortSignal[] }): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (finish: () => void) => {
      for (const signal of signals) signal.removeEventListener("abort", aborted);
      connection.close();
      finish();
    };
    const aborted = () => end(() => reject(toTribuneError(signals.find((signal) => signal.aborted)?.reason, "ABORTED", "attending evidence was called off")));
    for (const signal of signals) signal.addEventListener("abort", aborted, { once: true });
    if (signals.some((signal) => signal.aborted)) return aborted();
    connection.onEnd((reason) => end(() => reject(reason)));
    const begin = connection.call("open", () => store.accept(connection));
    begin.then(
      () => connection.call("attend", () => store.attend(connection, context.group, incarnations, () => connection.tell(() => end(resolve)))).catch(() => undefined),
      (error: unknown) => end(() => reject(error instanceof Error ? error : new Error(String(error)))),
    );
  });
}
