import type { StoreSession } from "../../store/index.ts";

/** The operations of the port; each is one statement. */
export type Operation = Exclude<keyof StoreSession, "ended" | "info" | "onHint" | "attend" | "close" | "destroy">;

/** What statements are of, for faults that wait for one: an operation of the port, or a step of a connection or of a fenced transaction. */
export type StatementKind = Operation | "open" | "close" | "guard" | "commit" | "attend";

/** What the store is to the network. */
export const STORE_PLACE = "store";
