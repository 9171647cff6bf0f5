/**
 * What `tribune lead` and the guard of its command say to each other, over the channel that Node makes for a forked process. The channel's end is a message
 * too: the one who sees it knows that the other is dead.
 */

/** For how long the command may go on. Counted from `sentWallMs`, so that a message that lay unread does not promise too much. */
export interface TrustGrant {
  readonly leftMs: number;
  readonly sentWallMs: number;
}

export type ToGuard =
  | {
      readonly type: "start";
      readonly command: string;
      readonly args: readonly string[];
      /** Added to the environment. */
      readonly env: Readonly<Record<string, string>>;
      readonly stopBudgetMs: number;
      readonly trust: TrustGrant;
    }
  | { readonly type: "trust"; readonly trust: TrustGrant }
  /** The term ends: send `signal` now, and SIGKILL when `withinMs` are over. */
  | { readonly type: "stop"; readonly signal: NodeJS.Signals; readonly within: TrustGrant }
  | { readonly type: "kill" }
  /** Pass this signal on. `wide`: to all processes of the command, otherwise to the first alone. */
  | { readonly type: "forward"; readonly signal: NodeJS.Signals; readonly wide: boolean };

/** Who ended the command: nobody but itself, an order to stop, the trust that ran out, or the death of `tribune lead`. */
export type EndedBy = "itself" | "stop" | "trust" | "orphaned";

export type FromGuard =
  | { readonly type: "spawned"; readonly pid: number }
  /** It could not be started; `code` is the system's, such as ENOENT. */
  | { readonly type: "failed"; readonly code: string; readonly message: string }
  /** Neither the command nor anything that it left behind in its process group runs any more. */
  | { readonly type: "ended"; readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly by: EndedBy; readonly killed: boolean };

/** What is left of a grant when it is read. */
export function grantLeftMs(grant: TrustGrant, wallMs: number): number {
  return grant.leftMs - Math.max(0, wallMs - grant.sentWallMs);
}
