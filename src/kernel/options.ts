import { TribuneError } from "./errors.ts";

/** Gathers everything that is wrong with a set of options, so that the user hears of it all at once. */
export class Complaints {
  readonly #about: string;
  readonly #complaints: string[] = [];

  constructor(about: string) {
    this.#about = about;
  }

  get count(): number {
    return this.#complaints.length;
  }

  add(complaint: string): void {
    this.#complaints.push(complaint);
  }

  /** Complains unless `holds`; returns `holds`, so that checks that build on it can be skipped. */
  check(holds: boolean, complaint: string): boolean {
    if (!holds) this.#complaints.push(complaint);
    return holds;
  }

  /** A finite number of milliseconds in a range. */
  milliseconds(name: string, value: unknown, range: { readonly min: number; readonly max: number }): boolean {
    return this.check(
      typeof value === "number" && Number.isFinite(value) && value >= range.min && value <= range.max,
      `${name} must be a number of milliseconds from ${range.min} to ${range.max}, not ${shown(value)}`,
    );
  }

  /** Names of `given` that are not in `known`, each with the nearest known one. */
  unknownKeys(given: object, known: readonly string[]): void {
    for (const key of Object.keys(given)) {
      if (known.includes(key)) continue;
      const near = nearest(key, known);
      this.add(`unknown option ${shown(key)}${near === undefined ? `; known are ${known.join(", ")}` : `; did you mean ${near}?`}`);
    }
  }

  throwIfAny(): void {
    if (this.#complaints.length === 0) return;
    const many = this.#complaints.length > 1;
    throw new TribuneError("INVALID_OPTIONS", `${this.#about}: ${this.#complaints.join("; ")}`, {
      about: this.#about,
      next: many ? `mend these ${this.#complaints.length} options` : "mend this option",
    });
  }
}

/** A value for a message: short, on one line, without control characters. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    const cut = value.length > 64 ? `${value.slice(0, 64)}…` : value;
    return JSON.stringify(cut).replace(/[\u007f-\uffff]/g, (char) => (/\p{Cc}|\p{Cf}|\p{Cs}|\p{Co}/u.test(char) ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}` : char));
  }
  if (value === null || typeof value === "number" || typeof value === "boolean" || typeof value === "undefined") return String(value);
  if (typeof value === "bigint") return `${value}n`;
  return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

/** The known word that differs by least, if it is near enough to be a slip. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: { word: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (best === undefined || distance < best.distance) best = { word: candidate, distance };
  }
  return best !== undefined && best.distance <= Math.max(1, Math.floor(best.word.length / 3)) ? best.word : undefined;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substituted, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
  }
  return row[b.length] ?? 0;
}
