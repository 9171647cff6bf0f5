/** What carries the bytes. */
export const CARRIERS = ["raw-tcp", "raw-tls", "plaintext", "keys", "channel-plaintext", "channel-keys"] as const;
export type Carrier = (typeof CARRIERS)[number];

/** What one process of the benchmark is told when it begins. */
export interface Orders {
  readonly role: "receiver" | "sender";
  readonly carrier: Carrier;
  readonly name: string;
  /** For a sender: where the receivers are. */
  readonly targets: ReadonlyArray<{ readonly name: string; readonly address: string }>;
  readonly messages: number;
  readonly echoes: number;
  readonly inFlight: number;
  readonly bytes: number;
  /** The ring of keys, as text. */
  readonly ring: string;
}

/** What a process says. */
export type Report =
  | { readonly kind: "listening"; readonly address: string }
  | {
      readonly kind: "done";
      readonly broadcastMs: number;
      readonly echoUs: readonly number[];
      readonly inFlightPerSecond: number;
      readonly inFlightUs: readonly number[];
      /** Broadcasts that every target has handled, and requests; empty where there are none. */
      readonly ackUs: readonly number[];
      readonly ackInFlightUs: readonly number[];
      readonly rpcUs: readonly number[];
      readonly rpcInFlightUs: readonly number[];
    };
