import type { KeyObject } from "node:crypto";
import type { ArtifactSource } from "./artifact-source.ts";
import type { MemberOutcome } from "./status.ts";

/** How a change is made. */
export interface ChangeOptions {
  /** How long all members have to fetch, prepare and vote, in milliseconds. Default: the farm's. */
  readonly prepareMs?: number;
  /** In waves: so many members at a time, or one zone (`metadata.zone`) after the other, each waited for until it is healthy, for up to `waveMs` (default: the farm's `activateMs`). Default: all at once. */
  readonly rolling?: { readonly by: number | "zone"; readonly waveMs?: number };
  /** Calls the change off, while it is not decided. */
  readonly signal?: AbortSignal;
}

/** What is deployed. */
export interface DeployOptions extends ChangeOptions {
  /** 1 to 100 letters, digits, `.`, `_`, `-`. */
  readonly name: string;
  /** Likewise. A version names one artifact. */
  readonly version: string;
  readonly artifact: ArtifactSource;
  /** JSON for the handler, up to 16 KiB. Default `null`. */
  readonly config?: unknown;
  /** An Ed25519 private key (PEM, or a key object) to sign with. */
  readonly signWith?: string | KeyObject;
}

/** How to go back. */
export interface RollbackOptions extends ChangeOptions {
  /** One of the last five. Default: the one before this one, and after an undeployment the one that was there. */
  readonly version?: string | null;
}

/** How something is removed. */
export type UndeployOptions = Pick<ChangeOptions, "signal">;

/** How a change has ended, with one row for each member. */
export interface ChangeReport {
  readonly name: string;
  readonly version: string;
  /** Every member has applied it. */
  readonly ok: boolean;
  readonly members: readonly MemberOutcome[];
}
