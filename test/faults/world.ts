import type { FaultKind } from "./catalogue.ts";

/** What a link does to what goes over it. Nothing given: it carries everything at once. */
export interface Weather {
  /** Which way nothing gets through; nobody is told. `requests` go to the server. */
  readonly cut?: "both" | "requests" | "replies";
  /** Each way. */
  readonly delayMs?: number;
  /** Each packet is as much as this earlier or later. */
  readonly jitterMs?: number;
  readonly lossPercent?: number;
}

/** A program and its arguments that turn themselves into what follows; empty where nothing is needed. */
export type Through = readonly string[];

/** Where servers and nodes run, and what is between them. */
export interface World {
  readonly kind: "namespaces" | "loopback";
  /** Safe to print. */
  readonly label: string;
  /** What cannot be done here, each with the reason. */
  readonly lacks: ReadonlyMap<FaultKind, string>;
  /** The address that servers listen on; of an ensemble that of its first member. */
  readonly serverHost: string;
  /** The address of each member of an ensemble. */
  memberHost(member: number): string;
  /** The addresses that nodes come from, as CIDR. */
  readonly nodesFrom: string;
  /** How a process comes to be where that node is, or the servers, or the crowd. */
  through(place: string): Through;
  /** How a node reaches what listens on that port of the servers' address, or of that member's. */
  addressOf(node: string, port: number, member?: number): Promise<{ readonly host: string; readonly port: number }>;
  /** Makes the weather between a node and the servers, until the next call. */
  disturb(node: string, weather: Weather): Promise<void>;
  /** Cuts these places off from all others, or mends that; what the weather of their links was is forgotten. */
  isolate?(places: readonly string[], isCut: boolean): Promise<void>;
  /** Removes everything that was made. May be called twice. */
  close(): Promise<void>;
}

/** The place of all servers; of an ensemble that of its first member. */
export const SERVERS = "server";

/** The place of a member of an ensemble. */
export function memberPlace(member: number): string {
  return member === 0 ? SERVERS : `${SERVERS}${member + 1}`;
}

/** The place of the nodes that come in a crowd. */
export const CROWD = "crowd";
