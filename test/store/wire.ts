import { TribuneError, withDeadline } from "../../src/kernel/index.ts";
import { SessionGate } from "../../src/store/index.ts";
import type { Call, OpenContext, StoreProvider, StoreSession } from "../../src/store/index.ts";
import { altered } from "./altered.ts";

const OPERATIONS = [
  "join",
  "beat",
  "look",
  "leave",
  "declareDead",
  "updateMetadata",
  "evict",
  "createElection",
  "claim",
  "passFence",
  "resign",
  "requestResign",
  "pause",
  "resume",
  "setCandidacy",
  "readCandidates",
  "readMembers",
  "publishView",
  "readDocument",
  "writeDocument",
  "removeDocument",
  "listDocuments",
  "readEvents",
  "readGroup",
] as const satisfies readonly (keyof StoreSession)[];

/** A connection between a store in this process and its sessions, which can hang and be cut as a network can. */
export class Wire {
  readonly #gates = new Set<SessionGate>();
  #passable: Promise<void> = Promise.resolve();

  /** Nothing passes from now on; what is returned lets it pass again, what waited too. */
  hang(): () => void {
    const healed = Promise.withResolvers<void>();
    this.#passable = healed.promise;
    return healed.resolve;
  }

  /** Ends all connections. */
  cut(): void {
    for (const gate of this.#gates) gate.end(new Error("connection reset by peer"));
  }

  /** `provider` at the other end of this wire. */
  to<Tx>(provider: StoreProvider<Tx>): StoreProvider<Tx> {
    return altered(provider, { open: async (context: OpenContext) => await this.#open(provider, context) });
  }

  async #open<Tx>(provider: StoreProvider<Tx>, context: OpenContext): Promise<StoreSession> {
    await withDeadline(this.#passable, { clock: context.clock, ms: context.deadlineMs, operation: `open ${provider.label}` });
    const inner = await provider.open(context);
    const gate: SessionGate = new SessionGate({
      clock: context.clock,
      label: provider.label,
      onEnd: () => {
        this.#gates.delete(gate);
        inner.destroy(gate.ended.reason as Error);
      },
    });
    this.#gates.add(gate);
    inner.ended.addEventListener("abort", () => gate.end(inner.ended.reason as Error));
    const over: Partial<StoreSession> = {
      ended: gate.ended,
      destroy: (reason) => gate.end(reason),
      async close() {
        gate.end(new TribuneError("STORE_SESSION_ENDED", "the session was closed"));
      },
    };
    for (const name of OPERATIONS) {
      const operation = (inner[name] as (...args: readonly unknown[]) => Promise<unknown>).bind(inner);
      const wired = async (...args: readonly unknown[]) =>
        await gate.run(name, args.at(-1) as Call, async () => {
          await this.#passable;
          return await operation(...args);
        });
      Object.assign(over, { [name]: wired });
    }
    return altered(inner, over);
  }
}
