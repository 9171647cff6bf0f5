import type { Channel } from "../channel/index.ts";
import { sleep } from "../kernel/index.ts";
import type { Clock, ErrorCode, Logger } from "../kernel/index.ts";
import type { FarmDocuments } from "./document-cache.ts";
import type { MemberProgress } from "./follower.ts";
import { encode, nodeDocument, voteDocument } from "./record.ts";
import type { AppReport, Change, NodeReport } from "./record.ts";

/** What reporting needs. */
export interface ReportingPorts {
  readonly node: string;
  /** The present incarnation. */
  incarnation(): string;
  /** The number of the view that this member has. */
  viewVersion(): number;
  /** What this member has now, by name. */
  apps(): Readonly<Record<string, AppReport>>;
  readonly documents: FarmDocuments;
  readonly channel: Pick<Channel, "send">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Once it is aborted nothing is told any more. */
  readonly signal: AbortSignal;
  /** Something that the coordinator decides on is in the store. */
  written(): void;
}

/** Where whoever asked for a change hears how far a member is. */
export const PROGRESS_TOPIC = "farm.progress";

const PROGRESS_EVERY_MS = 250;
/** Before the store is asked again to take what this member has to tell. */
const TELL_AGAIN_MS = 200;
/** Between two looks whether what this member has told is still there. */
const REPORT_AGAIN_MS = 30_000;

/** What a member tells of itself: its votes and what it has, in the store; how far it is, to whoever asked. */
export class Reporting {
  readonly #ports: ReportingPorts;
  readonly #told = new Map<string, { readonly phase: string; readonly atMs: number }>();
  #turn: Promise<void> = Promise.resolve();
  /** What is in the store, as far as is known. */
  #reported = "";
  #reportedMs = Number.NEGATIVE_INFINITY;

  constructor(ports: ReportingPorts) {
    this.#ports = ports;
  }

  /** What this member has is in the store before its vote is: a wave that begins thereupon finds no older failure. Rejects with what the store rejects with. */
  async vote(change: Change, cause: { readonly code: ErrorCode; readonly why: string } | null): Promise<void> {
    await this.report();
    const { node, documents } = this.#ports;
    const incarnation = this.#ports.incarnation();
    const name = voteDocument(change.id, incarnation);
    const text = encode({ change: change.id, node, incarnation, yes: cause === null, code: cause?.code ?? null, why: cause?.why ?? null });
    const there = await documents.read(name);
    await documents.write({ name, expectedVersion: there?.version ?? 0, text });
    this.#ports.written();
  }

  /** Looks now and then, or now, whether what this member has told is still there: a store that went back, or a coordinator that did not know of this member yet, may have lost it. */
  lookAgain(now: boolean): void {
    const nowMs = this.#ports.clock.monotonicMs();
    if (!now && nowMs - this.#reportedMs < REPORT_AGAIN_MS) return;
    this.#reportedMs = nowMs;
    this.#reported = "";
    void this.report();
  }

  /** Writes what this member has, if that is not what is there. Never rejects. */
  report(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      const { node, clock, signal, logger } = this.#ports;
      while (!signal.aborted) {
        const incarnation = this.#ports.incarnation();
        const apps = this.#ports.apps();
        const content = JSON.stringify([incarnation, apps]);
        if (content === this.#reported) return;
        try {
          if (await this.#isStored(content, { node, incarnation, view: this.#ports.viewVersion(), apps })) this.#reported = content;
          this.#ports.written();
        } catch (error) {
          logger.debug({ node, error: String(error) }, "what this member has could not be told yet");
        }
        if (this.#reported !== content) await sleep(clock, TELL_AGAIN_MS, signal);
      }
    });
    return this.#turn;
  }

  /** Whether it is in the store, or was written there now. */
  async #isStored(content: string, report: NodeReport): Promise<boolean> {
    const { documents, node } = this.#ports;
    const there = await documents.read(nodeDocument(node));
    if (there !== null && says(there.text, content)) return true;
    return await documents.write({ name: nodeDocument(node), expectedVersion: there?.version ?? 0, text: encode(report) });
  }

  /** To whoever asked for the change; seldom enough, and nobody waits for it. */
  tell(change: Change | null, progress: MemberProgress): void {
    if (change === null) return;
    const { clock, channel } = this.#ports;
    const told = this.#told.get(progress.name);
    const nowMs = clock.monotonicMs();
    if (told?.phase === progress.phase && nowMs - told.atMs < PROGRESS_EVERY_MS) return;
    this.#told.set(progress.name, { phase: progress.phase, atMs: nowMs });
    void channel.send(PROGRESS_TOPIC, progress, { to: [change.by], mode: "async" }).catch(() => undefined);
  }
}

/** Whether the text of a report has what is to be told. */
function says(text: string, content: string): boolean {
  try {
    const { incarnation, apps } = JSON.parse(text) as Partial<NodeReport>;
    return JSON.stringify([incarnation, apps]) === content;
  } catch {
    return false;
  }
}
