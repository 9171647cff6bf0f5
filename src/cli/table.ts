import { safeText } from "./safe-text.ts";

/** One cell: text from anywhere, made safe here, and how to paint it, which does not count as width. */
export interface Cell {
  readonly text: string;
  readonly paint?: ((text: string) => string) | undefined;
}

/** Lines with columns of equal width, two blanks apart. The last column is not padded. Columns without any text are left out. */
export function table(head: readonly string[], rows: readonly (readonly (Cell | string)[])[]): string[] {
  const cells = rows.map((row) => row.map((cell): Cell => (typeof cell === "string" ? { text: safeText(cell) } : { ...cell, text: safeText(cell.text) })));
  const used = head.map((_, column) => cells.some((row) => (row[column]?.text ?? "") !== ""));
  const columns = head.map((_, column) => column).filter((column) => used[column] === true);
  const widths = new Map(columns.map((column) => [column, Math.max(head[column]?.length ?? 0, ...cells.map((row) => width(row[column]?.text ?? "")))]));
  const line = (row: readonly Cell[]) =>
    columns
      .map((column, index) => {
        const cell = row[column] ?? { text: "" };
        const padding = index === columns.length - 1 ? "" : " ".repeat((widths.get(column) ?? 0) - width(cell.text));
        return (cell.paint?.(cell.text) ?? cell.text) + padding;
      })
      .join("  ")
      .trimEnd();
  return [line(head.map((text) => ({ text }))), ...cells.map(line)];
}

function width(text: string): number {
  return Array.from(text).length;
}
