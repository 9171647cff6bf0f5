/** One exhaustive search: the bounds it has, and what it has to come to. */
export interface Search {
  readonly name: string;
  /** The variant's number in takeover.pml; 0: the algorithm as it is. */
  readonly variant: number;
  readonly bounds: Readonly<Record<string, number>>;
  /** What is wrong in the variant; `undefined` for the algorithm as it is, which has to be explored without an error. */
  readonly wrong?: string;
}

const FAILOVER = { FAILOVERS: 1, RESIGNATIONS: 0 } as const;

/** The algorithm as it is, within three sets of bounds; and what has to break. */
export const SEARCHES: readonly Search[] = [
  { name: "sound", variant: 0, bounds: {} },
  { name: "sound-writes", variant: 0, bounds: { WRITES: 2 } },
  { name: "sound-failover", variant: 0, bounds: FAILOVER },
  { name: "claim-blind", variant: 1, bounds: {}, wrong: "a claim compares neither token nor holder: delete, then insert" },
  { name: "claim-without-death", variant: 2, bounds: {}, wrong: "a claim takes an election whose holder is alive" },
  { name: "declare-any-beat", variant: 3, bounds: {}, wrong: "a death is declared whatever the beat is by now" },
  { name: "declare-any-epoch", variant: 4, bounds: FAILOVER, wrong: "a death is declared in another epoch than it was seen in" },
  { name: "claim-any-epoch", variant: 5, bounds: FAILOVER, wrong: "claim and fence ask for no epoch" },
  { name: "no-full-wait", variant: 6, bounds: FAILOVER, wrong: "a free row is taken at once in another epoch" },
  { name: "trust-from-reply", variant: 7, bounds: {}, wrong: "trust is counted from the reply" },
  { name: "keep-term-over-failover", variant: 9, bounds: FAILOVER, wrong: "a term goes on though the new epoch's row denies it" },
  { name: "adopt-unanswered-claim", variant: 10, bounds: FAILOVER, wrong: "a claim that was not answered is adopted" },
  { name: "beat-revives", variant: 11, bounds: {}, wrong: "a late beat revives a dead incarnation" },
  { name: "beat-any-number", variant: 12, bounds: { BEATS: 3 }, wrong: "an old beat is written over a newer one" },
  { name: "resign-any-token", variant: 13, bounds: {}, wrong: "a resignation frees the row whatever token it has" },
  { name: "resign-changes-epoch", variant: 14, bounds: FAILOVER, wrong: "a resignation stamps the row with the present epoch" },
  { name: "token-from-row", variant: 15, bounds: FAILOVER, wrong: "the token is the row's and one, also after a failover" },
  { name: "announce-before-fence", variant: 16, bounds: { WRITES: 2 }, wrong: "a term is announced before it has passed the fence" },
  { name: "fence-does-not-wait", variant: 17, bounds: { WRITES: 2 }, wrong: "the fence moves while older transactions are open" },
  { name: "unfenced-write", variant: 18, bounds: { WRITES: 2 }, wrong: "a write asks for no fence" },
  { name: "guard-smaller-fence", variant: 19, bounds: { ...FAILOVER, WRITES: 2 }, wrong: "a guard is content with a fence that stands below its token" },
];
