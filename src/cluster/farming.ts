import type { GroupChannel } from "../channel/index.ts";
import type { Elector } from "../election/index.ts";
import { Farm } from "../farm/index.ts";
import type { FarmOptions } from "../farm/index.ts";
import type { Clock, ListenerErrorHandler, Logger, Random } from "../kernel/index.ts";
import type { Membership } from "../membership/index.ts";
import type { Presence } from "../presence/index.ts";

/** The rooms that a farm is wired to. */
export interface FarmingPorts<Tx> {
  readonly presence: Presence;
  readonly membership: Membership;
  readonly coordinator: Elector<Tx>;
  readonly channel: GroupChannel;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onListenerError: ListenerErrorHandler;
}

/** The farm of one node among the other rooms: documents by its session, views from the membership, and the coordinator's term as its fence. */
export function newFarm<Tx>(options: FarmOptions, { presence, membership, coordinator, ...rest }: FarmingPorts<Tx>): Farm {
  return new Farm(
    {
      ...rest,
      node: presence.node,
      incarnation: () => presence.incarnation,
      observer: presence.isObserver,
      view: () => membership.view,
      onView: (listener) => membership.events.on("view", listener),
      fence: () => {
        const { term } = coordinator;
        return term?.mayAct() === true ? { election: term.election, token: term.token, incarnation: term.incarnation } : undefined;
      },
      documents: {
        list: (prefix) => presence.perform((session, call) => session.listDocuments({ prefix }, call)),
        read: (name) => presence.perform((session, call) => session.readDocument({ name }, call)),
        write: (input) => presence.perform((session, call) => session.writeDocument(input, call)),
        remove: (input) => presence.perform((session, call) => session.removeDocument(input, call)),
        onHint: (listener) => presence.events.on("document", ({ name }) => listener(name)),
      },
    },
    options,
  );
}
