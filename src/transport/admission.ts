import { FORMAT_VERSION } from "./frames.ts";
import type { Hello, ToldRefusal, Welcome } from "./hello.ts";
import type { KnownPeer, PeerIdentity } from "./transport.ts";

/** The oldest version that this code speaks. */
export const OLDEST_VERSION = 1;

/** Who is dialled. */
export interface Self extends PeerIdentity {
  readonly group: string;
}

/** What there is with the peer already when it dials. */
export type Standing =
  | { readonly kind: "none" }
  /** This side dials too; `saidHello`: the other side may have taken that one already. */
  | { readonly kind: "dialling"; readonly saidHello: boolean }
  | { readonly kind: "up"; readonly connectionId: string };

/** Whether a dialler is let in; and what ends for it: the connection that there is, or the dial of this side. */
export type Admission = { readonly refuse: ToldRefusal } | { readonly refuse?: never; readonly version: number; readonly ends: "connection" | "dial" | "nothing" };

/**
 * Decides about a hello. Each side knows by the same rule which of two connections remains:
 * - A connection that the dialler has seen end (its `lostId`) is replaced; any other one that is in place stays. The dialler learns of every connection before this side counts it as one, so that it would have named it.
 * - `speaksFor`, where there is a certificate that says so, is the only node that the dialler may be.
 * - Of two dials whose hellos are under way, the one by the smaller incarnation remains.
 */
export function admit(hello: Hello, self: Self, known: KnownPeer | undefined, standing: Standing, speaksFor?: string): Admission {
  if (hello.oldestVersion > FORMAT_VERSION || hello.newestVersion < OLDEST_VERSION) return { refuse: "version" };
  if (hello.group !== self.group) return { refuse: "wrong-group" };
  if (hello.to !== self.incarnation) return { refuse: "not-here" };
  if (known === undefined || hello.incarnation === self.incarnation) return { refuse: "unknown-peer" };
  if (speaksFor !== undefined && speaksFor !== hello.node) return { refuse: "wrong-identity" };
  if (known.incarnation !== hello.incarnation || known.node !== hello.node || (known.address !== undefined && known.address !== hello.address)) return { refuse: "wrong-identity" };
  const version = Math.min(hello.newestVersion, FORMAT_VERSION);
  if (standing.kind === "up") return standing.connectionId === hello.lostId ? { version, ends: "connection" } : { refuse: "duplicate" };
  if (standing.kind === "none") return { version, ends: "nothing" };
  return standing.saidHello && self.incarnation < hello.incarnation ? { refuse: "duplicate" } : { version, ends: "dial" };
}

/** Whether who answered is who was dialled; if not, why not, as a clause. */
export function recognize(welcome: Welcome, peer: PeerIdentity, group: string, speaksFor?: string): string | undefined {
  if (speaksFor !== undefined && speaksFor !== peer.node) return "the certificate there speaks for another node";
  if (welcome.group !== group) return "another group answered";
  if (welcome.incarnation !== peer.incarnation || welcome.node !== peer.node) return "another member answered";
  if (welcome.version < OLDEST_VERSION || welcome.version > FORMAT_VERSION) return "the answer was in a version that was not offered";
  return undefined;
}
