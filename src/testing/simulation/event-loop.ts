/**
 * Between two events of a simulation everything that has been resolved must have run to its end, as it would have in a process of its own. There are two ways
 * to see to that. A turn of the real event loop (`setImmediate`) is public and costs microseconds; Node's own function that empties the queues of
 * `nextTick` and of promises costs a tenth of it, is not documented, and works only outside of any promise. It is used where a test of it,
 * made once in each process, shows that it does what is needed; a simulation's history is the same either way.
 */
export type Drain = "turn" | "queues";

type EmptyQueues = () => void;

const emptyQueues = (process as unknown as { readonly _tickCallback?: EmptyQueues })._tickCallback;

let chosen: Promise<Drain> | undefined;

/** The fastest way that works here. */
export function fastestDrain(): Promise<Drain> {
  chosen ??= new Promise((resolve) => setImmediate(() => resolve(queuesCanBeEmptied() ? "queues" : "turn")));
  return chosen;
}

/** Whether a chain of promises, with ticks and microtasks in it, has run to its end after one call. Called from a turn of the event loop. */
function queuesCanBeEmptied(): boolean {
  if (typeof emptyQueues !== "function") return false;
  let steps = 0;
  const chain = async () => {
    for (let i = 0; i < 20; i++) {
      await Promise.resolve();
      steps += 1;
    }
    await new Promise<void>((resolve) => queueMicrotask(() => process.nextTick(resolve)));
    steps += 1;
  };
  void chain();
  emptyQueues.call(process);
  return steps === 21;
}

/**
 * Calls `next` until it answers false, with everything that was resolved run to its end after each call. While `next` and what follows from it run nothing else of
 * this process does if `drain` is "queues", and all of it happens in a call of `within`; with "turn" its other work goes on in between.
 */
export function runEvents(next: () => boolean, drain: Drain, within: (work: () => void) => void = (work) => work()): Promise<void> {
  return new Promise((resolve, reject) => {
    const all = () => {
      try {
        within(() => {
          emptyQueues?.call(process);
          while (next()) emptyQueues?.call(process);
        });
        resolve();
      } catch (error) {
        reject(error);
      }
    };
    const one = () => {
      try {
        if (next()) nextTurn(one);
        else resolve();
      } catch (error) {
        reject(error);
      }
    };
    nextTurn(drain === "queues" ? all : () => nextTurn(one));
  });
}

/** Kept from before any simulation puts traps in the places of the real timers. */
const nextTurn = setImmediate;
