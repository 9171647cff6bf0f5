/** What carries messages. `limit`: the raw carrier that it is compared with, on the same kind of socket. */
export interface Carrier {
  readonly name: string;
  readonly title: string;
  readonly kind: "raw" | "transport" | "channel" | "peer";
  readonly tls: boolean;
  /** The package of a peer, and what it needs that is in no package: a server, or a program. */
  readonly package?: string;
  readonly needs?: Need;
  /** It is slow: only one in so many broadcasts. */
  readonly oneIn?: number;
}

export type Need = "nats" | "tribes";

/** What a peer needed and was found, to be closed in the end; or why it was not. `server`: as in {@link Orders}. */
export type Needed = { readonly label: string; readonly server: string; close(): Promise<void> } | { readonly missing: string };

/** How long messages are, unless something else is asked for: what was aimed at, and Tribes' figures from elsewhere, are of this length. */
export const BYTES = 1_024;

export const CARRIERS = [
  { name: "raw-tcp", title: "raw TCP, batched by hand", kind: "raw", tls: false },
  { name: "raw-tcp-each", title: "raw TCP, a write for each message", kind: "raw", tls: false },
  { name: "plaintext", title: "frames of the transport, plaintext", kind: "transport", tls: false },
  { name: "channel-plaintext", title: "**channel, plaintext**", kind: "channel", tls: false },
  { name: "raw-tls", title: "raw TLS, batched by hand", kind: "raw", tls: true },
  { name: "raw-tls-each", title: "raw TLS, a write for each message", kind: "raw", tls: true },
  { name: "keys", title: "frames of the transport, keys", kind: "transport", tls: true },
  { name: "channel-keys", title: "**channel, keys** (the default)", kind: "channel", tls: true },
  { name: "nats", title: "NATS core, plaintext", kind: "peer", tls: false, package: "@nats-io/transport-node", needs: "nats" },
  { name: "moleculer", title: "moleculer, TCP transporter, JSON, plaintext", kind: "peer", tls: false, package: "moleculer" },
  { name: "tribes", title: "Apache Tribes, plaintext", kind: "peer", tls: false, needs: "tribes" },
  { name: "tribes-order", title: "Apache Tribes, OrderInterceptor, plaintext", kind: "peer", tls: false, needs: "tribes", oneIn: 20 },
] as const satisfies readonly Carrier[];
export type CarrierName = (typeof CARRIERS)[number]["name"];

/** What one does with a message and waits for. */
export const OPERATIONS = ["echo", "acknowledged", "request", "requestAll"] as const;
/** `echo`: one answers with the same message. `acknowledged`: all have handled it. `request`: the reply of one, `requestAll` of all, as long as the message. */
export type Operation = (typeof OPERATIONS)[number];

/** How many of them are under way at a time. */
export const LANES = [1, 16, 64] as const;

/** What one process of the benchmark is told when it begins. */
export interface Orders {
  readonly role: "receiver" | "sender";
  readonly carrier: CarrierName;
  readonly name: string;
  /** For a sender: where the receivers are. */
  readonly targets: ReadonlyArray<{ readonly name: string; readonly address: string }>;
  /** Where a server, or a program, is, for who needs one. */
  readonly server: string;
  readonly messages: number;
  /** How long to warm up at least; used by who has a compiler that takes its time. */
  readonly warmUpMs: number;
  /** How many of each operation, one at a time; with more at a time four times as many. */
  readonly echoes: number;
  readonly bytes: number;
  /** The ring of keys, as text. */
  readonly ring: string;
}

/** How long an operation took, with so many at a time. */
export interface Times {
  readonly operation: Operation;
  readonly lanes: number;
  readonly perSecond: number;
  readonly us: readonly number[];
}

/** What a process says. */
export type Report =
  | { readonly kind: "listening"; readonly address: string }
  /** `sent`: broadcasts, with those of the warm-up. */
  | { readonly kind: "done"; readonly sent: number; readonly broadcastMs: number; readonly times: readonly Times[] }
  /** How many broadcast messages a receiver was given, and how many of them after one that was sent later, where that was counted; it was asked. */
  | { readonly kind: "received"; readonly messages: number; readonly disordered?: number }
  | { readonly kind: "failed"; readonly message: string };
