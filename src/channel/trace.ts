import type { Interceptor } from "./interceptors.ts";

/** What carries a trace from one process to another: two functions of whatever library traces; this package brings none. */
export interface Propagator {
  /** Puts what the present context is into the carrier: `traceparent`, `tracestate`, whatever others need to go on. */
  inject(carrier: Record<string, string>): void;
  /** Runs `next` in the context that the carrier has, and returns what it returns. Spans of one's own around handlers begin and end here. */
  run(carrier: Readonly<Record<string, string>>, next: () => unknown): unknown;
}

/** Handlers run in the context that their sender was in (W3C Trace Context, by whatever the propagator speaks). */
export function trace(propagator: Propagator): Interceptor {
  return {
    name: "trace",
    send(_payload, { kind }) {
      if (kind === "reply") return undefined; // its requester is in that context still
      const carrier: Record<string, string> = {};
      propagator.inject(carrier);
      const lines = Object.entries(carrier).filter(([name, value]) => !/[\n:]/.test(name) && !value.includes("\n"));
      return lines.length === 0 ? undefined : { note: lines.map(([name, value]) => `${name}:${value}`).join("\n") };
    },
    handle(next, _message, note) {
      if (note === undefined) return next();
      const carrier = Object.create(null) as Record<string, string>; // names come from others
      for (const line of note.split("\n")) carrier[line.slice(0, line.indexOf(":"))] = line.slice(line.indexOf(":") + 1);
      return propagator.run(carrier, next);
    },
  };
}
