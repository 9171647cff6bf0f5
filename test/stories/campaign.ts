import { join } from "node:path";
import type { Mutant } from "../simulation/mutants/mutant.ts";
import { Subject } from "../simulation/mutants/subject.ts";
import type { Order, Report } from "./player.ts";
import type { Room } from "./rooms.ts";

/** Which stories are played. */
export interface CampaignOptions {
  readonly first: number;
  readonly seeds: number;
  /** Processes side by side. */
  readonly workers: number;
  /** Whether no more are begun once there was a complaint. */
  readonly untilCaught: boolean;
}

/** A story that was played. */
export interface Played {
  readonly seed: number;
  /** What is wrong; also that it came to no end. */
  readonly complaints: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly cpuMs: number;
}

/** For one story, which takes a second: for one that never ends. */
const STORY_LIMIT_MS = 300_000;

/** Most of what a story makes is soon forgotten: with more room for the young there is a quarter less to do. */
const YOUNG = "--max-semi-space-size=32";

/** Half of what a story does else is to note where errors came from that everybody expects. Who plays one story wants to see it. */
const NO_STACKS = "--stack-trace-limit=0";

/** Plays stories in processes of their own, in the order of their seeds, and answers with all of those that have complaints. */
export async function playStories(room: Room, mutant: Mutant | undefined, options: CampaignOptions, onPlayed: (played: Played) => void = () => undefined): Promise<readonly Played[]> {
  const { first, seeds, workers, untilCaught } = options;
  const failed: Played[] = [];
  const enough = untilCaught ? 1 : Number.POSITIVE_INFINITY;
  let next = first;
  const work = async () => {
    const subject = new Subject<Order, Report>(mutant, { program: [join(import.meta.dirname, "player.ts"), room.file], execArgv: seeds === 1 ? [YOUNG] : [YOUNG, NO_STACKS], runLimitMs: STORY_LIMIT_MS });
    try {
      for (let seed = next++; seed < first + seeds && failed.length < enough; seed = next++) {
        const played = playedOf(seed, await subject.play({ seed }));
        if (played.complaints.length > 0) failed.push(played);
        onPlayed(played);
      }
    } finally {
      subject.close();
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, seeds) }, work));
  return failed.sort((a, b) => a.seed - b.seed);
}

function playedOf(seed: number, outcome: Awaited<ReturnType<Subject<Order, Report>["play"]>>): Played {
  switch (outcome.kind) {
    case "told":
      return { seed, complaints: outcome.complaints, counts: outcome.counts, cpuMs: outcome.cpuMs };
    case "crashed":
      return { seed, complaints: [`it broke off: ${outcome.message}`], counts: {}, cpuMs: 0 };
    case "hung":
      return { seed, complaints: [`it came to no end within ${outcome.afterMs / 1_000} s`], counts: {}, cpuMs: 0 };
  }
}
