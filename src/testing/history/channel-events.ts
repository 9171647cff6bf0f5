import type { Happening } from "./happening.ts";

/** What is written down of a channel: by whoever sends, handles, asks and answers. A message is named by its sender's incarnation, its topic, and a number that counts that sender's messages on that topic. */
export type ChannelEvent = ChannelOpened | ChannelClosed | Sent | SendOver | HandlingBegan | HandlingEnded | GapTold | Undelivered | Asked | AskOver | AnsweringBegan | AnsweringEnded | StateBegan | StateObtained | StreamAsked | StreamItem | StreamOver | GivingBegan | GivingEnded;

/** The channel of an incarnation is open. */
export interface ChannelOpened extends Happening {
  readonly kind: "channel-opened";
}

/** The channel of an incarnation was stopped, or its incarnation is over: nothing is handled by it from here on. */
export interface ChannelClosed extends Happening {
  readonly kind: "channel-closed";
}

/** A message is about to be sent. */
export interface Sent extends Happening {
  readonly kind: "sent";
  readonly topic: string;
  readonly message: number;
  readonly mode: "ack" | "async";
  /** Whether the topic's messages are handled in the order in which they were sent. */
  readonly ordered: boolean;
  /** Whether all members handle the topic's messages in one order, whoever sent them; then it is for all, and who joins meanwhile may handle it as well. Default: no. */
  readonly inOneOrder?: boolean;
  /** Whether the sender keeps so much that it is never full: then each message has its place in the order at once. */
  readonly roomy: boolean;
  /** Who is meant, by the view that the sender has: incarnations. */
  readonly to: readonly string[];
  /** Nodes that were named and are no members. */
  readonly missing: readonly string[];
  /** On the sender's clock. */
  readonly deadlineMs: number;
}

/** What became of something at one target. */
export interface TargetResult {
  /** The incarnation; the node's name where that is no member. */
  readonly target: string;
  readonly status: string;
  /** Of a failure. */
  readonly code: string;
}

/** A `send` has resolved, or rejected with `code`. */
export interface SendOver extends Happening {
  readonly kind: "send-over";
  readonly topic: string;
  readonly message: number;
  readonly results: readonly TargetResult[];
  readonly ok: boolean;
  readonly code: string;
}

/** A handler was called with a message. */
export interface HandlingBegan extends Happening {
  readonly kind: "handling-began";
  readonly topic: string;
  readonly from: string;
  readonly message: number;
}

/** That handler has finished; `code`: it threw. */
export interface HandlingEnded extends Happening {
  readonly kind: "handling-ended";
  readonly topic: string;
  readonly from: string;
  readonly message: number;
  readonly code: string;
}

/** A receiver was told of a gap. */
export interface GapTold extends Happening {
  readonly kind: "gap-told";
  readonly topic: string;
  readonly from: string;
  /** Of the flow from that sender to this receiver; of the place before which something is missing, on a topic in one order, where `from` is the sequencer; 0: something may be. */
  readonly number: number;
}

/** A sender was told that a message which nobody awaits was given up. */
export interface Undelivered extends Happening {
  readonly kind: "undelivered";
  readonly topic: string;
  readonly to: string;
  readonly status: string;
}

/** A request is about to be made; `message` counts the requests of that member on that topic. */
export interface Asked extends Happening {
  readonly kind: "asked";
  readonly topic: string;
  readonly message: number;
  readonly policy: "first" | "majority" | "all";
  readonly to: readonly string[];
  readonly deadlineMs: number;
}

/** A request is over. */
export interface AskOver extends Happening {
  readonly kind: "ask-over";
  readonly topic: string;
  readonly message: number;
  /** `answered`: which message the answer says that it answers, and who says so. */
  readonly replies: readonly (TargetResult & { readonly answered?: { readonly message: number; readonly by: string } })[];
  readonly ok: boolean;
  readonly code: string;
}

/** A handler of requests was called. */
export interface AnsweringBegan extends Happening {
  readonly kind: "answering-began";
  readonly topic: string;
  readonly from: string;
  readonly message: number;
}

/** It has finished. */
export interface AnsweringEnded extends Happening {
  readonly kind: "answering-ended";
  readonly topic: string;
  readonly from: string;
  readonly message: number;
  readonly code: string;
}

/** A member begins to obtain a state from the others. */
export interface StateBegan extends Happening {
  readonly kind: "state-began";
}

/** It has it, or could not get it (`code`). */
export interface StateObtained extends Happening {
  readonly kind: "state-obtained";
  /** Who gave it, nodes; none: this member began without. */
  readonly from: readonly string[];
  /** How many entries there are, how many of them did not come, and how many came more than once. */
  readonly entries: number;
  readonly missing: number;
  readonly repeated: number;
  readonly code: string;
}

/** One member is about to be asked for a stream of replies; `message` counts the streams that a member has asked for on that topic. */
export interface StreamAsked extends Happening {
  readonly kind: "stream-asked";
  readonly topic: string;
  readonly message: number;
  readonly to: string;
  /** How many replies may be under way, or wait to be taken. */
  readonly window: number;
  readonly deadlineMs: number;
}

/** A reply of a stream was taken, as it says of itself: its number from 1 on, and who gives it. */
export interface StreamItem extends Happening {
  readonly kind: "stream-item";
  readonly topic: string;
  readonly message: number;
  readonly number: number;
  readonly by: string;
}

/** A stream is over for who asked. */
export interface StreamOver extends Happening {
  readonly kind: "stream-over";
  readonly topic: string;
  readonly message: number;
  /** It came to its end; was not taken any further; or broke. */
  readonly how: "end" | "left-off" | "broken";
  /** Of one that broke: `failed`, `moved`, `left`, `timeout`; of one that could not be asked for, the error's code. */
  readonly status: string;
  /** Of a failure. */
  readonly code: string;
}

/** A handler was called for a stream. */
export interface GivingBegan extends Happening {
  readonly kind: "giving-began";
  readonly topic: string;
  readonly from: string;
  readonly message: number;
}

/** It gives no more: it has given all, was ended at a reply, or threw with `code`. `given` counts the replies that it has handed over; one that it was ended at counts. */
export interface GivingEnded extends Happening {
  readonly kind: "giving-ended";
  readonly topic: string;
  readonly from: string;
  readonly message: number;
  readonly given: number;
  readonly how: "all" | "ended" | "threw";
  readonly code: string;
}
