/**
 * Deploys named, versioned artifacts on every member: all of them, or none.
 * @module
 */
export { Farm } from "./farm.ts";
export type { FarmCounts, FarmEvents, FarmPorts } from "./farm.ts";
export type { ChangeOptions, ChangeReport, DeployOptions, RollbackOptions, UndeployOptions } from "./change.ts";
export { DEFAULT_FARM_OPTIONS, farmSettings } from "./options.ts";
export type { Artifact, FarmHandler, FarmOptions, FarmSettings, HandlerContext } from "./options.ts";
export type { ArtifactSource } from "./artifact-source.ts";
export type { FarmDocuments } from "./document-cache.ts";
export type { MemberProgress } from "./follower.ts";
export type { FarmStatus, MemberOutcome } from "./status.ts";
export { coordinatorStep, grant } from "./coordinate.ts";
export type { CoordinatorSight, CoordinatorStep, FarmMember, Wish, WishAnswer } from "./coordinate.ts";
export { isStillWanted, memberStep, wanted } from "./follow.ts";
export type { LocalApp, MemberStep } from "./follow.ts";
export type { AppRecord, AppReport, Change, Outcome, Release, Rolling, Vote } from "./record.ts";
export { ModuleService, moduleService } from "./module-service.ts";
export type { ModuleServiceOptions } from "./module-service.ts";
export { signRelease } from "./signature.ts";
export type { SignedParts } from "./signature.ts";
