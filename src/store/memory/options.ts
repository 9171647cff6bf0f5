import type { Clock } from "../../kernel/index.ts";

/** What `memory()` takes. */
export interface MemoryOptions {
  /** The store's own clock. Default: this process's. */
  readonly clock?: Clock;
}
