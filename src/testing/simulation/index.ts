/**
 * A cluster, its database and its network in one process, on simulated clocks: what happens is decided by a seed.
 * @module
 */
export { runPlan } from "./campaign.ts";
export type { RunCounts, RunOptions, RunResult } from "./campaign.ts";
export { historyDigest, historyText } from "./digest.ts";
export { FAULT_KINDS } from "./faults.ts";
export type { Direction, Fault, FaultBetweenNodes, FaultKind, Harm, Pair, Target } from "./faults.ts";
export { CALM, Flow, Link, Network } from "./network.ts";
export type { NetworkCounts, Weather } from "./network.ts";
export { SimulatedNode } from "./node.ts";
export type { EndCause, Program, ProgramContext } from "./node.ts";
export type { ChannelUse, OwnChannel } from "./own-channels.ts";
export { drawPlan, PROFILE_NAMES, PROFILES, profileOf, ROUND } from "./plan.ts";
export type { Plan, PlannedNode, PlannedWork, PlanOptions, ProfileName } from "./plan.ts";
export { SimulatedProcess } from "./process.ts";
export type { ClockTraits } from "./process.ts";
export { shrinkPlan } from "./shrink.ts";
export type { ShrinkOptions } from "./shrink.ts";
export { SimulatedStore } from "./store.ts";
export { STORE_PLACE } from "./statements.ts";
export type { Operation, StatementKind } from "./statements.ts";
export type { SimulatedStoreOptions, StoreCopy, StoreCounts, Subject } from "./store.ts";
export type { PlannedTraffic } from "./traffic.ts";
export { NondeterminismError } from "./traps.ts";
export { SimulatedWires } from "./wires.ts";
export type { Reset, Site } from "./wires.ts";
export { SimulatedWorld } from "./world.ts";
export type { StartOptions, WorldOptions } from "./world.ts";
