import { decodeReach, encodeReach, REACH_DOCUMENT, withOwnReport } from "../channel/index.ts";
import type { ChannelView, NodeChannel, Unreached } from "../channel/index.ts";
import { jitter } from "../kernel/index.ts";
import type { Clock, Random, Timer } from "../kernel/index.ts";
import type { Presence } from "../presence/index.ts";

/** Restarts and short cuts are not worth a writing: what is told has been so for this long. */
const TOLD_AFTER_MS = 3_000;

/** How often one member looks whether it has something to tell, at most, more or less. */
const EVERY_MS = 5_000;

/** What tells of unreachable members is wired to. */
export interface ReachReporterPorts {
  readonly node: string;
  readonly channel: NodeChannel;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly random: Random;
}

/** Writes into the store whom this member has no connection with, so that `tribune status` can show it. Writes nothing as long as all are connected. */
export class ReachReporter {
  readonly #ports: ReachReporterPorts;
  #view: ChannelView | undefined;
  #timer: Timer | undefined;
  /** Whom the store says that this incarnation cannot reach. */
  #told = "";
  #isStopped = false;

  constructor(ports: ReachReporterPorts) {
    this.#ports = ports;
    ports.channel.on("reachability", () => this.#lookLater());
  }

  setView(view: ChannelView): void {
    this.#view = view;
    if (this.#told !== "") this.#lookLater();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #lookLater(): void {
    if (this.#timer !== undefined || this.#isStopped) return;
    const { clock, random } = this.#ports;
    this.#timer = clock.setTimer(jitter(random, EVERY_MS, 0.3), () => void this.#look());
  }

  async #look(): Promise<void> {
    const nowMs = this.#ports.clock.wallMs();
    const cut = this.#cut();
    const unreached = cut.filter(({ sinceMs }) => nowMs - sinceMs >= TOLD_AFTER_MS);
    const { incarnation } = this.#ports.presence;
    const wanted = unreached.length === 0 ? "" : [incarnation, ...unreached.map((each) => each.incarnation)].join(" ");
    let isDone = wanted === this.#told;
    if (!isDone) {
      isDone = await this.#write(incarnation, unreached).catch(() => false); // the store is away: later
      if (isDone) this.#told = wanted;
    }
    this.#timer = undefined;
    if (!isDone || cut.length > unreached.length) this.#lookLater();
  }

  /** The members that there is no connection with. */
  #cut(): Unreached[] {
    return (this.#view?.members ?? []).flatMap(({ incarnation }) => {
      const reachability = this.#ports.channel.reachability(incarnation);
      return reachability === undefined || reachability.connected ? [] : [{ incarnation, sinceMs: Date.parse(reachability.since) }];
    });
  }

  async #write(incarnation: string, unreached: readonly Unreached[]): Promise<boolean> {
    const { node, presence } = this.#ports;
    const name = REACH_DOCUMENT;
    const members = new Set(this.#view?.members.map((member) => member.incarnation));
    return await presence.perform(async (session, call) => {
      const document = await session.readDocument({ name }, call);
      const after = withOwnReport(decodeReach(document?.text ?? "{}"), { incarnation, node, unreached }, members);
      return await session.writeDocument({ name, expectedVersion: document?.version ?? 0, text: encodeReach(after) }, call);
    });
  }
}
