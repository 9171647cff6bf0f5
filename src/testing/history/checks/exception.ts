import type { History } from "../history.ts";

/**
 * The one exception from honest belief that is promised: incarnations whose session an administrator or a middlebox ended while their own process could not hear of it, frozen or cut off,
 * and who were declared dead on that evidence. Until their trust runs out they may believe on; the fence holds for them as for everybody.
 */
export function doubleFaulted({ events }: History): ReadonlySet<string> {
  const found = new Set<string>();
  for (const event of events) if (event.kind === "declared-dead" && event.proof?.endedBy === "outside" && !event.proof.heard) found.add(event.dead);
  return found;
}
