import type { ChannelView, StateReport } from "../channel/index.ts";
import type { Clock, Logger, Random } from "../kernel/index.ts";
import type { Contexts } from "./contexts.ts";
import { DurableContexts } from "./durable.ts";
import type { ContextDocuments } from "./durable.ts";
import { NodeContexts } from "./node-contexts.ts";
import type { ContextsOptions } from "./options.ts";
import { Replication } from "./replication.ts";
import type { ContextsChannel } from "./replication.ts";

/** What replicated contexts stand on. */
export interface ReplicatedContextsPorts {
  readonly channel: ContextsChannel;
  /** For `durable: true`. */
  readonly documents: ContextDocuments;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The contexts of a node, and their life: for whoever wires them. */
export interface ReplicatedContexts {
  readonly contexts: Contexts;
  /** A new incarnation begins: before it obtains its states. */
  join(incarnation: string): void;
  /** Its states were obtained. Rejects with what the store rejects with, where the tree comes from there. */
  begin(reports: readonly StateReport[]): Promise<void>;
  /** The incarnation is a member no more. */
  leave(): void;
  setView(view: ChannelView): void;
  /** Keeps what is to be kept, for up to five seconds, and ends; what could not be kept is told by the event `error`. May be called twice. */
  stop(): Promise<void>;
}

/** Contexts that all members share. Throws `INVALID_OPTIONS`. */
export function replicatedContexts({ channel, documents, clock, random, logger }: ReplicatedContextsPorts, options: ContextsOptions = {}): ReplicatedContexts {
  const contexts = new NodeContexts({ clock, logger }, options);
  const { durable: isDurable, durableMs } = contexts.settings;
  const durable = isDurable
    ? new DurableContexts({
        documents,
        tree: () => contexts.trees.shared,
        clock,
        random,
        everyMs: durableMs,
        take: (changes) => contexts.take(changes),
        failed: (error) => contexts.failed(error, "the contexts could not be kept in the store"),
      })
    : undefined;
  const replication = new Replication({ contexts, channel, durable, clock, random, logger });
  return {
    contexts,
    join: (incarnation) => replication.join(incarnation),
    begin: (reports) => replication.begin(reports),
    leave: () => replication.leave(),
    setView: (view) => replication.setView(view),
    stop: () => replication.stop(),
  };
}
