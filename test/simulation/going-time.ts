import type { Schedule } from "../../src/testing/simulation/schedule.ts";

/** Lets one thing happen in each turn of the real event loop, until it is stopped. */
export function keepTimeGoing(schedule: Schedule): { readonly stop: () => void } {
  let goesOn = true;
  const turn = () => {
    if (!goesOn) return;
    schedule.next(Number.MAX_VALUE);
    setImmediate(turn);
  };
  setImmediate(turn);
  return { stop: () => (goesOn = false) };
}
