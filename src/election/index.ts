/**
 * Named contests, terms with tokens that only grow, and the writes that they fence.
 * @module
 */
export { deputyOf } from "./candidates.ts";
export type { SuccessionOrder } from "./candidates.ts";
export { Election, Elections, fullMembers } from "./elections.ts";
export type { ElectionLimits } from "./elections.ts";
export { Elector } from "./elector.ts";
export type { ElectionState, ElectorEvents, ElectorPorts } from "./elector.ts";
export { ELECTION_DEFAULTS } from "./options.ts";
export type { ElectionOptions } from "./options.ts";
export { contestStep, termStands } from "./takeover.ts";
export type { Contest, ContestStep } from "./takeover.ts";
export { Term } from "./term.ts";
export type { TermPorts } from "./term.ts";
