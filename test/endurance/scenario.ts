/** How a scenario is run. */
export interface Ground {
  /** Small and short: that it runs at all. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

/** One thing that was to hold. */
export interface Finding {
  readonly what: string;
  readonly holds: boolean;
  /** What was seen. */
  readonly seen: string;
}

/** What a scenario came to. */
export interface Outcome {
  readonly findings: readonly Finding[];
  /** What was measured, for people. */
  readonly lines: readonly string[];
}

export function finding(what: string, holds: boolean, seen: string): Finding {
  return { what, holds, seen };
}

/** MiB for people. */
export function mib(value: number): string {
  return `${value.toFixed(value < 10 ? 1 : 0)} MiB`;
}
