import { silentLogger, systemClock } from "../kernel/index.ts";
import type { Clock, Logger } from "../kernel/index.ts";
import type { Contexts } from "./contexts.ts";
import { NodeContexts } from "./node-contexts.ts";
import type { ContextsOptions } from "./options.ts";

/** What local contexts may be given. */
export interface LocalContextsPorts {
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** Contexts of this node alone, without a cluster: the same code, with nobody to send to. Throws `INVALID_OPTIONS`. */
export function localContexts(options: ContextsOptions = {}, { clock = systemClock, logger = silentLogger }: LocalContextsPorts = {}): Contexts & Disposable {
  const contexts = new NodeContexts({ clock, logger }, options);
  return Object.assign(contexts, { [Symbol.dispose]: () => contexts.stop() });
}
