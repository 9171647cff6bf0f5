/** Something for each term: for each token of each election. Two maps, since one string made of both costs more than all else that a check does with an event. */
export class ByTerm<Value> {
  readonly #elections = new Map<string, Map<number, Value>>();

  get(election: string, token: number): Value | undefined {
    return this.#elections.get(election)?.get(token);
  }

  set(election: string, token: number, value: Value): void {
    const tokens = this.#elections.get(election);
    if (tokens === undefined) this.#elections.set(election, new Map([[token, value]]));
    else tokens.set(token, value);
  }
}
