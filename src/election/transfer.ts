import { abortError, TribuneError } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";
import type { Presence } from "../presence/index.ts";
import { COORDINATOR } from "../store/index.ts";
import type { Elector } from "./elector.ts";
import { reservationMs } from "./options.ts";

/** Who hands what over to whom. */
export interface Transfer<Tx> {
  readonly elector: Elector<Tx>;
  readonly presence: Presence;
  readonly clock: Clock;
  /** The node that is to hold the election. */
  readonly to: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Hands an election over: the holder, here or elsewhere, is asked to stop its work and to resign in favour of `to`, for whom the row is kept for two beats. Resolves when that node
 * holds it. Nothing is done if it cannot (`NODE_UNKNOWN`, `NOT_ELIGIBLE`, `NOT_HELD`, `ELECTION_PAUSED`); rejects with `TRANSFER_FAILED` if somebody else has it in the end, or nobody in time.
 */
export async function transfer<Tx>({ elector, presence, clock, to, signal }: Transfer<Tx>): Promise<void> {
  const { name } = elector;
  if (signal?.aborted === true) throw abortError(signal, `the transfer of ${name}`);
  const state = elector.current;
  if (state === null || state.holder === null) throw new TribuneError("NOT_HELD", `nobody holds ${name}, so nobody can hand it over`, { about: name, next: "wait until it has a holder" });
  if (state.paused !== null) throw new TribuneError("ELECTION_PAUSED", `${name} is paused (${state.paused.reason}), so nobody could take it over`, { about: name, next: "resume it first" });
  if (state.holder.node === to) throw new TribuneError("NOT_ELIGIBLE", `${to} holds ${name} already`, { about: to });
  await checkSuccessor(elector, presence, to);
  const unprompt = presence.prompt(name); // hints of it are heeded while this waits
  const { stopBudgetMs, beatMs } = presence.timing;
  const patienceMs = stopBudgetMs + reservationMs(beatMs) + 2 * beatMs;
  const arrived = new AbortController();
  const outcome = arrival(elector, { after: state.token, to, clock, patienceMs, signal: signal === undefined ? arrived.signal : AbortSignal.any([signal, arrived.signal]) });
  try {
    await Promise.all([outcome, hand(elector, presence, state.token, to)]);
  } catch (error) {
    outcome.catch(() => undefined); // the first error is the one to tell
    throw error;
  } finally {
    arrived.abort();
    unprompt();
  }
}

async function checkSuccessor<Tx>(elector: Elector<Tx>, presence: Presence, to: string): Promise<void> {
  const member = presence.facts.view?.members.find((each) => each.node === to);
  if (member === undefined) throw new TribuneError("NODE_UNKNOWN", `there is no member ${to}`, { about: to, next: "look at 'tribune members' for who is there" });
  if (member.observer === true) throw new TribuneError("NOT_ELIGIBLE", `${to} is an observer, and leads nothing`, { about: to, next: "choose another member" });
  if (elector.name === COORDINATOR) return;
  const candidate = (await elector.readCandidates()).find((each) => each.node === to);
  if (candidate === undefined) throw new TribuneError("NOT_ELIGIBLE", `${to} does not contend for ${elector.name}`, { about: to, next: "choose one of its candidates, or have that node call lead or campaign" });
  if (!candidate.fit) throw new TribuneError("NOT_ELIGIBLE", `the probe of ${to} says that it may not lead ${elector.name}`, { about: to, next: "mend what the probe asks, or choose another candidate" });
}

async function hand<Tx>(elector: Elector<Tx>, presence: Presence, token: number, to: string): Promise<void> {
  if (elector.term?.token === token) return await elector.resign(`it is handed over to ${to}`, to);
  const asked = await presence.perform((session, call) => session.requestResign({ election: elector.name, token, for: to }, call));
  if (!asked) throw new TribuneError("TRANSFER_FAILED", `the holder of ${elector.name} has changed meanwhile`, { about: elector.name, next: "look who holds it now, and try again" });
}

/** Resolves when `to` holds a later term than `after`. */
function arrival<Tx>(elector: Elector<Tx>, { after, to, clock, patienceMs, signal }: { readonly after: number; readonly to: string; readonly clock: Clock; readonly patienceMs: number; readonly signal: AbortSignal }): Promise<void> {
  const { name } = elector;
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      timer.cancel();
      off();
      signal.removeEventListener("abort", aborted);
      finish();
    };
    const look = () => {
      const { token = after, holder = null } = elector.current ?? {};
      if (token <= after || holder === null) return;
      if (holder.node === to) settle(resolve);
      else settle(() => reject(new TribuneError("TRANSFER_FAILED", `${holder.node} has taken ${name} before ${to} did`, { about: name, next: "try again" })));
    };
    const aborted = () => settle(() => reject(abortError(signal, `the transfer of ${name}`)));
    const off = elector.events.on("change", look);
    const timer = clock.setTimer(patienceMs, () => settle(() => reject(new TribuneError("TRANSFER_FAILED", `${to} has not taken ${name} within ${Math.round(patienceMs)} ms; whoever is first may have it`, { about: name, next: "look who holds it now" }))));
    signal.addEventListener("abort", aborted, { once: true });
    look();
  });
}
