/** What one process of the benchmark is told. */
export type Order = { readonly order: "fill"; readonly contexts: number; readonly properties: number; readonly bytes: number } | { readonly order: "flush"; readonly touched: number; readonly bytes: number } | { readonly order: "count" } | { readonly order: "stop" };

/** What it says. */
export type Report =
  | { readonly kind: "started"; readonly startMs: number; readonly cpuMs: number; readonly properties: number }
  | { readonly kind: "done"; readonly ms: number; readonly cpuMs: number; readonly sizeBytes: number; readonly ok: boolean }
  | { readonly kind: "counted"; readonly properties: number; readonly rssMb: number };
