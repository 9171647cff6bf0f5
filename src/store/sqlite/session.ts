import { Events, TribuneError } from "../../kernel/index.ts";
import type { Clock, Logger, Random } from "../../kernel/index.ts";
import { checkDocumentName, checkDocumentPrefix, checkDocumentText, SessionGate } from "../index.ts";
import type {
  AttendInput,
  BeatInput,
  BeatReply,
  Call,
  CandidacyInput,
  CandidateRow,
  ClaimInput,
  ClaimResult,
  DeclareDeadInput,
  DocumentRow,
  EventPage,
  EvictInput,
  GroupReading,
  Hint,
  JoinInput,
  JoinResult,
  LookInput,
  LookReply,
  MemberRow,
  PassFenceInput,
  PauseInput,
  PublishViewInput,
  RemoveDocumentInput,
  RequestResignInput,
  ResignInput,
  SessionInfo,
  StoredDocument,
  StoreSession,
  WriteDocumentInput,
} from "../index.ts";
import { attendLocks } from "./attend.ts";
import type { Connection } from "./connection.ts";
import { isBusy, leavesSessionUsable, mapSqliteError, storeBusy } from "./errors.ts";
import type { Evidence } from "./evidence.ts";
import type { DatabaseFiles } from "./file.ts";
import { HintFile } from "./hints.ts";
import type { Operations } from "./operations.ts";
import { patienceWithinMs, Turns } from "./turns.ts";

/** How long `passFence` waits for a busy file before it says so: beats wait behind it. */
const FENCE_PATIENCE_MS = 50;

/** What the provider has opened, for the session to use and to end. */
export interface SessionParts {
  readonly label: string;
  readonly path: string;
  readonly hintPath: string;
  readonly group: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly connection: Connection;
  readonly files: DatabaseFiles;
  readonly operations: Operations;
  readonly evidence: Evidence;
  readonly serverVersion: string;
  readonly warnings: readonly string[];
}

interface RunOptions<T> {
  /** What others should hear of, if the result says that something changed. */
  readonly hint?: (result: T) => Hint | undefined;
  /** The answer when the file was busy all the time. Default: `STORE_BUSY`. */
  readonly whenBusy?: () => T;
  readonly patienceMs?: number;
}

/** The operations in the order of their calls, each within its deadline; the hints; and the end, which comes once. */
export class SqliteSession implements StoreSession {
  readonly #parts: SessionParts;
  readonly #gate: SessionGate;
  readonly #turns: Turns;
  readonly #hintFile: HintFile;
  readonly #events: Events<{ hint: Hint }>;
  #deaf: string | undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#turns = new Turns(parts.random);
    this.#gate = new SessionGate({ clock: parts.clock, label: parts.label, onEnd: () => this.#letGo() });
    this.#events = new Events((error) => parts.logger.error({ store: parts.label, error: String(error) }, "a listener for hints failed"));
    this.#hintFile = new HintFile({
      path: parts.hintPath,
      group: parts.group,
      onHints: (hints) => this.#tell(hints),
      onMissed: () => this.#tell(this.#everything()),
      onDeaf: (error) => this.#becomeDeaf(error),
    });
    this.#hintFile.start();
  }

  get ended(): AbortSignal {
    return this.#gate.ended;
  }

  get info(): SessionInfo {
    const { serverVersion, warnings, evidence } = this.#parts;
    return { serverVersion, hints: this.#deaf === undefined, warnings: this.#deaf === undefined ? warnings : [...warnings, this.#deaf], evidence: evidence.info };
  }

  onHint(listener: (hint: Hint) => void): () => void {
    return this.#events.on("hint", listener);
  }

  join(input: JoinInput, call: Call): Promise<JoinResult> {
    return this.#run("join", call, (operations) => operations.join(input), { hint: ({ outcome }) => (outcome === "joined" ? { kind: "presence" } : undefined) });
  }

  beat(input: BeatInput, call: Call): Promise<BeatReply> {
    return this.#run("beat", call, (operations) => operations.beat(input));
  }

  look(input: LookInput, call: Call): Promise<LookReply> {
    return this.#run("look", call, (operations) => operations.look(input));
  }

  leave(input: { readonly incarnation: string }, call: Call): Promise<boolean> {
    return this.#run("leave", call, (operations) => operations.leave(input), { hint: presenceIf });
  }

  declareDead(input: DeclareDeadInput, call: Call): Promise<boolean> {
    return this.#run("declareDead", call, (operations) => operations.declareDead(input), { hint: presenceIf, whenBusy: () => false });
  }

  updateMetadata(input: { readonly incarnation: string; readonly metadata: string }, call: Call): Promise<boolean> {
    return this.#run("updateMetadata", call, (operations) => operations.updateMetadata(input), { hint: presenceIf });
  }

  evict(input: EvictInput, call: Call): Promise<boolean> {
    return this.#run("evict", call, (operations) => operations.evict(input), { hint: presenceIf });
  }

  /** Needs no turn: reading waits for nobody. */
  attend({ incarnations, signal }: AttendInput): Promise<void> {
    const { clock, evidence } = this.#parts;
    const over = AbortSignal.any([signal, this.ended]);
    return attendLocks({ clock, over, readKeys: () => this.#keysOf(incarnations), isFree: (key) => evidence.isFree(key) });
  }

  async createElection(input: { readonly election: string }, call: Call): Promise<void> {
    await this.#run("createElection", call, (operations) => operations.createElection(input), { hint: electionIf(input) });
  }

  claim(input: ClaimInput, call: Call): Promise<ClaimResult | null> {
    return this.#run("claim", call, (operations) => operations.claim(input), { hint: electionIf(input), whenBusy: () => null });
  }

  passFence(input: PassFenceInput, call: Call): Promise<"passed" | "busy" | "superseded"> {
    return this.#run("passFence", call, (operations): "passed" | "busy" | "superseded" => operations.passFence(input), { whenBusy: () => "busy", patienceMs: FENCE_PATIENCE_MS });
  }

  resign(input: ResignInput, call: Call): Promise<boolean> {
    return this.#run("resign", call, (operations) => operations.resign(input), { hint: electionIf(input) });
  }

  requestResign(input: RequestResignInput, call: Call): Promise<boolean> {
    return this.#run("requestResign", call, (operations) => operations.requestResign(input), { hint: electionIf(input) });
  }

  pause(input: PauseInput, call: Call): Promise<boolean> {
    return this.#run("pause", call, (operations) => operations.pause(input), { hint: electionIf(input) });
  }

  resume(input: { readonly election: string; readonly by: string }, call: Call): Promise<boolean> {
    return this.#run("resume", call, (operations) => operations.resume(input), { hint: electionIf(input) });
  }

  async setCandidacy(input: CandidacyInput, call: Call): Promise<boolean> {
    const { done } = await this.#run("setCandidacy", call, (operations) => operations.setCandidacy(input), { hint: ({ ranked }) => electionIf(input)(ranked) });
    return done;
  }

  readCandidates(input: { readonly election: string }, call: Call): Promise<readonly CandidateRow[]> {
    return this.#run("readCandidates", call, (operations) => operations.readCandidates(input));
  }

  readMembers(input: { readonly incarnations: readonly string[] }, call: Call): Promise<readonly MemberRow[]> {
    return this.#run("readMembers", call, (operations) => operations.readMembers(input));
  }

  publishView(input: PublishViewInput, call: Call): Promise<boolean> {
    return this.#run("publishView", call, (operations) => operations.publishView(input), { hint: (stored) => (stored ? { kind: "view" } : undefined), whenBusy: () => false });
  }

  async readDocument(input: { readonly name: string }, call: Call): Promise<StoredDocument | null> {
    checkDocumentName(input.name);
    return await this.#run("readDocument", call, (operations) => operations.readDocument(input));
  }

  async writeDocument(input: WriteDocumentInput, call: Call): Promise<boolean> {
    checkDocumentText(checkDocumentName(input.name), input.text);
    return await this.#run("writeDocument", call, (operations) => operations.writeDocument(input), { hint: documentIf(input), whenBusy: () => false });
  }

  async removeDocument(input: RemoveDocumentInput, call: Call): Promise<boolean> {
    checkDocumentName(input.name);
    return await this.#run("removeDocument", call, (operations) => operations.removeDocument(input), { hint: documentIf(input), whenBusy: () => false });
  }

  async listDocuments(input: { readonly prefix: string }, call: Call): Promise<readonly DocumentRow[]> {
    checkDocumentPrefix(input.prefix);
    return await this.#run("listDocuments", call, (operations) => operations.listDocuments(input));
  }

  readEvents(input: { readonly after: number; readonly limit: number }, call: Call): Promise<EventPage> {
    return this.#run("readEvents", call, (operations) => operations.readEvents(input));
  }

  readGroup(call: Call): Promise<GroupReading | null> {
    return this.#run("readGroup", call, (operations) => operations.readGroup());
  }

  close(): Promise<void> {
    this.#gate.end(new TribuneError("STORE_SESSION_ENDED", "the session was closed", { about: this.#parts.label }));
    return Promise.resolve();
  }

  destroy(reason: Error): void {
    this.#gate.end(reason);
  }

  #run<T>(operation: string, call: Call, work: (operations: Operations) => T, options: RunOptions<T> = {}): Promise<T> {
    const { clock, path } = this.#parts;
    const patienceMs = Math.min(patienceWithinMs(call.deadlineMs), options.patienceMs ?? Infinity);
    const whenBusy = (cause: unknown): T => {
      if (options.whenBusy !== undefined) return options.whenBusy();
      throw storeBusy(operation, path, cause);
    };
    return this.#gate.run(operation, call, () => this.#turns.run(() => this.#attempt(operation, work, options), { clock, giveUpAfterMs: patienceMs, whenBusy }));
  }

  /** What they are armed with; `undefined` if the file is busy even for readers, as it is for a moment after a process died in it. */
  #keysOf(incarnations: readonly string[]): readonly string[] | undefined {
    const { operations, path } = this.#parts;
    try {
      return operations.evidenceKeysOf(incarnations);
    } catch (error) {
      if (isBusy(error)) return undefined;
      throw mapSqliteError(error, "attend", path);
    }
  }

  /** One try. Throws a busy error as it is, for the next try. */
  #attempt<T>(operation: string, work: (operations: Operations) => T, options: RunOptions<T>): T {
    let result: T;
    try {
      result = work(this.#parts.operations);
    } catch (error) {
      this.#assertSameFile();
      if (isBusy(error)) throw error;
      const mapped = mapSqliteError(error, operation, this.#parts.path);
      if (!leavesSessionUsable(mapped)) this.#gate.end(mapped);
      throw mapped;
    }
    this.#assertSameFile();
    const hint = options.hint?.(result);
    if (hint !== undefined) this.#hintFile.write(hint);
    return result;
  }

  /** Asked after the work, not before: what was read or written in a file that the others have left is no answer. */
  #assertSameFile(): void {
    const replaced = this.#parts.files.replaced();
    if (replaced === undefined) return;
    this.#gate.end(replaced);
    throw replaced;
  }

  #tell(hints: readonly Hint[]): void {
    for (const hint of hints) {
      if (!this.ended.aborted) this.#events.emit("hint", hint);
    }
  }

  #everything(): readonly Hint[] {
    const { operations } = this.#parts;
    const elections = this.#named(() => operations.electionNames());
    const documents = this.#named(() => operations.listDocuments({ prefix: "" }).map(({ name }) => name));
    return [{ kind: "view" }, { kind: "presence" }, ...elections.map((election): Hint => ({ kind: "election", election })), ...documents.map((name): Hint => ({ kind: "document", name }))];
  }

  #named(names: () => readonly string[]): readonly string[] {
    try {
      return names();
    } catch {
      return []; // the hints only save time; the next operation meets the same trouble and says so
    }
  }

  #becomeDeaf(error: unknown): void {
    const { hintPath, label, logger } = this.#parts;
    this.#deaf = `changes are seen with the next beat only, since ${hintPath} cannot be watched (${error instanceof Error ? error.message : String(error)}); make it a file that this user may write, or raise the limit of inotify watches`;
    logger.warn({ store: label }, this.#deaf);
  }

  #letGo(): void {
    this.#hintFile.stop();
    this.#turns.stop(new TribuneError("STORE_SESSION_ENDED", `the connection to ${this.#parts.label} has ended`, { about: this.#parts.label, cause: this.ended.reason }));
    this.#parts.evidence.end({ named: this.#evidenceIsNamed() }); // only now: whoever trusts it has been told by `ended`
    this.#parts.connection.close();
  }

  #evidenceIsNamed(): boolean {
    const { evidence, operations } = this.#parts;
    if (evidence.key === null) return false;
    try {
      return operations.isNamed(evidence.key);
    } catch {
      return true; // a file too many does less harm than one too few
    }
  }
}

function presenceIf(changed: boolean): Hint | undefined {
  return changed ? { kind: "presence" } : undefined;
}

function documentIf({ name }: { readonly name: string }): (changed: boolean) => Hint | undefined {
  return (changed) => (changed ? { kind: "document", name } : undefined);
}

function electionIf(input: { readonly election: string }): (result: unknown) => Hint | undefined {
  return (result) => (result === false || result === null ? undefined : { kind: "election", election: input.election });
}
