/** Says on standard error how far it is; standard output is for results. */
export class Progress {
  readonly #beganMs = performance.now();

  /** A line of its own. */
  say(text: string): void {
    process.stderr.write(`[${Math.round((performance.now() - this.#beganMs) / 1_000)} s] ${text}\n`);
  }

  /** Counts rounds of one thing: every fifth is told. */
  rounds(what: string, of: number): () => void {
    let done = 0;
    this.say(`${what}: ${of} rounds`);
    return () => {
      done += 1;
      if (done % 5 === 0 && done < of) this.say(`${what}: ${done} of ${of}`);
    };
  }
}
