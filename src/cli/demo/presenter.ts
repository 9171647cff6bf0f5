import { duration } from "../duration.ts";
import { safeText } from "../safe-text.ts";
import { Redrawn } from "../shell.ts";
import type { Colour, Shell } from "../shell.ts";
import { table } from "../table.ts";
import type { Actor, ActorState } from "./troupe.ts";

/** How often the clock on the screen moves. */
const FRAME_MS = 100;

const COLOURS: Readonly<Record<ActorState, Colour>> = { starting: "dim", member: "blue", leader: "green", killed: "red", frozen: "cyan", lost: "yellow", stopped: "dim" };

/** Shows the demo: on a terminal a log above a table that lives, otherwise lines; or one JSON value per step. */
export class Presenter {
  readonly #shell: Shell;
  readonly #json: boolean;
  readonly #screen: Redrawn | undefined;
  #actors: () => readonly Actor[] = () => [];
  #waitingFor: { readonly what: string; readonly sinceMs: number } | undefined;
  #timer: { cancel(): void } | undefined;

  constructor(shell: Shell, json: boolean) {
    this.#shell = shell;
    this.#json = json;
    this.#screen = shell.isTerminal && !json ? new Redrawn(shell) : undefined;
  }

  /** Whose states the table shows. */
  follow(actors: () => readonly Actor[]): void {
    this.#actors = actors;
    this.#animate();
  }

  /** A step is done: what it was, and everything measured in it. */
  step(step: string, detail: Readonly<Record<string, unknown>>, ...sentences: readonly string[]): void {
    this.#waitingFor = undefined;
    if (this.#json) {
      this.#shell.printJson({ step, ok: true, ...detail });
      return;
    }
    this.#above([`${this.#shell.paint("bold", step.padEnd(8))} ${safeText(sentences[0] ?? "")}`, ...sentences.slice(1).map((sentence) => `${" ".repeat(8)} ${safeText(sentence)}`)]);
  }

  /** What is being waited for now; shown on a terminal with a clock. */
  waiting(what: string): void {
    this.#waitingFor = { what, sinceMs: this.#shell.clock.monotonicMs() };
    this.refresh();
  }

  /** For people only. */
  say(...lines: readonly string[]): void {
    if (!this.#json) this.#above(lines);
  }

  failed(error: { toJSON(): unknown }): void {
    if (this.#json) this.#shell.printJson({ step: "failed", ok: false, error: error.toJSON() });
  }

  refresh(): void {
    const screen = this.#screen;
    const actors = this.#actors();
    if (screen === undefined || actors.length === 0) return;
    const shell = this.#shell;
    const rows = actors.map((actor) => [actor.node, String(actor.pid), { text: actor.state, paint: (text: string) => shell.paint(COLOURS[actor.state], text) }, actor.token ?? ""]);
    const waiting = this.#waitingFor === undefined ? "" : shell.paint("dim", `${safeText(this.#waitingFor.what)} … ${((shell.clock.monotonicMs() - this.#waitingFor.sinceMs) / 1_000).toFixed(1)} s`);
    screen.draw(["", ...table(["NODE", "PROCESS", "STATE", "TOKEN"], rows).map((line) => `  ${line}`), "", `  ${waiting}`]);
  }

  /** Takes the table away; what was said stays. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#actors = () => [];
    this.#screen?.clear();
  }

  #above(lines: readonly string[]): void {
    this.#screen?.clear();
    this.#shell.print(...lines);
    this.refresh();
  }

  #animate(): void {
    if (this.#screen === undefined) return;
    this.refresh();
    this.#timer = this.#shell.clock.setTimer(FRAME_MS, () => this.#animate());
  }
}

/** A measured time for people; short ones with a tenth of a millisecond. */
export function measured(ms: number): string {
  return ms < 100 ? `${ms.toFixed(1)} ms` : duration(ms);
}
