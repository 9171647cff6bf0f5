import type { Interceptor, Passage } from "./interceptors.ts";

/** What has passed in one direction. */
export interface Passages {
  readonly count: number;
  /** As they go on the wire: compressed, without heads. */
  readonly bytes: number;
}

/** What has passed a channel, by kind and direction. A broadcast counts once where it is sent, and a duplicate not at all where it comes. */
export type ChannelTraffic = Readonly<Record<Passage["kind"], { readonly sent: Passages; readonly received: Passages }>>;

/** Counts what passes. */
export interface Counters extends Interceptor {
  /** So far. */
  readonly traffic: ChannelTraffic;
}

/** An interceptor that counts. */
export function counters(): Counters {
  const none = () => ({ sent: { count: 0, bytes: 0 }, received: { count: 0, bytes: 0 } });
  const traffic = { message: none(), request: none(), reply: none() };
  const add = (to: { count: number; bytes: number }, payload: Uint8Array) => {
    to.count++;
    to.bytes += payload.length;
    return undefined;
  };
  return {
    name: "counters",
    traffic,
    send: (payload, { kind }) => add(traffic[kind].sent, payload),
    receive: (payload, { kind }) => add(traffic[kind].received, payload),
  };
}
