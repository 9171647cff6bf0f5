/**
 * Messages between members: acknowledged, ordered, at most once.
 * @module
 */
export { Channel } from "./channel.ts";
export type { ChannelCounts, ChannelPorts } from "./channel.ts";
export type { RequestOptions, SendOptions, StreamOptions } from "./calls.ts";
export type { ChannelEvents, Pong, Reachability } from "./events.ts";
export type { SendReport } from "./addressed.ts";
export type { MessageHandler } from "./handlers.ts";
export type { Demands, SentToken } from "./demands.ts";
export type { Interceptor, Notes, Passage, Passed } from "./interceptors.ts";
export { trace } from "./trace.ts";
export type { Propagator } from "./trace.ts";
export { compress } from "./compress.ts";
export type { CompressOptions } from "./compress.ts";
export { counters } from "./counters.ts";
export type { ChannelTraffic, Counters, Passages } from "./counters.ts";
export type { StreamEnd, StreamReply } from "./streams.ts";
export type { Message } from "./message.ts";
export { bytesCodec, DEEPEST_JSON, jsonCodec } from "./codec.ts";
export type { Codec, Schema, SchemaResult, TopicFormat } from "./codec.ts";
export { NodeChannel } from "./node-channel.ts";
export type { GroupChannel, NodeChannelPorts } from "./node-channel.ts";
export { channelSettings, DEFAULT_CHANNEL_OPTIONS } from "./options.ts";
export type { ChannelOptions, ChannelSettings, SendMode } from "./options.ts";
export { Moved } from "./moved.ts";
export { decodeReach, encodeReach, REACH_DOCUMENT, withOwnReport } from "./reach.ts";
export type { ReachReport, ReachReports, Unreached } from "./reach.ts";
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
export { comparePositions, OrderLog, START } from "./order-log.ts";
export type { Entry, Position, Taking } from "./order-log.ts";
export { Outbox } from "./outbox.ts";
export type { GivenUp, GiveUpReason, OutboxLimits } from "./outbox.ts";
export { SequenceWindow, WINDOW_SIZE } from "./window.ts";
export type { Seen } from "./window.ts";
