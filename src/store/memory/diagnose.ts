import type { Finding } from "../index.ts";

/** There is little to go wrong. */
export function diagnose(): readonly Finding[] {
  return [
    { check: "server", level: "ok", found: "the memory of this process, which no other process sees" },
    { check: "durability", level: "warn", found: "nothing survives the process", next: "use it for tests and examples; sqlite:PATH needs nothing to be installed either" },
  ];
}
