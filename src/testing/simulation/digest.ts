import { createHash } from "node:crypto";
import type { History } from "../history/index.ts";

/** A history as it would be written down, one event or row to a line: the same seed gives the same text, byte for byte, in every Node version. */
export function historyText(history: History): string {
  return `${[...history.events, ...history.rows].map((each) => JSON.stringify(each)).join("\n")}\n`;
}

/** SHA-256 of {@link historyText}, in hexadecimal. */
export function historyDigest(history: History): string {
  return createHash("sha256").update(historyText(history)).digest("hex");
}
