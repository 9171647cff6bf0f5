/** What many measurements of one thing come to. */
export interface Spread {
  readonly count: number;
  readonly min: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** The value that `share` of all are not greater than, by the nearest rank: each answer was measured. `NaN` if nothing was. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Median, tail and range, each a value that was measured. With fewer than 100 values p99 is the greatest. */
export function spread(values: readonly number[]): Spread {
  const at = (share: number) => quantile(values, share);
  return { count: values.length, min: at(0), p50: at(0.5), p99: at(0.99), max: at(1) };
}

/**
 * How many times `b` takes what `a` takes, from measurements that alternated: the ratio of the medians of each block of `size` pairs. The median of these ratios is the answer, their
 * range tells how much to trust it; what disturbs the machine for a while disturbs both sides of a block.
 */
export function ratios(a: readonly number[], b: readonly number[], size: number): readonly number[] {
  const blocks = Math.floor(Math.min(a.length, b.length) / size);
  return Array.from({ length: blocks }, (_, n) => quantile(b.slice(n * size, (n + 1) * size), 0.5) / quantile(a.slice(n * size, (n + 1) * size), 0.5));
}
