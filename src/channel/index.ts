/**
 * Messages between members: acknowledged, ordered, at most once.
 * @module
 */
export { Channel } from "./channel.ts";
export type { ChannelCounts, ChannelEvents, ChannelPorts, MessageHandler, Pong, Reachability, RequestOptions, SendOptions, SendReport } from "./channel.ts";
export type { Message } from "./message.ts";
export { bytesCodec, DEEPEST_JSON, jsonCodec } from "./codec.ts";
export type { Codec, Schema, SchemaResult, TopicFormat } from "./codec.ts";
export { NodeChannel } from "./node-channel.ts";
export type { GroupChannel, NodeChannelPorts } from "./node-channel.ts";
export { channelSettings, DEFAULT_CHANNEL_OPTIONS } from "./options.ts";
export type { ChannelOptions, ChannelSettings, SendMode } from "./options.ts";
export { Moved } from "./moved.ts";
export type { Reply, RequestReport } from "./requests.ts";
export type { Request, RequestHandler, RespondOptions } from "./responders.ts";
export { afterRound, giverOrder } from "./state.ts";
export type { GiverAnswer, SharedState, StateOptions, StatePage, StateProgress, StateReport, WhenNobody } from "./state.ts";
export { resolveTargets } from "./targets.ts";
export type { ChannelView, Targets } from "./targets.ts";
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
