/** What many measurements of one thing come to, in milliseconds. */
export interface Spread {
  readonly count: number;
  readonly minMs: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly maxMs: number;
}

/** Quantiles by the nearest rank, so that each is a value that was measured. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (share: number) => round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN);
  return { count: sorted.length, minMs: rank(0), medianMs: rank(0.5), p95Ms: rank(0.95), maxMs: rank(1) };
}

export function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

export function spreadText({ count, minMs, medianMs, p95Ms, maxMs }: Spread): string {
  return `median ${medianMs} ms, p95 ${p95Ms} ms, range ${minMs} to ${maxMs} ms, of ${count}`;
}
