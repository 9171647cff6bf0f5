import { randomBytes } from "node:crypto";

/** Chance, as a thing that is handed in. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A fresh 128-bit identifier as 32 hexadecimal digits. */
  id(): string;
}

/** The operating system's randomness. */
export const systemRandom: Random = {
  next: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
  id: () => randomBytes(16).toString("hex"),
};

/**
 * A source that gives the same numbers for the same seed, in every Node version (mulberry32, Tommy Ettinger, public
 * domain). For tests and simulations, never for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const word = () => Math.floor(next() * 2 ** 32).toString(16).padStart(8, "0");
  return { next, id: () => word() + word() + word() + word() };
}

/** `value` moved by up to ± `share` of itself. */
export function jitter(random: Random, value: number, share: number): number {
  return value * (1 + (random.next() * 2 - 1) * share);
}
