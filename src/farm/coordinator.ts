import { TribuneError } from "../kernel/index.ts";
import type { Clock, Logger } from "../kernel/index.ts";
import type { View } from "../membership/index.ts";
import type { DocumentFence } from "../store/index.ts";
import { coordinatorStep, grant } from "./coordinate.ts";
import type { FarmMember, Wish } from "./coordinate.ts";
import { DocumentCache } from "./document-cache.ts";
import type { FarmDocuments, Understood } from "./document-cache.ts";
import { appDocument, decodeApp, decodeReport, decodeVote, emptyRecord, encode, NODE_PREFIX, VOTE_PREFIX } from "./record.ts";
import type { AppRecord, AppReport, NodeReport, Vote } from "./record.ts";

/** What the coordinator's side needs. */
export interface CoordinatorPorts {
  readonly documents: FarmDocuments;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is decided about each name, as it was read. */
export type Records = ReadonlyMap<string, Understood<AppRecord>>;

/** Between two looks whether something is left over, while nothing is under way. */
const TIDY_AGAIN_MS = 30_000;

/** The deeds of a coordinator: reads what it decides on, and writes what it decided, under its fence. Whether this member is the coordinator, its caller knows. */
export class FarmCoordinator {
  readonly #ports: CoordinatorPorts;
  readonly #votes: DocumentCache<Vote>;
  readonly #reports: DocumentCache<NodeReport>;
  /** The term and the view in which it was tidied up last, while nothing was under way. */
  #tidied: { readonly what: string; readonly atMs: number } | undefined;
  /** Since when this coordinator has seen a phase, by name. */
  readonly #since = new Map<string, { readonly what: string; readonly sinceMs: number }>();

  constructor(ports: CoordinatorPorts) {
    this.#ports = ports;
    const unreadable = (name: string, error: unknown) => ports.logger.warn({ document: name, error: String(error) }, "a document of the farm cannot be read");
    this.#votes = new DocumentCache(ports.documents, decodeVote, unreadable);
    this.#reports = new DocumentCache(ports.documents, decodeReport, unreadable);
  }

  /** Goes one step with each change under way. `isWhole`: the records are all there are. Answers whether something was written, and when to look again. */
  async round(fence: DocumentFence, records: Records, isWhole: boolean, view: View): Promise<{ readonly wrote: boolean; readonly waitMs: number | undefined }> {
    let wrote = false;
    let waitMs: number | undefined;
    const isBusy = [...records.values()].some(({ value }) => value.change !== null);
    const tidied = { what: `${fence.token} ${view.version}`, atMs: this.#ports.clock.monotonicMs() };
    // A vote or a report that was long under way comes after everything was tidied up, and nothing tells of it.
    if (!isBusy && this.#tidied?.what === tidied.what && tidied.atMs - this.#tidied.atMs < TIDY_AGAIN_MS) return { wrote, waitMs };
    const votes = await this.#votes.refresh(VOTE_PREFIX);
    const reports = await this.#reports.refresh(NODE_PREFIX);
    for (const { version, value: record } of records.values()) {
      if (record.change === null) continue;
      const { name, change: { id } } = record;
      const step = coordinatorStep({
        record,
        members: membersOf(view),
        votes: new Map([...votes.values()].filter(({ value }) => value.change === id).map(({ value }) => [value.incarnation, value])),
        reports: new Map([...reports.values()].flatMap(({ value }) => (Object.hasOwn(value.apps, name) ? [[value.incarnation, value.apps[name] as AppReport]] : []))),
        waitedMs: this.#waitedMs(fence, record),
      });
      if (step.kind === "wait") waitMs = Math.min(waitMs ?? step.ms, step.ms);
      if (step.kind === "write") wrote = (await this.#write(fence, version, step.record)) || wrote;
    }
    if (isWhole) await this.#tidy(fence, records, votes, reports, view);
    this.#tidied = isBusy ? undefined : tidied;
    return { wrote, waitMs };
  }

  /** Does what a member asks for, or throws why not: `FARM_BUSY`, `FARM_VERSION_EXISTS`, `FARM_NOT_DEPLOYED`; `INVALID_DOCUMENT` where the document of that name is none of the farm's. Answers whether something was written; if not, it was done already. */
  async wish(fence: DocumentFence, records: Records, name: string, wish: Wish): Promise<boolean> {
    const found = records.get(appDocument(name));
    const answer = grant(found?.value ?? emptyRecord(name), wish);
    if (answer.kind === "refuse") throw new TribuneError(answer.code, answer.why, { about: name });
    if (answer.kind === "done") return false;
    if (await this.#write(fence, found?.version ?? 0, answer.record)) return true;
    const there = found === undefined ? await this.#ports.documents.read(appDocument(name)) : null;
    if (there !== null) decodeApp(appDocument(name), there.text);
    throw new TribuneError("FARM_NO_COORDINATOR", "the coordinator has changed meanwhile", { about: name, next: "ask again" });
  }

  async #write(fence: DocumentFence, expectedVersion: number, record: AppRecord): Promise<boolean> {
    return await this.#ports.documents.write({ name: appDocument(record.name), expectedVersion, text: encode(record), fence });
  }

  #waitedMs({ token }: DocumentFence, { name, change }: AppRecord): number {
    const what = `${token} ${change?.id} ${change?.phase} ${change?.admitted.length}`;
    const nowMs = this.#ports.clock.monotonicMs();
    const since = this.#since.get(name);
    if (since?.what === what) return nowMs - since.sinceMs;
    this.#since.set(name, { what, sinceMs: nowMs });
    return 0;
  }

  /** Removes votes on what is decided, and reports of who is gone. */
  async #tidy(fence: DocumentFence, records: Records, votes: ReadonlyMap<string, Understood<Vote>>, reports: ReadonlyMap<string, Understood<NodeReport>>, view: View): Promise<void> {
    const open = new Set([...records.values()].map(({ value }) => value.change?.id));
    const present = new Set(view.members.map(({ incarnation }) => incarnation));
    const stale = [
      ...[...votes].filter(([, { value }]) => !open.has(value.change)),
      // Who wrote it in a later view than this one may only not be seen here yet.
      ...[...reports].filter(([, { value }]) => !present.has(value.incarnation) && value.view <= view.version),
    ];
    for (const [name, { version }] of stale) await this.#ports.documents.remove({ name, expectedVersion: version, fence });
  }
}

/** Who votes, and where everything is applied: all members but observers. */
export function membersOf(view: View): readonly FarmMember[] {
  return view.members.filter(({ observer }) => !observer).map(({ node, incarnation, metadata }) => ({ node, incarnation, zone: typeof metadata["zone"] === "string" ? metadata["zone"] : "" }));
}
