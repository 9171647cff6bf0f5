import { Complaints } from "../kernel/index.ts";
import { LONGEST_REASON } from "./limits.ts";

/** `reason`, if it is one that others can read later; otherwise throws `INVALID_OPTIONS`. */
export function checkReason(operation: string, reason: unknown): string {
  const complaints = new Complaints(operation);
  complaints.check(typeof reason === "string" && reason.trim() !== "" && reason.length <= LONGEST_REASON, `reason must be a text of 1 to ${LONGEST_REASON} characters: others will want to know`);
  complaints.throwIfAny();
  return reason as string;
}
