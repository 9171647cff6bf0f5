/**
 * Messages between members: acknowledged, ordered, at most once. So far the decisions of its protocol.
 * @module
 */
export { Delivery } from "./delivery.ts";
export type { DeliveryResult } from "./delivery.ts";
export { FlowReceiver } from "./flow-receiver.ts";
export type { Arrival } from "./flow-receiver.ts";
export { gather, repliesNeeded } from "./gathering.ts";
export type { ReplyPolicy, Tally } from "./gathering.ts";
export { Outbox } from "./outbox.ts";
export type { GivenUp, GiveUpReason, OutboxLimits, Outgoing } from "./outbox.ts";
export { SequenceWindow, WINDOW_SIZE } from "./window.ts";
export type { Seen } from "./window.ts";
