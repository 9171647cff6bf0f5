/**
 * Characters that a terminal acts upon instead of showing, or that hide or reorder others: controls (also the C1 range, which some terminals take for
 * escape sequences), formats such as bidirectional overrides, line separators, lone surrogates, private use.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** Text from elsewhere, fit for one line of a terminal: what would act is shown as an escape. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`);
}

/** JSON on one line that is safe to print, too: the same value, with the escapes that JSON has for it. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (char) => char.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""));
}

/** At most `columns` characters; what is cut off shows as an ellipsis. */
export function fit(text: string, columns: number): string {
  const chars = Array.from(text);
  return chars.length <= columns ? text : `${chars.slice(0, Math.max(0, columns - 1)).join("")}…`;
}
