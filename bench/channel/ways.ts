import type { Lines } from "./lines.ts";
import { dialMembers, listenMember } from "./ours.ts";
import type { CarrierName, Orders } from "./protocol.ts";
import { dialRaw, listenRaw } from "./raw.ts";

/** A kind of carrier. */
export interface Way {
  /** Begins to listen; `received` is called with each message of a broadcast. Resolves with the address for senders. */
  listen(orders: Orders, received: () => void): Promise<string>;
  dial(orders: Orders): Promise<Lines>;
}

/** How a carrier is used. Those of peers are loaded only here: their packages may be missing. */
export async function wayOf(carrier: CarrierName): Promise<Way> {
  if (carrier === "nats" || carrier === "moleculer") return (await import(`../peers/${carrier}.mjs`)) as Way;
  if (carrier.startsWith("tribes")) throw new Error(`${carrier} runs in processes of its own`);
  return carrier.startsWith("raw") ? { listen: listenRaw, dial: dialRaw } : { listen: listenMember, dial: dialMembers };
}
