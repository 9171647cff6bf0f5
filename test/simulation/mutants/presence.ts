import type { Mutant } from "./mutant.ts";

const ENGINE = "src/store/memory/engine.ts";
const FACTS = "src/presence/facts.ts";
const OBSERVATION = "src/presence/observation.ts";
const PRESENCE = "src/presence/presence.ts";
const TIMING = "src/presence/timing.ts";

/** Beats, trust, and who may be declared dead. */
export const presenceMutants: readonly Mutant[] = [
  {
    name: "trust-from-the-reply",
    wrong: "Trust is counted from the reply to a beat, not from its sending: a slow reply lengthens it beyond the lease.",
    changes: [{ file: PRESENCE, from: "this.#takeBeat(reply, watch, sentAtMs, trustEndMs)", to: "this.#takeBeat(reply, watch, sentAtMs, this.#elapsed.nowMs() + trustMs(timing.leaseMs))" }],
  },
  {
    name: "belief-as-a-flag",
    wrong: "Belief is a flag that a timer clears: after a freeze it is still set in the first line that runs.",
    changes: [{ file: PRESENCE, from: "  trusted(): boolean {\n    return this.trustLeftMs() > 0;", to: "  trusted(): boolean {\n    return this.#trustEndMs !== undefined;" }],
  },
  {
    name: "trust-for-the-whole-lease",
    wrong: "Trust lasts for the whole lease, with no margin for clock rates and for the time between a check and its use.",
    changes: [{ file: TIMING, from: "  return leaseMs * (1 - CLOCK_RATE_ERROR) - MARGIN_MS;", to: "  return leaseMs;" }],
  },
  {
    name: "late-reply-revives-a-term",
    wrong: "A reply is applied before the lapse of trust is looked at, so that one that waited while the process was frozen brings a term back.",
    changes: [{ file: PRESENCE, from: "    this.#checkLapse();\n    this.#heardFromMs", to: "    this.#heardFromMs" }],
  },
  {
    name: "clocks-unwatched-while-holding",
    wrong: "A holder does not look at its clocks between beats: after the machine slept its signal comes as late as the timer that slept as well.",
    changes: [{ file: PRESENCE, from: "    this.#clockWatchers += 1;\n", to: "" }],
  },
  {
    name: "idle-beat-looks",
    wrong: "Each beat is followed by a look, also when nothing has changed.",
    changes: [{ file: PRESENCE, from: "      this.#latencyMs = clock.monotonicMs() - sentAtMs;", to: "      this.#latencyMs = clock.monotonicMs() - sentAtMs;\n      this.lookSoon();" }],
  },
  {
    name: "dead-without-the-beat-seen",
    wrong: "An incarnation is declared dead whatever its beat number is now: a beat between the look and the statement is overlooked.",
    changes: [{ file: ENGINE, from: "row.beat !== input.beat || this.#environment.epoch() !== input.epoch", to: "this.#environment.epoch() !== input.epoch" }],
  },
  {
    name: "expiry-trusted-alone",
    wrong: "An incarnation is declared dead as soon as the database's clock says that its lease ran out, with no wait on the own clock: a clock that is stepped takes leases away.",
    changes: [
      { file: OBSERVATION, from: "  readonly moved: boolean;", to: "  readonly moved: boolean;\n  readonly expired?: boolean;" },
      {
        file: OBSERVATION,
        from: "before.heldOn === heldOn) return before;",
        to: "before.heldOn === heldOn) return before.expired === row.expired ? before : { ...before, expired: row.expired };",
      },
      { file: OBSERVATION, from: "sinceMs: nowMs, moved, askedStore: false, evidence, heldOn,", to: "sinceMs: nowMs, moved, askedStore: false, expired: row.expired, evidence, heldOn," },
      {
        file: OBSERVATION,
        from: "  const extraMs = extraLeases * observation.leaseMs;",
        to: '  if (observation.expired === true && !observation.askedStore) return { kind: "declare", grounds: "expiry" };\n  const extraMs = extraLeases * observation.leaseMs;',
      },
    ],
  },
  {
    name: "silence-from-the-database",
    wrong: "The wait begins when the database says that the last beat was, not when this observer first saw it: it ends early when that clock has been stepped.",
    changes: [{ file: OBSERVATION, from: "sinceMs: nowMs, moved, askedStore: false, evidence, heldOn,", to: "sinceMs: nowMs - row.beatAgeMs, moved, askedStore: false, evidence, heldOn," }],
  },
  {
    name: "no-wait-longer-than-the-lease",
    wrong: "The observer's wait is a lease and nothing more, without the database's word: clock rates alone take a lease away early.",
    survives: {
      why: "It breaks no promise: trust ends at L(1 − ρ) − δ from the sending, and no observer can have seen that beat before it was sent, so L on the observer's own clock is later while rates differ by less than ρ. The longer wait is a second margin.",
      foundBy: "test/presence/decisions.test.ts",
    },
    changes: [{ file: OBSERVATION, from: 'return { kind: "declare", grounds: "expiry" };', to: 'return { kind: "declare", grounds: "silence" };' }],
  },
  {
    name: "late-beat-revives-the-dead",
    wrong: "A beat that arrives after its sender was declared dead brings it back.",
    changes: [
      { file: ENGINE, from: 'row?.state === "alive" && !row.evicted && row.beat < input.beat', to: "row !== undefined && row.beat < input.beat" },
      { file: ENGINE, from: "      row.beat = input.beat;", to: '      row.state = "alive";\n      row.beat = input.beat;' },
    ],
  },
  {
    name: "beat-counts-in-any-epoch",
    wrong: "A beat is taken in whatever epoch it arrives, also from who does not know yet that the store has failed over, and extends trust there.",
    changes: [
      { file: ENGINE, from: ' && (input.cursor.epoch === "" || input.cursor.epoch === epoch)', to: "" },
      { file: PRESENCE, from: "    if (reply.epoch === this.#epoch) {\n", to: "    if (reply.accepted) {\n      this.#epoch = reply.epoch;\n" },
    ],
  },
  {
    name: "beats-not-numbered",
    wrong: "A beat is taken whatever its number is, so that one that comes late, or twice, puts an older number back.",
    changes: [{ file: ENGINE, from: 'row?.state === "alive" && !row.evicted && row.beat < input.beat', to: 'row?.state === "alive"' }],
  },
  {
    name: "observer-counts-on-over-its-gap",
    wrong: "An observer that heard nothing from the store itself goes on counting the silence of others: an outage removes those who could not beat.",
    changes: [{ file: FACTS, from: "epochChanged || sinceLastMs > observerGapMs(observed.leaseMs, beatMs)", to: "epochChanged" }],
  },
  {
    name: "observer-counts-on-over-a-failover",
    wrong: "An observer goes on counting from a reply of the old epoch: beats that it has not seen were lost with the failover.",
    changes: [{ file: FACTS, from: "epochChanged || sinceLastMs > observerGapMs(observed.leaseMs, beatMs)", to: "sinceLastMs > observerGapMs(observed.leaseMs, beatMs)" }],
  },
  {
    name: "lost-beats-look-like-a-move",
    wrong: "A beat number that a failover has put back counts as one that has moved: who may be dead seems to have beaten in this epoch.",
    survives: {
      why: "The coordinator that makes the first view of an epoch would have to have seen the lost beats of somebody whose death it has not seen, though a view without it was published: whoever published that had seen the death, and its successor begins to watch everybody only then.",
      foundBy: "test/presence/decisions.test.ts",
    },
    changes: [{ file: FACTS, from: "    if (epochChanged) this.#observations = new Map([...this.#observations].map(([incarnation, observation]) => [incarnation, unmoved(observation)]));\n", to: "" }],
  },
  {
    name: "outcast-stays",
    wrong: "Who has no trust left when the store changes its epoch goes on with the same incarnation, which may have been declared dead in commits that are lost.",
    changes: [{ file: PRESENCE, from: "    if (!this.trusted()) {\n      this.#died", to: "    if (false) {\n      this.#died" }],
  },
  {
    name: "unheard-epoch-forgotten",
    wrong: "Who is trusted goes on with the same incarnation in whatever epoch answers, also after one that it never heard of, whose group may have gone on without it.",
    survives: {
      why: "It takes two failovers within one trust, of which the first loses a join and the second brings it back, while that node hears of neither in between: one of 15,000 seeds had that, and is kept as a plan (regressions/unheard-epoch.json).",
      foundBy: "test/scenarios/lossy-failover.test.ts",
    },
    changes: [{ file: PRESENCE, from: "    if (reply.generation > this.#generation + 1) {", to: "    if (false) {" }],
  },
  {
    name: "name-that-returns-buries",
    wrong: "A node that starts again declares the incarnation of its name dead at once, without waiting whether that still beats.",
    changes: [{ file: PRESENCE, from: "      const step = deathStep(other, clock.monotonicMs(), { evidence: this.evidenceRule() });", to: '      const step = { kind: "declare", grounds: "silence" };' }],
  },
];
