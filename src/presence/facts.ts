import type { Clock } from "../kernel/index.ts";
import type { Cursor, ElectionRow, LookReply, PresenceRow, StoredView } from "../store/index.ts";
import { observe, observeAbsent, observerGapMs, refused, restarted, stoodStill, unmoved } from "./observation.ts";
import type { Circumstances, Grounds, Observation } from "./observation.ts";

/** What one reply changed. */
export interface FactsChange {
  readonly epochChanged: boolean;
  /** Names of elections whose row changed. */
  readonly elections: ReadonlySet<string>;
  readonly viewChanged: boolean;
  /** A watched incarnation was seen to die. */
  readonly deaths: boolean;
}

/**
 * What this node knows of the group, from the replies of the store. Changed in one place, `absorb`; everybody else reads.
 */
export class Facts {
  #epoch = "";
  #epochSinceMs = 0;
  #generation = 0;
  #longestLeaseMs = 0;
  #electionsVersion = 0;
  #storedViewVersion = 0;
  #view: StoredView | null = null;
  #lastReplyMs: number | undefined;
  #storeOffsetMs = 0;
  #presence: readonly PresenceRow[] = [];
  /** Whether the last reply showed everybody. */
  #showedEverybody = false;
  readonly #elections = new Map<string, ElectionRow>();
  readonly #tokensSeen = new Map<string, number>();
  #observations = new Map<string, Observation>();

  /** Identity and timeline of the server that answered last; `""` before the first reply. */
  get epoch(): string {
    return this.#epoch;
  }

  /** When the first reply of this epoch came, on the monotonic clock. */
  get epochSinceMs(): number {
    return this.#epochSinceMs;
  }

  /** The highest generation seen. */
  get generation(): number {
    return this.#generation;
  }

  get longestLeaseMs(): number {
    return this.#longestLeaseMs;
  }

  /** The newest view seen; its number never goes back, also when the store's does. */
  get view(): StoredView | null {
    return this.#view;
  }

  get viewSeen(): number {
    return this.#view?.version ?? 0;
  }

  /** The number of the view in the store, which may be smaller after a failover that lost commits. */
  get storedViewVersion(): number {
    return this.#storedViewVersion;
  }

  /** The store's wall clock less this process's, at the last reply. */
  get storeOffsetMs(): number {
    return this.#storeOffsetMs;
  }

  get elections(): ReadonlyMap<string, ElectionRow> {
    return this.#elections;
  }

  /**
   * The presence rows of the last reply, if that showed everybody; empty otherwise. Never older than `view`: a view made of
   * an older reading would leave out members that have joined since.
   */
  get everybody(): readonly PresenceRow[] {
    return this.#presence;
  }

  /**
   * This node is not in the group any more, or the group was made anew: the next reply counts as one of another epoch. The next generation is
   * asked for with it, since a group that was made anew counts tokens from the beginning.
   */
  forgetEpoch(): void {
    this.#epoch = "";
    this.#generation += 1;
  }

  cursor(): Cursor {
    return { epoch: this.#epoch, electionsVersion: this.#electionsVersion, viewVersion: this.#storedViewVersion };
  }

  /** The cursor for one who counts on `epoch`: what is known of another one is of no use there. */
  cursorIn(epoch: string): Cursor {
    return epoch === this.#epoch ? this.cursor() : { epoch, electionsVersion: 0, viewVersion: 0 };
  }

  /** The highest token of an election that this process has ever seen, in any epoch. */
  tokenSeen(election: string): number {
    return this.#tokensSeen.get(election) ?? 0;
  }

  noteToken(election: string, token: number): void {
    if (token > this.tokenSeen(election)) this.#tokensSeen.set(election, token);
  }

  observation(incarnation: string): Observation | undefined {
    return this.#observations.get(incarnation);
  }

  /** Notes that the store was asked about this beat number and did not agree. */
  noteRefused(observation: Observation, grounds: Grounds, nowMs: number): void {
    if (this.#observations.get(observation.incarnation) === observation) this.#observations.set(observation.incarnation, refused(observation, grounds, nowMs));
  }

  /** Notes that this incarnation was declared dead; dead is final, so no reply is needed to know it. */
  noteDead(observation: Observation, nowMs: number): void {
    this.#observations.set(observation.incarnation, { ...observation, state: "dead", sinceMs: nowMs });
  }

  /** For how long the store has not answered, at `nowMs`. */
  silentMs(nowMs: number): number {
    return nowMs - (this.#lastReplyMs ?? nowMs);
  }

  /** Takes in one reply that arrived now, on the connection of that number. `watched` is what was asked for. */
  absorb(reply: LookReply, watched: "all" | readonly string[], { clock, beatMs, connection }: { readonly clock: Clock; readonly beatMs: number; readonly connection: number }): FactsChange {
    const nowMs = clock.monotonicMs();
    const epochChanged = reply.epoch !== this.#epoch;
    const sinceLastMs = this.silentMs(nowMs);
    this.#lastReplyMs = nowMs;
    this.#storeOffsetMs = reply.storeTimeMs - clock.wallMs();
    this.#generation = Math.max(this.#generation, reply.generation);
    this.#longestLeaseMs = Math.max(this.#longestLeaseMs, reply.longestLeaseMs);
    const isNew = !epochChanged && this.#showedEverybody && watched === "all";
    this.#showedEverybody = watched === "all";
    const deaths = this.#observe(reply, watched, nowMs, { connection, newcomer: isNew }, (observed) => epochChanged || sinceLastMs > observerGapMs(observed.leaseMs, beatMs));
    if (epochChanged) this.#observations = new Map([...this.#observations].map(([incarnation, observation]) => [incarnation, unmoved(observation)]));
    if (epochChanged) {
      this.#epoch = reply.epoch;
      this.#epochSinceMs = nowMs;
      this.#elections.clear();
      this.#electionsVersion = 0;
    }
    const elections = new Set<string>();
    for (const row of reply.elections) {
      if (row.version <= (this.#elections.get(row.election)?.version ?? 0)) continue;
      this.#elections.set(row.election, row);
      this.noteToken(row.election, row.token);
      elections.add(row.election);
    }
    this.#electionsVersion = Math.max(this.#electionsVersion, reply.electionsVersion);
    this.#storedViewVersion = reply.viewVersion;
    const viewChanged = reply.view !== null && reply.view.version > this.viewSeen;
    if (viewChanged) this.#view = reply.view;
    return { epochChanged, elections, viewChanged, deaths };
  }

  #observe(reply: LookReply, watched: "all" | readonly string[], nowMs: number, circumstances: Circumstances, again: (observed: Observation) => boolean): boolean {
    let deaths = false;
    const before = this.#observations;
    const after = new Map<string, Observation>();
    const note = (observation: Observation) => {
      const previous = before.get(observation.incarnation);
      const next = previous !== undefined && stoodStill(previous, observation) && again(observation) ? restarted(observation, nowMs) : observation;
      if (next.state !== "alive" && previous?.state !== next.state) deaths = true;
      after.set(next.incarnation, next);
    };
    for (const row of reply.presence) note(observe(before.get(row.incarnation), row, nowMs, circumstances));
    this.#presence = watched === "all" ? reply.presence : [];
    if (watched !== "all") {
      for (const incarnation of watched) {
        if (!after.has(incarnation)) note(observeAbsent(before.get(incarnation), incarnation, this.#longestLeaseMs, nowMs));
      }
    }
    this.#observations = after;
    return deaths;
  }
}
