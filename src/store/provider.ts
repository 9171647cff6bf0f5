import type { Clock, Logger, Random } from "../kernel/index.ts";

/**
 * The port between the rooms of Tribune and a place that keeps coordination state. `contract.md`, beside this file,
 * says for each operation what is atomic, whose clock counts, when it answers `false` and when it throws; the
 * conformance suite in `tribune/testing` checks all of it. Read the contract before writing a provider.
 */
export interface StoreProvider<Tx = unknown> {
  /** "memory", "sqlite", "postgres": for people and logs. Rooms never branch on it. */
  readonly kind: string;
  /** Where it points, safe to print: no password. */
  readonly label: string;
  readonly capabilities: StoreCapabilities;
  /** Opens a session: one connection of the node's own. Making the provider does no I/O; this is the first. */
  open(context: OpenContext): Promise<StoreSession>;
  /** Transactions on the user's own driver that commit only while a term stands. */
  readonly fenced: FencedTransactions<Tx>;
  readonly schema: SchemaAdmin;
  /**
   * Looks at server, way and privileges for `tribune doctor`: on connections of its own, also without a schema, changing nothing. Rejects with a coded error only where the store cannot be
   * reached; everything else that is wrong is a finding.
   */
  diagnose?(context: DiagnoseContext): Promise<readonly Finding[]>;
  /** Ends what the provider made for itself (not what the user handed in). May be called twice. */
  close(): Promise<void>;
}

/** What a kind of store can do, as data: rooms ask this, never which provider it is. */
export interface StoreCapabilities {
  /** Pushes hints, so that changes are seen before the next beat. */
  readonly hints: boolean;
  /** `term.transaction` runs an asynchronous function; otherwise the function must be synchronous. */
  readonly asyncTransactions: boolean;
  /** The server ends a fenced transaction whose process froze, so that a successor does not wait for it. */
  readonly boundsFrozenTransactions: boolean;
  /**
   * The commit of a fenced transaction compares the fence itself, at the instant of its writes: so an open one holds up no successor, and is `TERM_LOST` when it comes to its commit after
   * one has passed. Absent: an open transaction holds the fence where it is until it ends.
   */
  readonly fencesAtCommit?: boolean;
  /** Nodes on different hosts may share this store. */
  readonly manyHosts: boolean;
  /**
   * The store has evidence of death: something that a session holds and that is free once its process is gone. `graceMs` is how long an observer waits between two looks
   * at it, so that a process that lives has heard meanwhile that its session ended. `null`: only silence tells.
   */
  readonly evidence: { readonly graceMs: number } | null;
}

/** What a provider is handed to open a session with. */
export interface OpenContext {
  readonly group: string;
  /** Names the connection on the server, for the people who look there. */
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** For the whole of opening, in milliseconds from now. */
  readonly deadlineMs: number;
  /** The longest that a statement may go on working in the server after its caller gave up, in milliseconds. */
  readonly statementLimitMs: number;
  /** Whether a missing or older schema is made or brought up to date. */
  readonly createSchema: boolean;
  /**
   * The session is to hold evidence of life, if everything about it shows that nothing frees it before a lease of `leaseMs` is over while the process lives;
   * `info.evidence` says whether it does. Absent: it holds none.
   */
  readonly evidence?: { readonly leaseMs: number } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Given to every operation. One that misses its deadline ends the session: what it still does is unknown. */
export interface Call {
  /** Milliseconds from now. */
  readonly deadlineMs: number;
}

/**
 * One connection to the store. Operations may be called side by side; a provider with one connection runs them in
 * the order of the calls. After `ended` has been aborted every operation rejects with `STORE_SESSION_ENDED`.
 */
export interface StoreSession {
  /** Aborted, with a coded reason, when the session can no longer be used: closed, cut, timed out, replaced. */
  readonly ended: AbortSignal;
  /** What `status` and `doctor` tell about the connection. */
  readonly info: SessionInfo;
  /** Calls `listener` when something may have changed. Hints may be lost, doubled or late; never trust one. */
  onHint(listener: (hint: Hint) => void): () => void;

  join(input: JoinInput, call: Call): Promise<JoinResult>;
  beat(input: BeatInput, call: Call): Promise<BeatReply>;
  look(input: LookInput, call: Call): Promise<LookReply>;
  leave(input: { readonly incarnation: string }, call: Call): Promise<boolean>;
  declareDead(input: DeclareDeadInput, call: Call): Promise<boolean>;
  updateMetadata(input: { readonly incarnation: string; readonly metadata: string }, call: Call): Promise<boolean>;
  evict(input: EvictInput, call: Call): Promise<boolean>;
  attend(input: AttendInput): Promise<void>;

  createElection(input: { readonly election: string }, call: Call): Promise<void>;
  claim(input: ClaimInput, call: Call): Promise<ClaimResult | null>;
  passFence(input: PassFenceInput, call: Call): Promise<"passed" | "busy" | "superseded">;
  resign(input: ResignInput, call: Call): Promise<boolean>;
  requestResign(input: RequestResignInput, call: Call): Promise<boolean>;
  pause(input: PauseInput, call: Call): Promise<boolean>;
  resume(input: { readonly election: string; readonly by: string }, call: Call): Promise<boolean>;
  setCandidacy(input: CandidacyInput, call: Call): Promise<boolean>;
  readCandidates(input: { readonly election: string }, call: Call): Promise<readonly CandidateRow[]>;

  readMembers(input: { readonly incarnations: readonly string[] }, call: Call): Promise<readonly MemberRow[]>;
  publishView(input: PublishViewInput, call: Call): Promise<boolean>;

  readDocument(input: { readonly name: string }, call: Call): Promise<StoredDocument | null>;
  writeDocument(input: WriteDocumentInput, call: Call): Promise<boolean>;
  removeDocument(input: RemoveDocumentInput, call: Call): Promise<boolean>;
  listDocuments(input: { readonly prefix: string }, call: Call): Promise<readonly DocumentRow[]>;

  readEvents(input: { readonly after: number; readonly limit: number }, call: Call): Promise<EventPage>;
  readGroup(call: Call): Promise<GroupReading | null>;

  /** Ends the session in good order. */
  close(): Promise<void>;
  /** Ends the session at once, whatever is going on in it. */
  destroy(reason: Error): void;
}

/** A session's description of itself, for `status` and for logs. */
export interface SessionInfo {
  /** The server's own words about its version. */
  readonly serverVersion: string;
  /** Whether hints reach this session. */
  readonly hints: boolean;
  /** Why not, or what else is less than it could be; each a sentence that ends with the next step. */
  readonly warnings: readonly string[];
  readonly evidence: SessionEvidence;
}

/** Whether a session holds evidence of life. While it does, the process must count its session's end as its own: others do. */
export interface SessionEvidence {
  readonly held: boolean;
  /** What was found, as a clause: "the presence lock is held on a direct session", "a pooler stands between, …". */
  readonly why: string;
}

/** What may have changed: the view, someone's presence, an election, or a document. */
export type Hint = { readonly kind: "view" } | { readonly kind: "presence" } | { readonly kind: "election"; readonly election: string } | { readonly kind: "document"; readonly name: string };

// ---- presence ------------------------------------------------------------------------------------------------

/** A new incarnation asks to be in the group. */
export interface JoinInput {
  readonly incarnation: string;
  readonly node: string;
  readonly leaseMs: number;
  /** JSON text. */
  readonly metadata: string;
  /** What must agree in a whole group; the first member sets it. */
  readonly settings: string;
  /**
   * The highest generation of this group that the caller has seen; 0 or absent if none. If it has seen one and there is no group, the store has lost it: it is made anew with
   * a later one, and nothing in it is free for the taking.
   */
  readonly generation?: number;
  /** It takes part, but is nobody's coordinator and does not count towards a minimum of members. Default: not so. */
  readonly observer?: boolean;
}

/** What became of a join. Only `joined` wrote anything. */
export type JoinResult =
  | { readonly outcome: "joined"; readonly joinOrder: number; /** In which it was alive when this was answered. */ readonly epoch: string }
  /** Another incarnation that is not dead goes by this node's name. */
  | { readonly outcome: "name-taken"; readonly by: PresenceRow }
  | { readonly outcome: "settings-mismatch"; readonly settings: string };

/** What the caller knows already, so that the store tells only what is new. */
export interface Cursor {
  /** The epoch of the reply that the versions are from; `""` at first. A beat counts in no other one; with `""` in any. */
  readonly epoch: string;
  readonly electionsVersion: number;
  readonly viewVersion: number;
}

/** What the caller knows, and whom it watches. */
export interface LookInput {
  readonly cursor: Cursor;
  /** Incarnations whose presence rows to show, or everybody's. */
  readonly watch: "all" | readonly string[];
}

/** A beat: a look that also renews the sender's lease. */
export interface BeatInput extends LookInput {
  readonly incarnation: string;
  /** Numbered by the sender; larger than any number it sent before. */
  readonly beat: number;
  /** The highest generation that the sender has seen. */
  readonly generation: number;
  /** The highest view number that the sender has seen. */
  readonly viewSeen: number;
}

/** What a look or a beat brings, as one consistent reading. */
export interface LookReply {
  /** The store's wall clock. */
  readonly storeTimeMs: number;
  /** Identity and timeline of the server that answered. */
  readonly epoch: string;
  readonly generation: number;
  readonly electionsVersion: number;
  /** Rows that changed since the cursor; all of them if the cursor is of another epoch. */
  readonly elections: readonly ElectionRow[];
  readonly viewVersion: number;
  /** The stored view if its number differs from the cursor's. */
  readonly view: StoredView | null;
  /** Rows of the watched incarnations; one that is not there has no row. */
  readonly presence: readonly PresenceRow[];
  /** The longest lease that any member of this group ever joined with. */
  readonly longestLeaseMs: number;
}

/** The answer to a beat. */
export interface BeatReply extends LookReply {
  /** Whether the beat was written. If not, it extends no trust. */
  readonly accepted: boolean;
  /** The state of the sender's own row after the beat. `evicted`: somebody has asked this incarnation to go; its beats are refused. */
  readonly self: "alive" | "dead" | "absent" | "evicted";
}

/** An incarnation's presence, without its metadata. */
export interface PresenceRow {
  readonly incarnation: string;
  readonly node: string;
  readonly state: "alive" | "dead";
  readonly beat: number;
  readonly leaseMs: number;
  /** Whether the lease has run out by the store's clock. Never enough by itself. */
  readonly expired: boolean;
  /** Milliseconds since the last beat by the store's clock. */
  readonly beatAgeMs: number;
  /** Grows with each join of the group: the smallest is the oldest member. */
  readonly joinOrder: number;
  readonly viewSeen: number;
  /** Grows with each change of the metadata. */
  readonly metadataVersion: number;
  readonly observer: boolean;
  /** Somebody has asked it to go, and its beats are refused. */
  readonly evicted: boolean;
  /**
   * Of one that is alive: `held` or `free` if its last beat was armed in the present epoch, that is: if its session held evidence then; `none` if not. A look of the instant at
   * which this was read.
   */
  readonly evidence: "none" | "held" | "free";
}

/** What the caller saw of the incarnation that it declares dead: nothing happens unless it is still so. */
export interface DeclareDeadInput {
  readonly incarnation: string;
  /** The last beat number that the caller saw. */
  readonly beat: number;
  /** The epoch in which it saw it. */
  readonly epoch: string;
  /** Also require that the lease has run out by the store's clock. */
  readonly requireExpired: boolean;
  /** Also require that its evidence is free, as this statement itself finds. */
  readonly requireFree?: boolean;
  /** The node that says so, for the event log. */
  readonly by: string;
  readonly reason: DeathReason;
}

/** Why a dead incarnation is dead: it was silent for a lease, or the store had evidence that its process is gone. */
export type DeathReason = "expired" | "crashed";

/** Whose evidence to wait for. `attend` is a hint to look, never proof. */
export interface AttendInput {
  readonly incarnations: readonly string[];
  readonly signal: AbortSignal;
}

/** A node that is to leave the group. */
export interface EvictInput {
  readonly node: string;
  /** Who asks, and why, for the record. */
  readonly by: string;
  readonly reason: string;
}

/** An incarnation with its metadata, for a view. */
export interface MemberRow {
  readonly incarnation: string;
  readonly node: string;
  readonly state: "alive" | "dead";
  /** JSON text. */
  readonly metadata: string;
  readonly metadataVersion: number;
  readonly joinOrder: number;
  /** The store's wall clock at the join. */
  readonly joinedAtMs: number;
  /** Why a dead one is dead. */
  readonly deadReason: "left" | DeathReason | null;
  readonly observer: boolean;
}

// ---- elections -----------------------------------------------------------------------------------------------

/** An election as the store has it. */
export interface ElectionRow {
  readonly election: string;
  readonly token: number;
  readonly holder: Holder | null;
  /** The epoch in which it was last claimed; `""` if it was made in a group that had already seen another epoch, or was lost before. */
  readonly epoch: string;
  /** The group's election version at the last change of this row. */
  readonly version: number;
  /** The token whose holder was asked to resign. */
  readonly resignRequested: number | null;
  /** The node for which it was asked to; `null` if for nobody in particular. */
  readonly resignRequestedFor: string | null;
  /** Who alone may claim a row that is free, for as long as it takes the others to wait `forMs` since they first saw that. */
  readonly reservation: Reservation | null;
  /** Nobody may claim it while this stands. */
  readonly paused: Pause | null;
  /** The holder's, or the last one's. */
  readonly priority: number;
  /** How long the holder's term is to be left alone by candidates of a higher priority. */
  readonly minimumTermMs: number;
  /** Whether anybody ever contended with a priority other than 0: then candidates look at each other before they claim. */
  readonly ranked: boolean;
  /** The store's wall clock at the last claim or resignation. */
  readonly changedAtMs: number;
}

/** A free row that is kept for one node. */
export interface Reservation {
  readonly node: string;
  readonly forMs: number;
}

/** Why nobody may claim an election at the moment. */
export interface Pause {
  readonly reason: string;
  readonly by: string;
  /** The store's wall clock. */
  readonly atMs: number;
}

/** One incarnation and its node. */
export interface Holder {
  readonly incarnation: string;
  readonly node: string;
}

/** What the claimant saw: nothing happens unless the token is still that. */
export interface ClaimInput {
  readonly election: string;
  readonly incarnation: string;
  readonly node: string;
  /** The token that the caller saw in the row. */
  readonly expectedToken: number;
  /** The epoch in which it saw it. */
  readonly epoch: string;
  /** The highest token of this election that the caller has ever seen. */
  readonly tokenSeen: number;
  /** Kept in the row while the term lasts. Default 0. */
  readonly priority?: number;
  /** Likewise. Default 0. */
  readonly minimumTermMs?: number;
  /** The caller has waited out the row's reservation for somebody else. */
  readonly overReservation?: boolean;
  /** The fence is to be passed in the same instant, if nothing holds it. */
  readonly andPass?: boolean;
}

/** The token of the term that was won; it is not to be announced before the fence is passed. */
export interface ClaimResult {
  readonly token: number;
  /** Whether the fence was passed too. If not, `passFence` is still to do. */
  readonly passed: boolean;
}

/** The claimed term that wants to pass the fence. */
export interface PassFenceInput {
  readonly election: string;
  readonly incarnation: string;
  readonly token: number;
  readonly epoch: string;
}

/** The term that is given up: nothing happens unless it is still held. */
export interface ResignInput {
  readonly election: string;
  readonly incarnation: string;
  readonly token: number;
  /** For the term history. */
  readonly reason: string;
  /** For whom the row is kept, and for how long. Default: for nobody. */
  readonly reservation?: Reservation | undefined;
}

/** A holder is asked to resign the term that has this token. */
export interface RequestResignInput {
  readonly election: string;
  readonly token: number;
  /** The node that is to have it then; default: whoever is first. */
  readonly for?: string | undefined;
}

/** Nobody may claim this election until it is resumed. */
export interface PauseInput {
  readonly election: string;
  readonly reason: string;
  readonly by: string;
}

/** An incarnation says that it contends for an election, and whether it is fit to; or that it does so no more. */
export interface CandidacyInput {
  readonly election: string;
  readonly incarnation: string;
  readonly candidacy: { readonly priority: number; readonly fit: boolean } | null;
}

/** Somebody alive who contends for an election. */
export interface CandidateRow {
  readonly incarnation: string;
  readonly node: string;
  readonly priority: number;
  /** Whether its probe says that it may lead. */
  readonly fit: boolean;
  readonly joinOrder: number;
}

// ---- membership ----------------------------------------------------------------------------------------------

/** The view as the store keeps it. `members` is in order of joining, the oldest first. */
export interface StoredView {
  readonly version: number;
  readonly members: readonly StoredMember[];
  readonly coordinator: Holder | null;
}

/** A member as a stored view has it. */
export interface StoredMember {
  readonly incarnation: string;
  readonly node: string;
  readonly metadata: unknown;
  readonly metadataVersion: number;
  readonly joinOrder: number;
  readonly joinedAtMs: number;
  /** Absent: it is not. */
  readonly observer?: true;
}

/** A new view, with the term under which it is published. */
export interface PublishViewInput {
  /** The publisher's token of the election `coordinator`. */
  readonly token: number;
  readonly incarnation: string;
  readonly epoch: string;
  /** The number of the stored view that the new one was made from. */
  readonly expectedVersion: number;
  readonly view: StoredView;
  readonly events: readonly NewEvent[];
  /** Dead presence rows that no election names and that died longer ago than this are removed. */
  readonly forgetDeadAfterMs: number;
}

/** The name of the built-in election whose holder publishes views. */
export const COORDINATOR = "coordinator";

// ---- documents -----------------------------------------------------------------------------------------------

/** A document as the store has it. It may hold secrets: never log it. */
export interface StoredDocument {
  /** Names this text of the document and no other one, also after it was removed and written again. Grows with each writing, not by one. */
  readonly version: number;
  readonly text: string;
}

/** A document without its text. */
export interface DocumentRow {
  readonly name: string;
  readonly version: number;
}

/** A new text: nothing happens unless the document still has the version that the caller saw. */
export interface WriteDocumentInput {
  readonly name: string;
  /** The version of which the new text was made; 0: there is no such document. */
  readonly expectedVersion: number;
  /** Up to `LARGEST_DOCUMENT_BYTES` of UTF-8, without NUL and without halves of surrogate pairs. */
  readonly text: string;
  /** Nothing happens unless this term stands, its fence included. */
  readonly fence?: DocumentFence | undefined;
}

/** A document that is to go: nothing happens unless it still has that version. */
export interface RemoveDocumentInput {
  readonly name: string;
  readonly expectedVersion: number;
  /** Nothing happens unless this term stands, its fence included. */
  readonly fence?: DocumentFence | undefined;
}

/** The term under which a document is written. */
export interface DocumentFence {
  readonly election: string;
  readonly token: number;
  readonly incarnation: string;
}

// ---- the record ----------------------------------------------------------------------------------------------

/** Something for the group's record. */
export interface NewEvent {
  readonly type: EventType;
  /** The node or election that it is about. */
  readonly subject: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** What the group's record knows of. */
export type EventType =
  | "member-joined"
  | "member-left"
  | "member-dead"
  | "member-updated"
  | "coordinator-changed"
  | "view-published"
  | "term-began"
  | "term-ended"
  | "declared-dead"
  | "resign-requested"
  | "election-paused"
  | "election-resumed"
  | "eviction-requested"
  | "epoch-changed";

/** An event with its place in the record. */
export interface StoredEvent extends NewEvent {
  /** Gap-free within one server epoch, in the order of commit. */
  readonly sequence: number;
  readonly atMs: number;
}

/** Events after a cursor. */
export interface EventPage {
  readonly events: readonly StoredEvent[];
  /** How many events between the cursor and the first one returned have been forgotten. */
  readonly skipped: number;
  /** The sequence number of the newest event there is; 0 if there never was one. */
  readonly newest: number;
}

/** A term in the history of an election. */
export interface TermRow {
  readonly election: string;
  readonly token: number;
  readonly node: string;
  readonly incarnation: string;
  readonly beganAtMs: number;
  readonly endedAtMs: number | null;
  readonly endReason: string | null;
}

/** One consistent reading of everything about a group, for people. */
export interface GroupReading {
  readonly storeTimeMs: number;
  readonly epoch: string;
  readonly generation: number;
  readonly schemaVersion: number;
  readonly settings: string;
  readonly view: StoredView | null;
  readonly presence: readonly PresenceRow[];
  readonly elections: readonly ElectionRow[];
  /** Of those that are alive. */
  readonly candidates: readonly (CandidateRow & { readonly election: string })[];
  readonly fences: readonly { readonly election: string; readonly token: number }[];
  /** The newest terms of each election, the newest first. */
  readonly terms: readonly TermRow[];
}

// ---- fenced transactions -------------------------------------------------------------------------------------

/** The term that a transaction is to be fenced by. */
export interface FenceHandle {
  readonly group: string;
  readonly election: string;
  readonly token: number;
  readonly leaseMs: number;
  readonly clock: Clock;
  /** Whether the holder may still act, asked again before the commit. */
  mayAct(): boolean;
  /** Aborted when the term is over. */
  readonly over: AbortSignal;
}

/** Transactions of the user's own driver that a stale leader cannot commit. */
export interface FencedTransactions<Tx> {
  /**
   * Runs `work` in a transaction of the user's own driver and commits it. Throws `TERM_LOST` with everything rolled
   * back if a later term has passed the fence, and `COMMIT_UNKNOWN` if the connection broke during the commit.
   */
  transaction<Result>(fence: FenceHandle, work: (tx: Tx) => Result | Promise<Result>): Promise<Result>;
  /** Puts the fence into a transaction that the user has begun. Throws `TERM_LOST` if a later term has passed it. */
  guard(fence: FenceHandle, tx: Tx): Promise<void>;
}

// ---- schema --------------------------------------------------------------------------------------------------

/** Making the schema, and bringing it up to date. */
export interface SchemaAdmin {
  /** The version that this code needs. */
  readonly version: number;
  /** The statements that bring a store from `from` (0: nothing there) to `version`, for people to read and run. */
  statements(from: number): readonly string[];
  /** What ends each of them where they are run from a file. Default ";". */
  readonly terminator?: string;
  /** What is in the store. */
  installed(context: OpenContext): Promise<InstalledSchema>;
  /** Brings the store up to date; returns what it did. Running it twice, or twice at once, does no harm. */
  migrate(context: OpenContext): Promise<{ readonly from: number; readonly to: number }>;
}

/** The schema that a store has. */
export interface InstalledSchema {
  /** 0 if there is none. */
  readonly version: number;
  /** The oldest version of the code that can work with it: a schema is first expanded, which old code does not notice, and contracted only when no old code runs any more. */
  readonly worksWith: number;
}

// ---- diagnosis -----------------------------------------------------------------------------------------------

/** What a diagnosis goes by. */
export interface DiagnoseContext extends OpenContext {
  /** How many nodes are alive in the group; 0 if there is no such group yet. */
  readonly nodes: number;
  /** The lease that nodes are to run with. */
  readonly leaseMs: number;
}

/** One thing that a diagnosis looked at, with what it measured. No text in it has a password. */
export interface Finding {
  /** What was looked at, in small letters and hyphens: "round-trip", "keep-alive". Stable, and there once in a diagnosis. */
  readonly check: string;
  /** `warn`: it works, and is less than it could be, or soon will be. `fail`: nodes cannot work so. */
  readonly level: "ok" | "warn" | "fail";
  /** What was found, as a clause, with the measured values. */
  readonly found: string;
  /** What to do about it, as a clause; there wherever the level is not `ok`. */
  readonly next?: string;
}
