import { TribuneError } from "../kernel/index.ts";
import type { FenceHandle } from "./provider.ts";

/** The transaction was refused or rolled back because the term no longer stands. */
export function termLost(fence: FenceHandle, what: string, cause?: unknown): TribuneError {
  return new TribuneError("TERM_LOST", `${what}: term ${fence.token} of ${fence.election} no longer stands; nothing was written`, {
    about: fence.election,
    next: "stop this work; the next term does it again",
    cause,
  });
}

/** Refuses to begin or to commit what the holder may not do any more. */
export function assertMayAct(fence: FenceHandle, what: string): void {
  if (!fence.mayAct()) throw termLost(fence, what);
}

/** The fence row is not where the transaction looks. */
export function fenceNotFound(fence: FenceHandle, where: string, cause?: unknown): TribuneError {
  return new TribuneError("FENCE_NOT_FOUND", `there is no fence of ${fence.election} in ${where}`, {
    about: fence.election,
    next: "run the transaction on the database that the cluster uses as its store",
    cause,
  });
}

/** Compares the token in the fence row with the handle's; a larger or smaller one both mean that the term does not stand. */
export function assertFence(fence: FenceHandle, found: number): void {
  if (found !== fence.token) throw termLost(fence, `the fence stands at ${found}`);
}
