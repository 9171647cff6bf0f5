import { isoTime, TribuneError } from "../kernel/index.ts";
import type { EventPage, EventType, StoredEvent } from "../store/index.ts";

/** Something that happened in a group, as the store recorded it. Plain data. */
export interface EventRecord {
  /** Gap-free within one server epoch. */
  readonly sequence: number;
  /** ISO 8601, by the store's clock. */
  readonly at: string;
  readonly type: EventType;
  /** The node, election or group that it is about. */
  readonly subject: string;
  /** Tokens are decimal strings. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Events of a group's record after a cursor. */
export interface EventsPage {
  /** The oldest first. */
  readonly events: readonly EventRecord[];
  /** How many events after the cursor had been forgotten before they were read. */
  readonly skipped: number;
  /** Pass it as `after` to read on. */
  readonly cursor: number;
  /** The sequence number of the newest event there is. */
  readonly newest: number;
}

/** One portion of a stream of events. */
export interface EventsBatch extends EventsPage {
  /** The store has gone back behind the cursor, as a failover that loses commits does: what came before counts no more. */
  readonly restarted: boolean;
}

export function presentEvent(event: StoredEvent): EventRecord {
  const detail = Object.fromEntries(Object.entries(event.detail).map(([key, value]) => [key, key === "token" && typeof value === "number" ? String(value) : value]));
  return { sequence: event.sequence, at: isoTime(event.atMs), type: event.type, subject: event.subject, detail };
}

/** The page for a reader who asked for what comes after `after`. */
export function presentPage(page: EventPage, after: number): EventsPage {
  return { events: page.events.map(presentEvent), skipped: page.skipped, cursor: page.events.at(-1)?.sequence ?? Math.max(after, 0), newest: page.newest };
}

/** Whether the cursor is from a history that the store no longer has. */
export function isBehind(page: EventPage, after: number): boolean {
  return page.newest < after;
}

export function cursorExpired(after: number, newest: number): TribuneError {
  return new TribuneError("CURSOR_EXPIRED", `the store's newest event is ${newest}, before the cursor ${after}: it has gone back since`, { about: "events", next: "read again without a cursor" });
}
