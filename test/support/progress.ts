const EVERY_MS = { terminal: 1_000, file: 30_000 };

/** A line on standard error that says how far something is, the same again on a terminal, a new one now and then elsewhere; and what is told above it. */
export function progressOf(line: () => string): { readonly tell: (text: string) => void; readonly end: () => void } {
  const { isTTY } = process.stderr;
  const clear = isTTY ? "\r\u001b[K" : "";
  const timer = setInterval(() => process.stderr.write(`${clear}${line()}${isTTY ? "" : "\n"}`), isTTY ? EVERY_MS.terminal : EVERY_MS.file);
  return {
    tell: (text) => void process.stderr.write(`${clear}${text}\n`),
    end: () => {
      clearInterval(timer);
      process.stderr.write(clear);
    },
  };
}
