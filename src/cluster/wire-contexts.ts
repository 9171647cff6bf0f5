import { agreedSettings, CONTEXT_DOCUMENTS, disagreements, localContexts, replicatedContexts } from "../contexts/index.ts";
import type { ContextDocuments, Contexts } from "../contexts/index.ts";
import { TribuneError } from "../kernel/index.ts";
import type { Clock, Logger, Random } from "../kernel/index.ts";
import type { Presence } from "../presence/index.ts";
import type { CheckedContextsOptions } from "./contexts-options.ts";
import type { Messaging } from "./messaging.ts";

/** What the contexts of a node are wired to. */
export interface NodeContextsPorts {
  readonly options: CheckedContextsOptions;
  /** It is never the coordinator. */
  readonly observer: boolean;
  readonly messaging: Messaging | undefined;
  readonly presence: () => Presence;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The contexts of one node among the other rooms: carried by its channel, kept in its store; or alone. */
export function wireContexts({ options, observer, messaging, presence, clock, random, logger }: NodeContextsPorts): { readonly contexts: Contexts; stop(): void } {
  if (!options.replicated || messaging === undefined) {
    const contexts = localContexts(options.contexts, { clock, logger });
    return { contexts, stop: () => contexts[Symbol.dispose]() };
  }
  const documents: ContextDocuments = {
    list: () => presence().perform((session, call) => session.listDocuments({ prefix: CONTEXT_DOCUMENTS }, call)),
    read: (name) => presence().perform((session, call) => session.readDocument({ name }, call)),
    write: async (input) => {
      if (!presence().trusted()) throw away();
      return await presence().perform((session, call) => session.writeDocument(input, call));
    },
    remove: (input) => presence().perform((session, call) => session.removeDocument(input, call)),
  };
  const replicated = replicatedContexts({ channel: messaging.channel, documents, clock, random, logger }, options.contexts);
  const settings = agreedSettings(options.contexts);
  messaging.add(replicated, { name: "contexts", settings: observer ? undefined : settings, compare: (theirs) => disagreements(settings, theirs).filter(({ coordinators }) => !observer || !coordinators) });
  return { contexts: replicated.contexts, stop: () => undefined };
}

/** Others may have declared this incarnation dead, and have forgotten since what was deleted: what it has may be that. */
function away(): TribuneError {
  return new TribuneError("CONTEXTS_AWAY", "this node may have no place in the group any more, so it keeps nothing", { about: "contexts", next: "wait until the store answers again" });
}
