/** A duration for people: `240 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const [large, small, units] = ms < 3_600_000 ? [60_000, 1_000, ["min", "s"]] : ms < 86_400_000 ? [3_600_000, 60_000, ["h", "min"]] : [86_400_000, 3_600_000, ["d", "h"]];
  const first = Math.floor(ms / large);
  const rest = Math.floor((ms - first * large) / small);
  return rest === 0 ? `${first} ${units[0]}` : `${first} ${units[0]} ${rest} ${units[1]}`;
}
