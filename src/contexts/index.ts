/**
 * A tree of properties that all members share, or that one node has to itself.
 * @module
 */
export { agreedSettings, disagreements } from "./agreement.ts";
export type { AgreedSettings, Disagreement } from "./agreement.ts";
export { DEFAULT_EXCLUDE } from "./exclusion.ts";
export type { Exclusion } from "./exclusion.ts";
export type { ChangeReport, Context, Contexts, ContextsEvents, ContextsStats, CreateOptions, FlushOptions, FlushReport, PropertyEvent } from "./contexts.ts";
export { CONTEXT_DOCUMENTS } from "./durable.ts";
export type { ContextDocuments } from "./durable.ts";
export { localContexts } from "./local.ts";
export type { LocalContextsPorts } from "./local.ts";
export { contextsSettings, DEFAULT_CONTEXTS_OPTIONS, LARGEST_DURABLE_VALUE } from "./options.ts";
export type { ContextsOptions, ContextsSettings, FlushMode } from "./options.ts";
export { replicatedContexts } from "./replicated.ts";
export type { ReplicatedContexts, ReplicatedContextsPorts } from "./replicated.ts";
export type { ContextsChannel } from "./replication.ts";
