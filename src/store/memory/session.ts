import { TribuneError } from "../../kernel/index.ts";
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
  OpenContext,
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
} from "../provider.ts";
import { SessionGate } from "../session-gate.ts";
import type { MemoryEngine } from "./engine.ts";

/** A session on the engine. Answers come a turn of the event loop later, as they would over a wire. */
export class MemorySession implements StoreSession {
  readonly info: SessionInfo;
  /** What beats are armed with; `undefined` if this session holds no evidence. */
  readonly evidenceKey: string | undefined;
  readonly #engine: MemoryEngine;
  readonly #group: string;
  readonly #gate: SessionGate;
  readonly #listeners = new Set<(hint: Hint) => void>();

  readonly #whenFree: (incarnations: readonly string[], signals: readonly AbortSignal[]) => Promise<void>;

  constructor(engine: MemoryEngine, context: OpenContext, ports: { readonly onEnd: () => void; readonly whenFree: (group: string, incarnations: readonly string[], signals: readonly AbortSignal[]) => Promise<void> }) {
    const { onEnd } = ports;
    this.#engine = engine;
    this.#group = context.group;
    this.evidenceKey = context.evidence === undefined ? undefined : context.random.id();
    const why = this.evidenceKey === undefined ? "this session was not asked to hold any" : "a session ends with its process";
    this.info = { serverVersion: "memory", hints: true, warnings: [], evidence: { held: this.evidenceKey !== undefined, why } };
    this.#whenFree = (incarnations, signals) => ports.whenFree(this.#group, incarnations, signals);
    this.#gate = new SessionGate({ clock: context.clock, label: "memory:", onEnd });
  }

  get ended(): AbortSignal {
    return this.#gate.ended;
  }

  onHint(listener: (hint: Hint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called by the provider when something changed in `group`. */
  hint(group: string, hint: Hint): void {
    if (group !== this.#group) return;
    queueMicrotask(() => {
      if (!this.ended.aborted) for (const listener of this.#listeners) listener(hint);
    });
  }

  join(input: JoinInput, call: Call): Promise<JoinResult> {
    return this.#run("join", call, input, (engine, group, copy) => engine.join(group, copy));
  }

  beat(input: BeatInput, call: Call): Promise<BeatReply> {
    return this.#run("beat", call, input, (engine, group, copy) => engine.beat(group, copy, this.evidenceKey));
  }

  look(input: LookInput, call: Call): Promise<LookReply> {
    return this.#run("look", call, input, (engine, group, copy) => engine.look(group, copy));
  }

  leave(input: { readonly incarnation: string }, call: Call): Promise<boolean> {
    return this.#run("leave", call, input, (engine, group, copy) => engine.leave(group, copy));
  }

  declareDead(input: DeclareDeadInput, call: Call): Promise<boolean> {
    return this.#run("declareDead", call, input, (engine, group, copy) => engine.declareDead(group, copy));
  }

  updateMetadata(input: { readonly incarnation: string; readonly metadata: string }, call: Call): Promise<boolean> {
    return this.#run("updateMetadata", call, input, (engine, group, copy) => engine.updateMetadata(group, copy));
  }

  evict(input: EvictInput, call: Call): Promise<boolean> {
    return this.#run("evict", call, input, (engine, group, copy) => engine.evict(group, copy));
  }

  attend({ incarnations, signal }: AttendInput): Promise<void> {
    return this.#whenFree([...incarnations], [signal, this.ended]);
  }

  createElection(input: { readonly election: string }, call: Call): Promise<void> {
    return this.#run("createElection", call, input, (engine, group, copy) => engine.createElection(group, copy));
  }

  claim(input: ClaimInput, call: Call): Promise<ClaimResult | null> {
    return this.#run("claim", call, input, (engine, group, copy) => engine.claim(group, copy));
  }

  passFence(input: PassFenceInput, call: Call): Promise<"passed" | "busy" | "superseded"> {
    return this.#run("passFence", call, input, (engine, group, copy) => engine.passFence(group, copy));
  }

  resign(input: ResignInput, call: Call): Promise<boolean> {
    return this.#run("resign", call, input, (engine, group, copy) => engine.resign(group, copy));
  }

  requestResign(input: RequestResignInput, call: Call): Promise<boolean> {
    return this.#run("requestResign", call, input, (engine, group, copy) => engine.requestResign(group, copy));
  }

  pause(input: PauseInput, call: Call): Promise<boolean> {
    return this.#run("pause", call, input, (engine, group, copy) => engine.pause(group, copy));
  }

  resume(input: { readonly election: string; readonly by: string }, call: Call): Promise<boolean> {
    return this.#run("resume", call, input, (engine, group, copy) => engine.resume(group, copy));
  }

  setCandidacy(input: CandidacyInput, call: Call): Promise<boolean> {
    return this.#run("setCandidacy", call, input, (engine, group, copy) => engine.setCandidacy(group, copy));
  }

  readCandidates(input: { readonly election: string }, call: Call): Promise<readonly CandidateRow[]> {
    return this.#run("readCandidates", call, input, (engine, group, copy) => engine.readCandidates(group, copy));
  }

  readMembers(input: { readonly incarnations: readonly string[] }, call: Call): Promise<readonly MemberRow[]> {
    return this.#run("readMembers", call, input, (engine, group, copy) => engine.readMembers(group, copy));
  }

  publishView(input: PublishViewInput, call: Call): Promise<boolean> {
    return this.#run("publishView", call, input, (engine, group, copy) => engine.publishView(group, copy));
  }

  readDocument(input: { readonly name: string }, call: Call): Promise<StoredDocument | null> {
    return this.#run("readDocument", call, input, (engine, group, copy) => engine.readDocument(group, copy));
  }

  writeDocument(input: WriteDocumentInput, call: Call): Promise<boolean> {
    return this.#run("writeDocument", call, input, (engine, group, copy) => engine.writeDocument(group, copy));
  }

  removeDocument(input: RemoveDocumentInput, call: Call): Promise<boolean> {
    return this.#run("removeDocument", call, input, (engine, group, copy) => engine.removeDocument(group, copy));
  }

  listDocuments(input: { readonly prefix: string }, call: Call): Promise<readonly DocumentRow[]> {
    return this.#run("listDocuments", call, input, (engine, group, copy) => engine.listDocuments(group, copy));
  }

  readEvents(input: { readonly after: number; readonly limit: number }, call: Call): Promise<EventPage> {
    return this.#run("readEvents", call, input, (engine, group, copy) => engine.readEvents(group, copy));
  }

  readGroup(call: Call): Promise<GroupReading | null> {
    return this.#run("readGroup", call, undefined, (engine, group) => engine.readGroup(group));
  }

  close(): Promise<void> {
    this.#gate.end(new TribuneError("STORE_SESSION_ENDED", "the session was closed", { about: "memory:" }));
    return Promise.resolve();
  }

  destroy(reason: Error): void {
    this.#gate.end(reason);
  }

  #run<Input, Output>(operation: string, call: Call, input: Input, work: (engine: MemoryEngine, group: string, copy: Input) => Output): Promise<Output> {
    return this.#gate.run(operation, call, async () => {
      const copy = structuredClone(input);
      await Promise.resolve();
      return work(this.#engine, this.#group, copy);
    });
  }
}
