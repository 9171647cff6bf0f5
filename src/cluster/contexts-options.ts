import { contextsSettings } from "../contexts/index.ts";
import type { ContextsOptions } from "../contexts/index.ts";
import { Complaints, shown } from "../kernel/index.ts";

/** How a node has contexts. Every field has a default. */
export interface ClusterContextsOptions extends ContextsOptions {
  /** `false`: this node's contexts are its own, and need no channel; code that uses them is the same. Default true. */
  readonly replicated?: boolean;
}

/** The contexts of a node, with everything decided. */
export interface CheckedContextsOptions {
  readonly replicated: boolean;
  readonly contexts: ContextsOptions;
}

/** `undefined`: no contexts. Throws `INVALID_OPTIONS` with all complaints. */
export function checkContextsOptions(options: ClusterContextsOptions | boolean | undefined, hasChannel: boolean): CheckedContextsOptions | undefined {
  if (options === undefined || options === false) return undefined;
  const complaints = new Complaints("contexts");
  if (!complaints.check(options === true || (typeof options === "object" && options !== null && !Array.isArray(options)), `must be true, false, or an object of options, not ${shown(options)}`)) complaints.throwIfAny();
  const { replicated = true, ...contexts } = options === true ? {} : options;
  complaints.check(typeof replicated === "boolean", `replicated must be true or false, not ${shown(replicated)}`);
  complaints.check(!replicated || hasChannel, "contexts that are replicated need channel: true");
  complaints.throwIfAny();
  contextsSettings(contexts);
  return { replicated, contexts };
}
