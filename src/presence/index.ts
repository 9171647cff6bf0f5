/**
 * The incarnation of a node, its beats, its trust, and what it may conclude about others.
 * @module
 */
export { Facts } from "./facts.ts";
export type { FactsChange } from "./facts.ts";
export { deathStep } from "./observation.ts";
export type { DeathStep, EvidenceRule, Grounds, Observation } from "./observation.ts";
export { Presence } from "./presence.ts";
export type { Annex, PresenceEvents, PresenceOptions, PresencePorts } from "./presence.ts";
export { BEAT_JITTER, checkTiming, CLOCK_RATE_ERROR, defaultStopBudgetMs, MARGIN_MS, observedWaitMs, PRESETS, trustMs, worstFailoverMs } from "./timing.ts";
export type { Preset, Timing } from "./timing.ts";
