import { isoTime } from "../kernel/index.ts";
import { safeText } from "./safe-text.ts";
import type { Shell } from "./shell.ts";

/** Says each thing twice: as a sentence for people, or as one JSON value for programs. */
export class Teller {
  readonly #shell: Shell;
  readonly #json: boolean;

  constructor(shell: Shell, json: boolean) {
    this.#shell = shell;
    this.#json = json;
  }

  say(event: string, detail: Readonly<Record<string, unknown>>, sentence: string): void {
    const at = isoTime(this.#shell.clock.wallMs());
    if (this.#json) this.#shell.printJson({ event, at, ...detail });
    else this.#shell.print(`${this.#shell.paint("dim", at)}  ${safeText(sentence)}`);
  }
}
