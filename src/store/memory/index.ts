/**
 * A store in this process's memory.
 * @module
 */
import type { MemoryOptions } from "./options.ts";
import { MemoryProvider } from "./provider.ts";

export { MemoryEngine } from "./engine.ts";
export type { EngineEnvironment, EngineState } from "./engine.ts";
export type { MemoryOptions } from "./options.ts";
export { MemoryProvider } from "./provider.ts";
export type { MemoryTransaction } from "./provider.ts";

/** Makes a store in memory; hand the same one to every cluster that shall share it. */
export function memory(options: MemoryOptions = {}): MemoryProvider {
  return new MemoryProvider(options);
}
