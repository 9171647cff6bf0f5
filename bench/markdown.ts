import type { Spread } from "./statistics.ts";

/** A table as Markdown. Cells are text; a bar in one would end it, so it is escaped. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Milliseconds for people: as many digits as they can be trusted. Infinite: it did not come. */
export function ms(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "never";
  if (Number.isNaN(value)) return "–";
  return value >= 100 ? `${Math.round(value)} ms` : value >= 1 ? `${value.toFixed(1)} ms` : `${value.toFixed(3)} ms`;
}

/** A number with the digits that matter. */
export function plain(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return Number.isInteger(value) || Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

/** A whole number, in thousands. */
export function whole(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString("en") : "–";
}

/** A median, and behind it the range that it is of. Nothing where nothing was measured. */
export function ranged({ count, p50, min, max }: Spread, say: (value: number) => string): string {
  if (Number.isNaN(p50)) return "";
  return count < 2 || min === max ? say(p50) : `${say(p50)} [${say(min)}–${say(max)}]`;
}
