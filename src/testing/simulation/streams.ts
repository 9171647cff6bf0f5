import { seededRandom } from "../../kernel/index.ts";
import type { Random } from "../../kernel/index.ts";

/**
 * Chance from one seed, in independent streams by name, so that taking one fault out of a plan does not move what all others draw.
 */
export function randomStreams(seed: number): (name: string) => Random {
  return (name) => seededRandom(mix(seed, name));
}

/** FNV-1a over the name, begun at the seed, and stirred once more so that neighbouring seeds are far apart. */
function mix(seed: number, name: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35) >>> 0;
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A number between two. */
export function between(random: Random, from: number, to: number): number {
  return from + random.next() * (to - from);
}

/** One of several. */
export function pick<T>(random: Random, list: readonly [T, ...T[]] | readonly T[]): T {
  return list[Math.floor(random.next() * list.length)] as T;
}

/** One of several, by weights. */
export function pickWeighted<T extends string>(random: Random, weights: Readonly<Partial<Record<T, number>>>): T {
  const entries = Object.entries(weights) as [T, number][];
  let rest = random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [name, weight] of entries) {
    rest -= weight;
    if (rest < 0) return name;
  }
  return (entries.at(-1) as [T, number])[0];
}
