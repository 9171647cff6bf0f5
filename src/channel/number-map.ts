const LEAST_PLACES = 16;

/** As many places are kept when nothing is there any more: sixty-four that come and go together make and drop no table each time. */
const KEPT_PLACES = 1_024;

/**
 * Values by whole numbers, most of which come one after the other and go soon. A `Map` of such makes a new table every few entries, and each table that was given up holds on to the next one: once one of them is old, all that is ever put in outlives the quick collections
 * (a third of the time of a sender of requests). Here places are found by the number's last bits, and the next free one if that is taken.
 */
export class NumberMap<Value> {
  #mask = LEAST_PLACES - 1;
  /** One more than the number; 0: free. */
  #keys = new Float64Array(LEAST_PLACES);
  #values = Array.from<Value | undefined>({ length: LEAST_PLACES });
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(number: number): boolean {
    return this.#keys[this.#find(number)] !== 0;
  }

  get(number: number): Value | undefined {
    return this.#values[this.#find(number)];
  }

  set(number: number, value: Value): void {
    if (2 * this.#size > this.#mask) this.#resize(2 * (this.#mask + 1));
    const at = this.#find(number);
    if (this.#keys[at] === 0) this.#size++;
    this.#keys[at] = number + 1;
    this.#values[at] = value;
  }

  /** Returns what was there. */
  delete(number: number): Value | undefined {
    const at = this.#find(number);
    const value = this.#values[at];
    if (this.#keys[at] === 0) return undefined;
    this.#size--;
    this.#free(at);
    if (this.#mask >= KEPT_PLACES && 16 * this.#size < this.#mask) this.#resize((this.#mask + 1) / 4);
    return value;
  }

  /** All that are there now, by growing numbers. */
  entries(): Array<readonly [number: number, value: Value]> {
    const entries: Array<readonly [number, Value]> = [];
    for (let at = 0; at <= this.#mask; at++) if (this.#keys[at] !== 0) entries.push([(this.#keys[at] as number) - 1, this.#values[at] as Value]);
    return entries.sort(([a], [b]) => a - b);
  }

  /** Takes out those from `first` to `last`, by growing numbers. */
  take(first: number, last: number): Array<readonly [number: number, value: Value]> {
    const taken: Array<readonly [number, Value]> = [];
    if (last - first > this.#mask) {
      for (const entry of this.entries()) if (entry[0] >= first && entry[0] <= last) taken.push(entry);
      for (const [number] of taken) this.delete(number);
      return taken;
    }
    for (let number = first; number <= last && this.#size > 0; number++) {
      if (!this.has(number)) continue;
      taken.push([number, this.delete(number) as Value]);
    }
    return taken;
  }

  clear(): void {
    this.#size = 0;
    this.#resize(LEAST_PLACES);
  }

  /** Where a number is, or the free place where it would be. */
  #find(number: number): number {
    let at = number & this.#mask;
    for (let key = this.#keys[at]; key !== 0 && key !== number + 1; key = this.#keys[at]) at = (at + 1) & this.#mask;
    return at;
  }

  /** What was put behind it because its place was taken moves up, so that it is found without looking at places that were freed. */
  #free(at: number): void {
    for (let next = (at + 1) & this.#mask; this.#keys[next] !== 0; next = (next + 1) & this.#mask) {
      const wanted = ((this.#keys[next] as number) - 1) & this.#mask;
      if (((next - wanted) & this.#mask) < ((next - at) & this.#mask)) continue; // it is not behind that place
      this.#keys[at] = this.#keys[next] as number;
      this.#values[at] = this.#values[next];
      at = next;
    }
    this.#keys[at] = 0;
    this.#values[at] = undefined;
  }

  #resize(places: number): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#mask = places - 1;
    this.#keys = new Float64Array(places);
    this.#values = Array.from<Value | undefined>({ length: places });
    if (this.#size === 0) return;
    for (let from = 0; from < keys.length; from++) {
      const key = keys[from] as number;
      if (key === 0) continue;
      const to = this.#find(key - 1);
      this.#keys[to] = key;
      this.#values[to] = values[from];
    }
  }
}
