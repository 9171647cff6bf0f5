/**
 * Named contests, terms with tokens that only grow, and the writes that they fence.
 * @module
 */
export { Election, Elections } from "./elections.ts";
export { Elector } from "./elector.ts";
export type { ElectionState, ElectorEvents, ElectorPorts } from "./elector.ts";
export type { ElectionOptions } from "./options.ts";
export { contestStep, termStands } from "./takeover.ts";
export type { Contest, ContestStep } from "./takeover.ts";
export { Term } from "./term.ts";
export type { TermPorts } from "./term.ts";
