import { TribuneError, withDeadline } from "../../src/kernel/index.ts";
import type { Random } from "../../src/kernel/index.ts";
import type { MemoryEngine } from "../../src/store/memory/engine.ts";
import type { Call, Hint, OpenContext, SessionInfo, StoreSession } from "../../src/store/index.ts";
import type { VirtualClock } from "../../src/testing/virtual-clock.ts";

/** How badly the way between a node and the store behaves. */
export interface Weather {
  /** Chance that a request, or a reply, is lost. */
  readonly loss: number;
  /** Chance that it takes up to `longestMs` instead of a few milliseconds. */
  readonly slow: number;
  readonly longestMs: number;
}

/** One direction of a link, which can be cut by itself. */
export interface Link {
  requests: "up" | "cut";
  replies: "up" | "cut";
}

const OPERATIONS = [
  "join",
  "beat",
  "look",
  "leave",
  "declareDead",
  "updateMetadata",
  "createElection",
  "claim",
  "passFence",
  "resign",
  "requestResign",
  "readMembers",
  "publishView",
  "readEvents",
  "readGroup",
] as const satisfies readonly (keyof MemoryEngine & keyof StoreSession)[];

/**
 * A session on the engine over a way that loses, delays and cuts. Requests arrive in order on one session, as on a TCP connection; what has been sent may
 * execute long after the session ended.
 */
export function hostileSession(options: {
  readonly engine: MemoryEngine;
  readonly storeClock: VirtualClock;
  readonly context: OpenContext;
  readonly random: Random;
  readonly link: Link;
  weather(): Weather;
  /** Runs `arrival` when the process next runs: at once, after a freeze, or never. */
  deliver(arrival: () => void): void;
}): StoreSession & { tell(hint: Hint): void } {
  const { engine, storeClock, context, random, link } = options;
  const ended = new AbortController();
  const listeners = new Set<(hint: Hint) => void>();
  let requestsFreeAt = 0;
  let repliesFreeAt = 0;
  const info: SessionInfo = { serverVersion: "hostile", hints: true, warnings: [] };
  const delay = () => (random.next() < options.weather().slow ? random.next() * options.weather().longestMs : random.next() * 3);
  const end = (reason: Error) => {
    if (!ended.signal.aborted) ended.abort(reason);
  };

  const send = (operation: (typeof OPERATIONS)[number], input: unknown, call: Call): Promise<unknown> => {
    if (ended.signal.aborted) return Promise.reject(new TribuneError("STORE_SESSION_ENDED", `${operation}: ended`));
    const copy = structuredClone(input);
    const answer = new Promise<unknown>((resolve, reject) => {
      if (link.requests === "cut" || random.next() < options.weather().loss) return;
      requestsFreeAt = Math.max(requestsFreeAt, storeClock.monotonicMs() + delay());
      storeClock.setTimer(requestsFreeAt - storeClock.monotonicMs(), () => {
        let reply: () => void;
        try {
          const result = (engine[operation] as (group: string, input: unknown) => unknown).call(engine, context.group, copy);
          reply = () => resolve(structuredClone(result));
        } catch (error) {
          reply = () => reject(error);
        }
        if (link.replies === "cut" || random.next() < options.weather().loss) return;
        repliesFreeAt = Math.max(repliesFreeAt, storeClock.monotonicMs() + delay());
        storeClock.setTimer(repliesFreeAt - storeClock.monotonicMs(), () => options.deliver(reply));
      });
    });
    return withDeadline(answer, { clock: context.clock, ms: call.deadlineMs, operation, signal: ended.signal, onExpire: end });
  };

  const session: Record<string, unknown> = {
    ended: ended.signal,
    info,
    onHint: (listener: (hint: Hint) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      end(new TribuneError("STORE_SESSION_ENDED", "closed"));
      return Promise.resolve();
    },
    destroy: end,
    tell: (hint: Hint) => {
      if (ended.signal.aborted || link.replies === "cut" || random.next() < options.weather().loss) return;
      const arrival = () => {
        if (!ended.signal.aborted) for (const listener of listeners) listener(hint);
      };
      storeClock.setTimer(delay(), () => options.deliver(arrival));
    },
  };
  for (const operation of OPERATIONS) {
    session[operation] = operation === "readGroup" ? (call: Call) => send(operation, undefined, call) : (input: unknown, call: Call) => send(operation, input, call);
  }
  return session as unknown as StoreSession & { tell(hint: Hint): void };
}
