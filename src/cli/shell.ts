import { isoTime, systemClock, systemRandom, TribuneError } from "../kernel/index.ts";
import type { Clock, Logger, LogFields, Random } from "../kernel/index.ts";
import { fit, safeJson, safeText } from "./safe-text.ts";
import { Secrets } from "./secrets.ts";

export type Colour = "red" | "green" | "yellow" | "blue" | "cyan" | "dim" | "bold";

const SGR: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

/** The part of a stream that is used here. */
export interface Stream {
  write(text: string): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Standard input. */
export type Input = AsyncIterable<Uint8Array> & { readonly isTTY?: boolean };

/** What a command has around it: streams, environment, time, and how it ends. */
export class Shell {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock = systemClock;
  readonly random: Random = systemRandom;
  readonly secrets = new Secrets();
  /** Set by a command whose outcome is not 0 although nothing failed. */
  exitCode = 0;
  verbose = false;
  readonly #stdout: Stream;
  readonly #stderr: Stream;
  readonly #stdin: Input | undefined;
  readonly #gone = new AbortController();

  constructor(options: { readonly stdin?: Input; readonly stdout: Stream; readonly stderr: Stream; readonly env: Readonly<Record<string, string | undefined>> }) {
    this.#stdin = options.stdin;
    this.#stdout = options.stdout;
    this.#stderr = options.stderr;
    this.env = options.env;
    // EPIPE and the like: whoever read this has gone, as `head` does. Nothing more to do here, and no failure.
    this.#stdout.on("error", () => this.#gone.abort());
    this.#stderr.on("error", () => undefined);
  }

  /** Aborts when nobody reads standard output any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** All of standard input. Throws `INVALID_OPTIONS` where somebody would have to type it. */
  async input(): Promise<Uint8Array> {
    if (this.#stdin === undefined || this.#stdin.isTTY === true) throw new TribuneError("INVALID_OPTIONS", "there is nothing to send", { about: "standard input", next: "give it as an argument, or from a file or a pipe" });
    const parts: Uint8Array[] = [];
    for await (const part of this.#stdin) parts.push(part);
    return Buffer.concat(parts);
  }

  get isTerminal(): boolean {
    return this.#stdout.isTTY === true;
  }

  get columns(): number {
    return size(this.#stdout.columns, 80);
  }

  get rows(): number {
    return size(this.#stdout.rows, 24);
  }

  /** Lines that were made safe by whoever composed them. */
  print(...lines: readonly string[]): void {
    if (!this.#gone.signal.aborted && lines.length > 0) this.#stdout.write(`${lines.join("\n")}\n`);
  }

  /** Text with escape sequences of our own, as it is. */
  printRaw(text: string): void {
    if (!this.#gone.signal.aborted) this.#stdout.write(text);
  }

  printJson(value: unknown): void {
    this.print(safeJson(value));
  }

  /** One line on standard error; passwords are taken out, and what a terminal would act upon. */
  note(line: string): void {
    this.#stderr.write(`${safeText(this.secrets.redact(line))}\n`);
  }

  noteJson(value: unknown): void {
    this.#stderr.write(`${this.secrets.redact(safeJson(value))}\n`);
  }

  /** For help that commander has composed. */
  noteRaw(text: string): void {
    this.#stderr.write(this.secrets.redact(text));
  }

  /** Colours only on a terminal, and not if the user asked for none (no-color.org). */
  paint(colour: Colour, text: string): string {
    if (!this.isTerminal || (this.env["NO_COLOR"] ?? "") !== "" || this.env["TERM"] === "dumb") return text;
    const [on, off] = SGR[colour];
    return `\u001b[${on}m${text}\u001b[${off}m`;
  }

  /** Lines of the library, with `--verbose` only. */
  get logger(): Logger {
    const log = (level: string) => (fields: LogFields, message: string) => {
      if (!this.verbose) return;
      const extra = Object.entries(fields).map(([key, value]) => `${key}=${typeof value === "string" ? value : safeJson(value ?? null)}`);
      this.note([isoTime(this.clock.wallMs()), level, message, ...extra].join(" "));
    };
    return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  }
}

/** A part of the terminal that is drawn anew in place. */
export class Redrawn {
  readonly #shell: Shell;
  #height = 0;

  constructor(shell: Shell) {
    this.#shell = shell;
  }

  /** Replaces what was drawn before. Lines are cut to the width, and the whole to the height, so that moving up finds the beginning. */
  draw(lines: readonly string[]): void {
    const shown = lines.slice(0, Math.max(1, this.#shell.rows - 1)).map((line) => fitPainted(line, this.#shell.columns));
    const up = this.#height === 0 ? "" : `\u001b[${this.#height}A\r`;
    this.#shell.printRaw(`${up}\u001b[J${shown.join("\n")}\n`);
    this.#height = shown.length;
  }

  /** Takes the drawing away, so that ordinary lines can be printed; the next `draw` draws it below them. */
  clear(): void {
    if (this.#height > 0) this.#shell.printRaw(`\u001b[${this.#height}A\r\u001b[J`);
    this.#height = 0;
  }
}

/** Cuts a line that may have colours in it. A line that is too long loses them: simpler than cutting around sequences. */
function fitPainted(line: string, columns: number): string {
  // oxlint-disable-next-line no-control-regex
  const bare = line.replace(/\u001b\[\d+m/g, "");
  return Array.from(bare).length <= columns ? line : fit(bare, columns);
}

/** Some terminals say that they are 0 wide. */
function size(said: number | undefined, otherwise: number): number {
  return said === undefined || said <= 0 ? otherwise : said;
}
