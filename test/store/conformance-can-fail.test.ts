import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock, systemRandom, TribuneError } from "../../src/kernel/index.ts";
import type { Clock } from "../../src/kernel/index.ts";
import { COORDINATOR, LARGEST_DOCUMENT_BYTES, SCHEMA_VERSION, SCHEMA_WORKS_WITH, schemaStep, TOKENS_PER_GENERATION, viewFloor } from "../../src/store/index.ts";
import type {
  BeatReply,
  Call,
  CandidacyInput,
  CandidateRow,
  ClaimInput,
  ElectionRow,
  FencedTransactions,
  Finding,
  Hint,
  InstalledSchema,
  LookReply,
  OpenContext,
  PresenceRow,
  StoreProvider,
  StoreSession,
} from "../../src/store/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { MemoryProvider, MemoryTransaction } from "../../src/store/memory/index.ts";
import { storeConformanceCases } from "../../src/testing/store-conformance.ts";
import type { StorePlace } from "../../src/testing/store-conformance.ts";
import { altered, withSessions } from "./altered.ts";
import { memoryPlace } from "./memory-place.ts";

/** A store with one fault. The suite is worth something if each is caught by a case whose title says what is wrong. */
interface Fault {
  readonly fault: string;
  /** For each of these, some case whose title matches must fail. */
  readonly caughtBy: readonly RegExp[];
  /** Makes the faulty store out of a sound one. */
  readonly alter: (store: MemoryProvider) => StoreProvider<MemoryTransaction>;
}

/** Of the store that answers a repeated join as it answered the first one. */
const epochsOfJoins = new Map<string, string>();

const FAULTS: readonly Fault[] = [
  // ---- presence
  inSessions("a late beat revives the dead", [/late beat never revives a dead incarnation/], (inner) => ({
    async beat(input, call) {
      const reply = await inner.beat(input, call);
      if (reply.self !== "dead") return reply;
      const presence = reply.presence.map((row) => (row.incarnation === input.incarnation ? { ...row, state: "alive" as const } : row));
      return { ...reply, accepted: true, self: "alive", presence };
    },
  })),
  inSessions("a beat with an old number is accepted", [/equal or smaller number is not accepted/, /delivered twice is accepted once/], (inner) => ({
    async beat(input, call) {
      const reply = await inner.beat(input, call);
      return { ...reply, accepted: reply.self === "alive" };
    },
  })),
  inSessions("a beat that is not accepted renews the lease", [/beat that is not accepted does not renew the lease/], (inner) => ({
    async beat(input, call) {
      const reply = await inner.beat(input, call);
      return { ...reply, presence: reply.presence.map((row) => (row.incarnation === input.incarnation ? { ...row, expired: false } : row)) };
    },
  })),
  inSessions("a beat does not carry the generation", [
    /greater generation raises the group's/,
  ], (inner) => ({ beat: (input, call) => inner.beat({ ...input, generation: 0 }, call) })),
  inSessions("a beat counts in any epoch", [
    /counts only in the epoch that its cursor names/,
    /adopts the new one and does not count/,
  ], (inner) => ({
    async beat(input, call) {
      const { epoch } = await inner.look(input, call);
      return await inner.beat({ ...input, cursor: { ...input.cursor, epoch } }, call);
    },
  })),
  inSessions("a beat that names no epoch does not count", [/as does one that names no epoch/], (inner) => ({
    beat: (input, call) => inner.beat(input.cursor.epoch === "" ? { ...input, cursor: { ...input.cursor, epoch: "none" } } : input, call),
  })),
  inSessions("a beat that does not count in the server's epoch does not adopt it either", [/adopts the new one and does not count/], (inner) => ({
    async beat(input, call) {
      const looked = await inner.look(input, call);
      return ["", looked.epoch].includes(input.cursor.epoch) ? await inner.beat(input, call) : { ...looked, accepted: false, self: "alive" };
    },
  })),
  inSessions("a join that is repeated answers the epoch of the first one", [/one that is repeated after the epoch has changed/], (inner) => ({
    async join(input, call) {
      const result = await inner.join(input, call);
      if (result.outcome !== "joined") return result;
      const epoch = epochsOfJoins.get(input.incarnation) ?? result.epoch;
      epochsOfJoins.set(input.incarnation, epoch);
      return { ...result, epoch };
    },
  })),
  inSessions("a group that was lost is made as if it had never been there", [
    /made by somebody who has seen a generation of it/,
  ], (inner) => ({ join: (input, call) => inner.join({ ...input, generation: 0 }, call) })),
  inSessions("who joins raises the generation to one more than it has seen", [/joins a group that is there changes nothing in it/], (inner) => ({
    async join(input, call) {
      const result = await inner.join(input, call);
      await inner.beat({ incarnation: "nobody", beat: 0, generation: input.generation ?? 0, viewSeen: 0, cursor: nothing, watch: [] }, call);
      return result;
    },
  })),
  inSessions("a beat's reply is as of before the beat", [/its own reply shows them/], (inner) => ({
    async beat(input, call) {
      const before = await inner.look(input, call);
      const { accepted, self } = await inner.beat(input, call);
      return { ...before, accepted, self };
    },
  })),
  inSessions("a beat makes a missing group look empty", [/reject with GROUP_UNKNOWN/], (inner) => ({
    async look(input, call) {
      return await inner.look(input, call).catch(() => emptyReply);
    },
  })),
  inSessions("a name that is taken is given away", [
    /name that somebody alive goes by is taken/,
    /many that join under one name at once/,
  ], (inner) => ({
    async join(input, call) {
      const result = await inner.join(input, call);
      return result.outcome === "name-taken" ? { outcome: "joined", joinOrder: result.by.joinOrder + 1, epoch: "" } : result;
    },
  })),
  inSessions("a lease that has run out frees the node name", [/lease that has run out does not free the node name/], (inner) => ({
    async join(input, call) {
      const result = await inner.join(input, call);
      if (result.outcome !== "name-taken" || !result.by.expired) return result;
      await inner.leave({ incarnation: result.by.incarnation }, call);
      return await inner.join(input, call);
    },
  })),
  inSessions("settings are not compared", [/settings that differ are answered/], (inner) => ({
    async join(input, call) {
      const result = await inner.join(input, call);
      return result.outcome === "settings-mismatch" ? await inner.join({ ...input, settings: result.settings }, call) : result;
    },
  })),
  inSessions("declaring dead ignores the beat", [/beat has moved on since it was seen/], (inner) => ({
    async declareDead(input, call) {
      const { presence } = await inner.look({ cursor: nothing, watch: [input.incarnation] }, call);
      return await inner.declareDead({ ...input, beat: presence[0]?.beat ?? 0 }, call);
    },
  })),
  inSessions("declaring dead ignores the lease", [/waits for the store's clock to say so/], (inner) => ({
    declareDead: (input, call) => inner.declareDead({ ...input, requireExpired: false }, call),
  })),
  inSessions("declaring dead ignores the epoch", [
    /declaring dead fails in another epoch/,
    /seen before the epoch changed is worth nothing/,
  ], (inner) => ({
    async declareDead(input, call) {
      const { epoch } = await inner.look({ cursor: nothing, watch: [] }, call);
      return await inner.declareDead({ ...input, epoch }, call);
    },
  })),
  inSessions("metadata that is not plain is mangled", [/settings and metadata are data/], (inner) => ({
    updateMetadata: (input, call) => inner.updateMetadata({ ...input, metadata: input.metadata.replaceAll("\\u0000", "") }, call),
  })),

  // ---- elections
  inSessions("a claim ignores the expected token", [
    /whose token is not the row's is refused/,
    /late claim, sent before another's term/,
  ], (inner) => ({
    async claim(input, call) {
      return await inner.claim({ ...input, expectedToken: (await rowOf(inner, input, call))?.token ?? 0 }, call);
    },
  })),
  inSessions("a claim ignores that the holder is alive", [
    /holder that is alive keeps its election/,
    /nobody declared dead, keeps its election/,
  ], (inner) => ({
    async claim(input, call) {
      const row = await rowOf(inner, input, call);
      if (row?.holder && row.token === input.expectedToken) await inner.resign({ ...row.holder, election: row.election, token: row.token, reason: "taken" }, call);
      return await inner.claim(input, call);
    },
  })),
  inSessions("every claim succeeds", [/exactly one succeeds, round after round/, /delivered twice succeeds once/], (inner) => ({
    async claim(input, call) {
      for (;;) {
        const row = await rowOf(inner, input, call);
        if (row?.holder) await inner.resign({ ...row.holder, election: row.election, token: row.token, reason: "taken" }, call);
        const claimed = await inner.claim({ ...input, expectedToken: row?.token ?? 0 }, call);
        if (claimed !== null || row === undefined) return claimed;
      }
    },
  })),
  inSessions("a claim says that it passed the fence, and did not", [/says whether it did: then the fence stands at its token/, /after a claim that passed the fence no transaction/], (inner) => ({
    async claim(input, call) {
      const claimed = await inner.claim({ ...input, andPass: false }, call);
      return claimed === null ? null : { ...claimed, passed: true };
    },
  })),
  inSessions("a claim passes the fence whatever is open", [/does not pass the fence under an open transaction/], (inner) => ({
    async claim(input, call) {
      const claimed = await inner.claim(input, call);
      return claimed === null ? null : { ...claimed, passed: true };
    },
  })),
  inSessions("a claim that is refused passes the fence all the same", [/refused leaves the fence where it was/], (inner) => ({
    async claim(input, call) {
      const claimed = await inner.claim(input, call);
      const row = await rowOf(inner, input, call);
      if (claimed === null && row?.holder && input.andPass === true) await inner.resign({ ...row.holder, election: row.election, token: row.token, reason: "taken" }, call);
      return claimed ?? (await inner.claim({ ...input, expectedToken: row?.token ?? 0 }, call));
    },
  })),
  inSessions("a claim ignores the epoch", [/claim in another epoch than the server's is refused/], (inner) => ({
    async claim(input, call) {
      const { epoch } = await inner.look({ cursor: nothing, watch: [] }, call);
      return await inner.claim({ ...input, epoch }, call);
    },
  })),
  inSessions("the epoch is adopted by looks as well", [
    /nobody claims before a beat made it the group's/,
    /a look writes nothing|looks show the server's epoch/,
  ], (inner) => ({
    async look(input, call) {
      const { accepted: _accepted, self: _self, ...reply } = await inner.beat({ ...input, incarnation: "nobody", beat: 0, generation: 0, viewSeen: 0 }, call);
      return reply;
    },
  })),
  inSessions("tokens begin at 1, whatever the generation", [
    /first token of a group begins the range of generation 1/,
    /lies in the range of the group's generation/,
  ], (inner) => smallTokens(inner)),
  inSessions("a claim ignores the highest token that the claimant has seen", [/greater than any that the claimant has seen/], (inner) => ({
    claim: (input, call) => inner.claim({ ...input, tokenSeen: 0 }, call),
  })),
  inSessions("a new election always has the server's epoch", [
    /made in a group that has seen another epoch has no epoch/,
  ], (inner) => withRows(inner, (row, reply) => (row.epoch === "" ? { ...row, epoch: reply.epoch } : row))),
  inSessions("a resignation stamps the row with the server's epoch", [/does not stamp the row with a later epoch/], (inner) =>
    withRows(inner, (row, reply) => (row.token > 0 && row.holder === null ? { ...row, epoch: reply.epoch } : row)),
  ),
  inSessions("a resignation ignores the token", [
    /late resignation does not end a later term/,
    /resigning with a token that is not the row's/,
  ], (inner) => ({
    async resign(input, call) {
      return await inner.resign({ ...input, token: (await rowOf(inner, input, call))?.token ?? 0 }, call);
    },
  })),
  inSessions("anybody may resign for the holder", [/or for somebody else, answers false/], (inner) => ({
    async resign(input, call) {
      return await inner.resign({ ...input, incarnation: (await rowOf(inner, input, call))?.holder?.incarnation ?? "" }, call);
    },
  })),
  inSessions("a request to resign ignores the token", [/asking to resign a term that is not the present one/], (inner) => ({
    async requestResign(input, call) {
      return await inner.requestResign({ ...input, token: (await rowOf(inner, input, call))?.token ?? 0 }, call);
    },
  })),
  inSessions("a look shows only the newest of the changes", [/newer than the cursor/, /misses no change/], (inner) => ({
    async look(input, call) {
      const reply = await inner.look(input, call);
      const newest = Math.max(...reply.elections.map((row) => row.version));
      return input.cursor.epoch === reply.epoch ? { ...reply, elections: reply.elections.filter((row) => row.version === newest) } : reply;
    },
  })),
  inSessions("a version can be seen before the change that it counts", [/misses no change/, /each answer of a look is one reading/], (inner) => ({
    async look(input, call) {
      const reply = await inner.look(input, call);
      const { electionsVersion } = await inner.look(input, call);
      return { ...reply, electionsVersion };
    },
  })),
  inSessions("a look takes the view and its number from two statements", [/each answer of a look is one reading/], (inner) => ({
    async look(input, call) {
      const { viewVersion } = await inner.look(input, call);
      return { ...(await inner.look(input, call)), viewVersion };
    },
  })),

  // ---- observers
  inSessions("nobody is told who is an observer", [/who joins as an observer is one to everybody/], (inner) => withPresence(inner, (row) => ({ ...row, observer: false }))),
  inSessions("member rows do not tell who is an observer", [/who joins as an observer is one to everybody/], (inner) => ({
    readMembers: async (input, call) => (await inner.readMembers(input, call)).map((row) => ({ ...row, observer: false })),
  })),

  // ---- evidence of death
  inSessions("sessions hold evidence though nobody asked them to", [/holds evidence only if it was asked to/, /on a session that holds none disarms/], undefined, (context) => ({
    ...context,
    evidence: { leaseMs: 15_000 },
  })),
  inSessions("evidence is held from the join on", [/held before the first beat/], (inner) =>
    withPresence(inner, (row) => (row.state === "alive" && row.evidence === "none" ? { ...row, evidence: "held" } : row)),
  ),
  inSessions("evidence is free while its session lives, once the lease has run out", [/held for as long as its session lives/], (inner) =>
    withPresence(inner, (row) => (row.evidence === "held" && row.expired ? { ...row, evidence: "free" } : row)),
  ),
  remembering("beats on a session that holds none do not disarm", [/on a session that holds none disarms/], (armed) => (inner) =>
    withPresence(inner, (row, reply) => {
      if (row.evidence === "held") armed.add(row.incarnation + reply.epoch);
      return row.evidence === "none" && armed.has(row.incarnation + reply.epoch) ? { ...row, evidence: "held" } : row;
    }),
  ),
  remembering("evidence that was free once stays so", [/what the last beat was armed with/, /counts no more in another epoch/], (free) => (inner) =>
    withPresence(inner, (row) => {
      if (row.evidence === "free") free.add(row.incarnation);
      return row.state === "alive" && free.has(row.incarnation) ? { ...row, evidence: "free" } : row;
    }),
  ),
  inSessions("all sessions hold one and the same", [/each has evidence of its own/], (inner) =>
    withPresence(inner, (row, reply) => (row.evidence === "held" && reply.presence.some((other) => other.evidence === "free") ? { ...row, evidence: "free" } : row)),
  ),
  inSessions("the dead show evidence", [/who is dead shows none/], (inner) => withPresence(inner, (row) => (row.state === "dead" ? { ...row, evidence: "free" } : row))),
  remembering("beats that are refused arm", [/neither arms nor disarms/], (armed) => (inner) => ({
    ...withPresence(inner, (row) => (row.state === "alive" && armed.has(row.incarnation) ? { ...row, evidence: "held" } : row)),
    async beat(input, call) {
      const reply = await inner.beat(input, call);
      if (!reply.accepted && inner.info.evidence.held) armed.add(input.incarnation);
      return reply;
    },
  })),
  remembering("the end of a session that has looked frees what it looked at, as closing a file frees locks", [/who merely looks or attends frees nothing/], (free) => (inner) => {
    const seen = new Set<string>();
    inner.ended.addEventListener("abort", () => {
      for (const incarnation of seen) free.add(incarnation);
    });
    return withPresence(inner, (row) => {
      if (row.evidence === "held") seen.add(row.incarnation);
      return row.evidence === "held" && free.has(row.incarnation) ? { ...row, evidence: "free" } : row;
    });
  }),
  remembering("who looks makes it seem free to whoever looks at the same time", [/many that look at the same time do not disturb/], (looking) => (inner) => ({
    async look(input, call) {
      const self = systemRandom.id();
      looking.add(self);
      const reply = await inner.look(input, call);
      const disturbed = looking.size > 1;
      looking.delete(self);
      return { ...reply, presence: reply.presence.map((row) => (row.evidence === "held" && disturbed ? { ...row, evidence: "free" as const } : row)) };
    },
  })),
  inSessions("declaring dead does not look whether evidence is free", [
    /does nothing while it is held/,
    /does nothing where there is none/,
    /nobody dies of it/,
  ], (inner) => ({ declareDead: (input, call) => inner.declareDead({ ...input, requireFree: false }, call) })),
  inSessions("declaring dead always looks whether evidence is free", [
    /nothing is said about evidence does not look at it/,
  ], (inner) => ({ declareDead: (input, call) => inner.declareDead({ ...input, requireFree: true }, call) })),
  inSessions("declaring dead on free evidence ignores the beat", [
    /does nothing where the beat has moved on/,
    /a beat on a new session that meet/,
  ], (inner) => ({
    async declareDead(input, call) {
      const { presence } = await inner.look({ cursor: nothing, watch: [input.incarnation] }, call);
      await turns(2);
      const free = input.requireFree === true && presence[0]?.evidence === "free";
      return await inner.declareDead(free ? { ...input, requireFree: false, beat: (await inner.look({ cursor: nothing, watch: [input.incarnation] }, call)).presence[0]?.beat ?? 0 } : input, call);
    },
  })),
  inSessions("declaring dead on free evidence ignores the epoch and the lease", [/does nothing where the beat has moved on, in another epoch/], (inner) => ({
    async declareDead(input, call) {
      const { epoch } = await inner.look({ cursor: nothing, watch: [] }, call);
      return await inner.declareDead(input.requireFree === true ? { ...input, epoch, requireExpired: false } : input, call);
    },
  })),
  inSessions("who attends is never told", [
    /attending resolves once/,
    /attending resolves where the evidence is free already/,
    /called off rejects/,
    /rejects with a code when its own session ends/,
  ], () => ({ attend: async () => await new Promise<void>(() => undefined) })),
  inSessions("who attends is told of what comes, and not of what is free already", [/attending resolves where the evidence is free already/], (inner) => ({
    async attend(input) {
      const { presence } = await inner.look({ cursor: nothing, watch: input.incarnations }, { deadlineMs: 1_000 });
      if (!presence.some((row) => row.evidence === "free")) return await inner.attend(input);
      await new Promise<void>((_, reject) => input.signal.addEventListener("abort", () => reject(input.signal.reason as Error)));
    },
  })),
  inSessions("who attends several is told of the last one only", [
    /attending several resolves/,
  ], (inner) => ({ attend: (input) => inner.attend({ ...input, incarnations: input.incarnations.slice(-1) }) })),
  remembering("what is attended seems free to others", [/attending makes nothing seem free/], (attended) => (inner) => ({
    ...withPresence(inner, (row) => (row.evidence === "held" && attended.has(row.incarnation) ? { ...row, evidence: "free" } : row)),
    attend: (input) => during(attended, input.incarnations, inner.attend(input)),
  })),
  remembering("what is attended seems held to others for as long as somebody attends", [/attending makes nothing seem held for longer than an instant/], (attended) => (inner) => ({
    ...withPresence(inner, (row) => (row.evidence === "free" && attended.has(row.incarnation) ? { ...row, evidence: "held" } : row)),
    async attend(input) {
      for (const incarnation of input.incarnations) attended.add(incarnation);
      await inner.attend(input);
    },
  })),
  inSessions("attending that is called off ends its session", [/called off rejects with the signal's reason/, /attending holds up no operation/], (inner) => ({
    async attend(input) {
      await inner.attend(input).catch((error: Error) => {
        inner.destroy(error);
        throw error;
      });
    },
  })),
  inSessions("attending leaves its listener on the signal", [/leaves nothing behind/], (inner) => ({
    attend(input) {
      input.signal.addEventListener("abort", () => undefined);
      return inner.attend(input);
    },
  })),
  {
    fault: "there is no evidence though sessions hold some",
    caughtBy: [/the store has such a thing/],
    alter: (store) => altered<StoreProvider<MemoryTransaction>>(store, { capabilities: { ...store.capabilities, evidence: null } }),
  },

  // ---- evictions
  inSessions("beats of somebody evicted count", [/beats of somebody evicted are not accepted/, /lease of somebody evicted runs out/, /eviction and a beat that meet/], (inner) => ({
    async beat(input, call) {
      const reply = await inner.beat(input, call);
      return reply.self === "evicted" ? { ...reply, accepted: true, self: "alive" } : reply;
    },
  })),
  inSessions("beats of somebody evicted renew its lease all the same", [/lease of somebody evicted runs out/], (inner) =>
    withPresence(inner, (row) => (row.evicted ? { ...row, expired: false } : row)),
  ),
  inSessions("an eviction is a death", [/everybody sees as alive and evicted/, /an eviction changes nothing else/, /its name stays taken while it lives/], (inner) => ({
    async evict(input, call) {
      const { presence } = await inner.look({ cursor: nothing, watch: "all" }, call);
      const evicted = await inner.evict(input, call);
      for (const row of presence) if (row.node === input.node) await inner.leave({ incarnation: row.incarnation }, call);
      return evicted;
    },
  })),
  inSessions("each eviction says that it did something", [
    /second eviction answers false/,
    /node that is not there, that is dead/,
    /many evictions of one node at once/,
  ], (inner) => ({
    async evict(input, call) {
      await inner.evict(input, call);
      return true;
    },
  })),
  remembering("an eviction is of a node for ever", [/an eviction is of one incarnation/], (nodes) => (inner) => ({
    ...withPresence(inner, (row) => {
      if (row.evicted) nodes.add(row.node);
      return { ...row, evicted: nodes.has(row.node) };
    }),
  })),
  inSessions("an evicted incarnation that joins again is refused as a dead one", [/joining again with an incarnation that is evicted/], (inner) => ({
    async join(input, call) {
      const known = await inner.look({ cursor: nothing, watch: [input.incarnation] }, call).catch(() => emptyReply);
      if (known.presence[0]?.evicted === true) throw new TribuneError("INCARNATION_DEAD", "evicted");
      return await inner.join(input, call);
    },
  })),
  inSessions("refused beats of somebody evicted bring nothing", [/shows everything that any other shows/], (inner) => ({
    async beat(input, call) {
      const reply = await inner.beat(input, call);
      return reply.self === "evicted" ? { ...reply, elections: [] } : reply;
    },
  })),

  // ---- fence
  inSessions("the fence lets everybody pass", [
    /superseded, before and after that one passed/,
    /does not hold with exactly that token is superseded/,
    /another epoch than the server's is superseded/,
  ], (inner) => ({
    async passFence(input, call) {
      await inner.passFence(input, call);
      return "passed";
    },
  })),
  inSessions("the fence is said to be passed and stays where it is", [/which then stands at its token/], () => ({ passFence: async () => "passed" })),

  // ---- hand-over
  inSessions("a claim ignores the reservation", [/kept for that node/, /does not end by itself/, /claim that a reservation refuses changes nothing/, /by its whole name/], (inner) => ({
    claim: (input, call) => inner.claim({ ...input, overReservation: true }, call),
  })),
  inSessions("nobody gets past a reservation", [/only who says that it has waited it out gets past/], (inner) => ({
    claim: (input, call) => inner.claim({ ...input, overReservation: false }, call),
  })),
  inSessions("a claim over a reservation is over everything", [/claim over a reservation is refused for all other reasons/], (inner) => ({
    async claim(input, call) {
      const { election, node } = input;
      if (input.overReservation === true) await inner.resume({ election, by: node }, call);
      return await inner.claim(input, call);
    },
  })),
  inSessions("reservations are compared without regard to case", [/by its whole name/], (inner) => ({
    async claim(input, call) {
      const row = await rowOf(inner, input, call);
      const same = row?.reservation?.node.toLowerCase() === input.node.toLowerCase();
      return await inner.claim(same ? { ...input, overReservation: true } : input, call);
    },
  })),
  inSessions("a reservation is dropped", [/kept for that node/, /changes no reservation/, /tells for whom the election is kept/], (inner) => ({
    resign: (input, call) => inner.resign({ ...input, reservation: undefined }, call),
  })),
  {
    fault: "a reservation outlives the claim",
    caughtBy: [/claim clears the reservation/],
    alter(store) {
      const last = new Map<string, ElectionRow["reservation"]>();
      return withSessions(store, (inner) => ({
        ...withRows(inner, (row) => ({ ...row, reservation: last.get(row.election) ?? null })),
        async resign(input, call) {
          if (input.reservation !== undefined) last.set(input.election, input.reservation);
          return await inner.resign(input, call);
        },
      }));
    },
  },
  inSessions("for whom a holder was asked to resign is dropped", [
    /asking to resign for a node is kept with it/,
    /later wish that a holder resigns replaces/,
  ], (inner) => ({ requestResign: (input, call) => inner.requestResign({ ...input, for: undefined }, call) })),
  inSessions("the first wish that a holder resigns stands", [/later wish that a holder resigns replaces/], (inner) => ({
    async requestResign(input, call) {
      const row = await rowOf(inner, input, call);
      return row?.resignRequested === input.token ? true : await inner.requestResign(input, call);
    },
  })),
  inSessions("for whom a holder was asked to resign outlives its term", [/for whom a holder was asked to resign is cleared/], (inner) => {
    let last: string | null = null;
    return withRows(inner, (row) => ({ ...row, resignRequestedFor: (last = row.resignRequestedFor ?? last) }));
  }),
  inSessions("priority and minimum of a term are dropped", [/stores its priority and its minimum term/], (inner) => ({
    claim: (input, call) => inner.claim({ ...input, priority: 0, minimumTermMs: 0 }, call),
  })),
  inSessions("the store goes by priorities", [/goes by none of them/], (inner) => ({
    async claim(input, call) {
      const row = await rowOf(inner, input, call);
      return (row?.priority ?? 0) > (input.priority ?? 0) ? null : await inner.claim(input, call);
    },
  })),

  // ---- pauses
  inSessions("a claim ignores pauses", [/while an election is paused every claim is refused/, /outlives a resignation/, /pause and a claim that meet/], (inner) => ({
    async claim(input, call) {
      const { election, node: by } = input;
      const paused = (await rowOf(inner, input, call))?.paused ?? null;
      if (paused === null) return await inner.claim(input, call);
      await inner.resume({ election, by }, call);
      const claimed = await inner.claim(input, call);
      await inner.pause({ election, by, reason: paused.reason }, call);
      return claimed;
    },
  })),
  inSessions("a claim looks for a pause first and claims then", [/pause and a claim that meet/], (inner) => ({
    async claim(input, call) {
      const { election, node: by } = input;
      if ((await rowOf(inner, input, call))?.paused !== null) return null;
      await turns(2);
      await inner.resume({ election, by }, call);
      return await inner.claim(input, call);
    },
  })),
  inSessions("a pause ends the term", [/holder keeps its term while its election is paused/], (inner) => ({
    async pause(input, call) {
      const row = await rowOf(inner, input, call);
      if (row?.holder) await inner.resign({ election: input.election, incarnation: row.holder.incarnation, token: row.token, reason: "paused" }, call);
      return await inner.pause(input, call);
    },
  })),
  inSessions("a resignation resumes", [/outlives a resignation/], (inner) => ({
    async resign(input, call) {
      await inner.resume({ election: input.election, by: "it" }, call);
      return await inner.resign(input, call);
    },
  })),
  inSessions("a later pause replaces the earlier one", [/a second pause, and resuming/], (inner) => ({
    async pause(input, call) {
      await inner.resume({ election: input.election, by: input.by }, call);
      return await inner.pause(input, call);
    },
  })),
  inSessions("resuming always says that it did something", [/resuming what is not paused/, /neither paused nor resumed/], (inner) => ({
    async resume(input, call) {
      await inner.resume(input, call);
      return true;
    },
  })),
  inSessions("a pause is stamped by nobody's clock", [/kept with its reason, by whom, and the store's time/], (inner) =>
    withRows(inner, (row) => (row.paused === null ? row : { ...row, paused: { ...row.paused, atMs: 0 } })),
  ),
  inSessions("pausing makes what is not there", [/none is made by it/], (inner) => ({
    async pause(input, call) {
      await inner.createElection(input, call);
      return await inner.pause(input, call);
    },
  })),

  // ---- candidates
  {
    fault: "the dead are candidates",
    caughtBy: [/the dead are not listed/, /candidate's death that meet/],
    alter(store) {
      const ever = new Map<string, CandidateRow>();
      return withSessions(store, (inner) => ({
        async setCandidacy(input, call) {
          const [row] = (await inner.look({ cursor: nothing, watch: [input.incarnation] }, call)).presence;
          if (row !== undefined && input.candidacy !== null) ever.set(row.incarnation, { ...input.candidacy, incarnation: row.incarnation, node: row.node, joinOrder: row.joinOrder });
          return await inner.setCandidacy(input, call);
        },
        async readCandidates() {
          return [...ever.values()];
        },
      }));
    },
  },
  inSessions("the youngest candidate is listed first", [/the oldest member first/], (inner) => ({
    readCandidates: async (input, call) => (await inner.readCandidates(input, call)).toReversed(),
  })),
  inSessions("all candidates are taken for fit", [/listed with its node, priority, fitness/, /replaces what was said/], (inner) => ({
    readCandidates: async (input, call) => (await inner.readCandidates(input, call)).map((row) => ({ ...row, fit: true })),
  })),
  inSessions("withdrawing always says that there was something", [/withdrawing answers whether there was something/, /somebody dead or unknown, or for an election that was never made/], (inner) => ({
    setCandidacy: async (input, call) => (await inner.setCandidacy(input, call)) || input.candidacy === null,
  })),
  inSessions("nobody can withdraw", [/who withdraws is listed no more/], (inner) => ({
    setCandidacy: async (input, call) => (input.candidacy === null ? true : await inner.setCandidacy(input, call)),
  })),
  inSessions("candidacies of somebody dead are said to be stored", [/somebody dead or unknown, or for an election that was never made/], (inner) => ({
    setCandidacy: async (input, call) => (await inner.setCandidacy(input, call)) || input.candidacy !== null,
  })),
  inSessions("every candidacy makes an election ranked", [/first priority other than 0 makes an election ranked/, /ranked by itself/, /candidacies send no hint/], (inner) => ({
    async setCandidacy(input, call) {
      if (input.candidacy !== null) await inner.setCandidacy({ ...input, candidacy: { ...input.candidacy, priority: 1 } }, call);
      return await inner.setCandidacy(input, call);
    },
  })),
  inSessions("an election is never ranked", [/first priority other than 0 makes an election ranked/], (inner) => withRows(inner, (row) => ({ ...row, ranked: false }))),
  inSessions("an election is ranked as long as somebody who says so is there", [/it stays so/], (inner) => ({
    async look(input, call) {
      const [reply, reading] = [await inner.look(input, call), await inner.readGroup(call)];
      const isRanked = (election: string) => reading?.candidates.some((row) => row.election === election && row.priority !== 0) === true;
      return { ...reply, elections: reply.elections.map((row) => ({ ...row, ranked: isRanked(row.election) })) };
    },
  })),
  {
    fault: "candidacies outlive what they are about",
    caughtBy: [/publishing forgets the candidacies/],
    alter(store) {
      const said = new Map<string, CandidacyInput>();
      return withSessions(store, (inner) => ({
        async setCandidacy(input, call) {
          said.set(input.incarnation, input);
          return await inner.setCandidacy(input, call);
        },
        async join(input, call) {
          const result = await inner.join(input, call);
          const candidacy = said.get(input.incarnation);
          if (candidacy !== undefined) await inner.setCandidacy(candidacy, call);
          return result;
        },
      }));
    },
  },
  inSessions("a reading of the group has no candidates", [/reading of the group has the candidates/], (inner) => ({
    async readGroup(call) {
      const reading = await inner.readGroup(call);
      return reading === null ? null : { ...reading, candidates: [] };
    },
  })),

  // ---- membership
  inSessions("a view is published without looking at the fence", [/claimed but not passed the fence publishes nothing/], (inner) => ({
    async publishView(input, call) {
      await inner.passFence({ ...input, election: COORDINATOR }, call);
      return await inner.publishView(input, call);
    },
  })),
  inSessions("a view is published without looking at the publisher", [
    /deposed coordinator publishes nothing/,
    /after resigning, a coordinator publishes nothing/,
    /appears after its successor passed the fence/,
  ], (inner) => ({
    async publishView(input, call) {
      if (await inner.publishView(input, call)) return true;
      const { viewVersion } = await inner.look({ cursor: nothing, watch: [] }, call);
      return viewVersion === input.expectedVersion; // as if it had written
    },
  })),
  inSessions("a view is published whatever it was made from", [
    /not the stored one any more/,
    /many views made from one at once/,
    /view that is delivered twice/,
  ], (inner) => ({
    async publishView(input, call) {
      for (let attempt = 0; attempt < 5; attempt++) {
        const { viewVersion } = await inner.look({ cursor: nothing, watch: [] }, call);
        const view = { ...input.view, version: Math.max(input.view.version, viewVersion + 1) };
        if (await inner.publishView({ ...input, expectedVersion: viewVersion, view }, call)) return true;
      }
      return false;
    },
  })),
  inSessions("publishing ignores the epoch", [/publishing in another epoch than the server's/], (inner) => ({
    async publishView(input, call) {
      const { epoch } = await inner.look({ cursor: nothing, watch: [] }, call);
      return await inner.publishView({ ...input, epoch }, call);
    },
  })),
  inSessions("publishing adopts the epoch", [/nothing is published before the group has adopted it/], (inner) => ({
    async publishView(input, call) {
      await inner.beat({ incarnation: "nobody", beat: 0, generation: 0, viewSeen: 0, cursor: nothing, watch: [] }, call);
      return await inner.publishView(input, call);
    },
  })),
  inSessions("a view of an earlier generation is taken for published", [/not in the range of the group's generation/], (inner) => ({
    async publishView(input, call) {
      const { generation } = await inner.look({ cursor: nothing, watch: [] }, call);
      return (await inner.publishView(input, call)) || input.view.version <= viewFloor(generation);
    },
  })),
  inSessions("a view that is out of range forgets the dead all the same", [/not in the range of the group's generation/], (inner) => ({
    async publishView(input, call) {
      if (await inner.publishView(input, call)) return true;
      const { generation, viewVersion } = await inner.look({ cursor: nothing, watch: [] }, call);
      await inner.publishView({ ...input, view: { ...input.view, version: Math.max(viewFloor(generation), viewVersion) + 1 } }, call);
      return false;
    },
  })),
  inSessions("publishing forgets all the dead, at once", [/publishing forgets who died long enough ago/], (inner) => {
    const forgotten = new Set<string>();
    const without = <Reply extends LookReply>(reply: Reply): Reply => ({ ...reply, presence: reply.presence.filter((row) => !forgotten.has(row.incarnation)) });
    return {
      async publishView(input, call) {
        const { presence } = await inner.look({ cursor: nothing, watch: "all" }, call);
        for (const row of presence) if (row.state === "dead") forgotten.add(row.incarnation);
        return await inner.publishView(input, call);
      },
      look: async (input, call) => without(await inner.look(input, call)),
      beat: async (input, call) => without(await inner.beat(input, call)),
    };
  }),
  inSessions("events are stored in another order than given", [/appends the given events in their order/], (inner) => ({
    publishView: (input, call) => inner.publishView({ ...input, events: input.events.toReversed() }, call),
  })),

  // ---- documents
  inSessions("documents are written whatever version they have", [
    /written only where it has the version that the writer saw/,
    /delivered twice counts once/,
    /made again after it was removed has a version that it never had/,
  ], (inner) => ({
    async writeDocument(input, call) {
      const expectedVersion = (await inner.readDocument(input, call))?.version ?? 0;
      return await inner.writeDocument({ ...input, expectedVersion }, call);
    },
  })),
  inSessions("the version of a document is looked at first, and not when it is written", [/saw the same version one writes/, /delivered twice counts once/], (inner) => ({
    async writeDocument(input, call) {
      const seen = await inner.readDocument(input, call);
      if ((seen?.version ?? 0) !== input.expectedVersion) return false;
      await turns(1);
      for (;;) {
        const expectedVersion = (await inner.readDocument(input, call))?.version ?? 0;
        if (await inner.writeDocument({ ...input, expectedVersion, fence: undefined }, call)) return true;
      }
    },
  })),
  inSessions("a refused writing is said to be done", [/written only where it has the version/, /a term counts only with its own token/], (inner) => ({
    async writeDocument(input, call) {
      await inner.writeDocument(input, call);
      return true;
    },
  })),
  inSessions("each document counts its versions anew after it was removed", [/made again after it was removed has a version that it never had/], (inner) => {
    const base = new Map<string, number>();
    const shown = (name: string, version: number) => version - (base.get(name) ?? 0);
    return {
      async readDocument(input, call) {
        const found = await inner.readDocument(input, call);
        return found === null ? null : { ...found, version: shown(input.name, found.version) };
      },
      writeDocument: (input, call) => inner.writeDocument({ ...input, expectedVersion: input.expectedVersion === 0 ? 0 : input.expectedVersion + (base.get(input.name) ?? 0) }, call),
      async removeDocument(input, call) {
        const version = input.expectedVersion + (base.get(input.name) ?? 0);
        const done = await inner.removeDocument({ ...input, expectedVersion: version }, call);
        if (done) base.set(input.name, version);
        return done;
      },
    };
  }),
  inSessions("versions of documents know no generation", [/versions of a later generation are greater/, /that the earlier one could not give/], (inner) => {
    const small = (version: number) => version % TOKENS_PER_GENERATION;
    return {
      async readDocument(input, call) {
        const found = await inner.readDocument(input, call);
        return found === null ? null : { ...found, version: small(found.version) };
      },
      async writeDocument(input, call) {
        const version = (await inner.readDocument(input, call))?.version ?? 0;
        return small(version) === input.expectedVersion && (await inner.writeDocument({ ...input, expectedVersion: version }, call));
      },
    };
  }),
  inSessions("the term of a writing is not looked at", [/written and removed while the term stands with its fence/, /a term counts only with its own/, /no writing that begins after the claim counts/], (inner) => ({
    writeDocument: (input, call) => inner.writeDocument({ ...input, fence: undefined }, call),
  })),
  inSessions("the term of a removal is not looked at", [/written and removed while the term stands with its fence/], (inner) => ({
    removeDocument: (input, call) => inner.removeDocument({ ...input, fence: undefined }, call),
  })),
  inSessions("a term counts without its fence", [/written and removed while the term stands with its fence, and not before/], (inner) => ({
    async writeDocument(input, call) {
      const row = input.fence === undefined ? undefined : await rowOf(inner, input.fence, call);
      const holds = row?.token === input.fence?.token && row?.holder?.incarnation === input.fence?.incarnation;
      return await inner.writeDocument(holds ? { ...input, fence: undefined } : input, call);
    },
  })),
  inSessions("documents are removed whatever version they have", [/removed where it has the version that was seen/], (inner) => ({
    async removeDocument(input, call) {
      const expectedVersion = (await inner.readDocument(input, call))?.version ?? 0;
      return await inner.removeDocument({ ...input, expectedVersion }, call);
    },
  })),
  inSessions("texts of documents are trimmed", [/comes back as it was given/], (inner) => ({
    writeDocument: (input, call) => inner.writeDocument({ ...input, text: input.text.trim() }, call),
  })),
  inSessions("texts that are too large are cut", [/larger one is refused with INVALID_DOCUMENT/], (inner) => ({
    writeDocument: (input, call) => inner.writeDocument({ ...input, text: Buffer.from(input.text).subarray(0, LARGEST_DOCUMENT_BYTES).toString("utf8").replace(/\ufffd$/u, "") }, call),
  })),
  inSessions("names of documents are compared without regard to case", [/names are those that a group could have/], (inner) => ({
    readDocument: (input, call) => inner.readDocument({ name: input.name.toLowerCase() }, call),
    writeDocument: (input, call) => inner.writeDocument({ ...input, name: input.name.toLowerCase() }, call),
  })),
  inSessions("what a list begins with is a pattern", [/listed by what their names begin with/], (inner) => ({
    async listDocuments({ prefix }, call) {
      const pattern = new RegExp(`^${prefix.replaceAll("_", ".")}`);
      return (await inner.listDocuments({ prefix: "" }, call)).filter(({ name }) => pattern.test(name));
    },
  })),
  inSessions("all documents are listed, in the order in which they were made", [/in the order of their names/], (inner) => ({
    listDocuments: async (_, call) => (await inner.listDocuments({ prefix: "" }, call)).toReversed(),
  })),
  inSessions("hints of documents are never sent", [
    /made, written or removed sends a hint/,
  ], (inner) => ({ onHint: (listener) => inner.onHint((hint) => (hint.kind === "document" ? undefined : listener(hint))) })),
  inSessions("a hint of a document has its text", [/none has the text/], (inner) => ({
    onHint: (listener) => inner.onHint((hint) => listener(hint.kind === "document" ? ({ ...hint, text: "s3cr3t-text-of-a-document" } as Hint) : hint)),
  })),
  {
    fault: "refused writings send hints",
    caughtBy: [/writing or a removal that is refused sends no hint/],
    alter: (store) => withHints(store, (inner, tell) => ({ writeDocument: async (input, call) => told(await inner.writeDocument(input, call), tell, { kind: "document", name: input.name }) })),
  },

  // ---- record
  inSessions("event numbers have gaps", [/numbered from 1 without gaps/], (inner) => ({
    async readEvents(input, call) {
      const page = await inner.readEvents(input, call);
      return { ...page, events: page.events.map((each) => ({ ...each, sequence: each.sequence * 2 })) };
    },
  })),
  inSessions("readers are not told of what was forgotten", [/told how many they missed/], (inner) => ({
    async readEvents(input, call) {
      return { ...(await inner.readEvents(input, call)), skipped: 0 };
    },
  })),
  inSessions("a reading of the group is made of two", [/a reading of the group is one reading/], (inner) => ({
    async readGroup(call) {
      const earlier = await inner.readGroup(call);
      const later = await inner.readGroup(call);
      return earlier === null || later === null ? null : { ...later, terms: earlier.terms };
    },
  })),
  inSessions("all groups are one", [/groups are independent/, /names of groups are data/], undefined, (context) => ({ ...context, group: "one" })),
  inSessions("names of groups are compared without regard to case", [
    /names of groups are data/,
  ], undefined, (context) => ({ ...context, group: context.group.toLowerCase() })),

  // ---- hints
  {
    fault: "beats send hints",
    caughtBy: [/beats and looks send no hint/],
    alter: (store) => withHints(store, (inner, tell) => ({ beat: async (input, call) => told(await inner.beat(input, call), tell, { kind: "presence" }) })),
  },
  {
    fault: "refused claims send hints",
    caughtBy: [/what is refused, or changes nothing, sends no hint/],
    alter: (store) =>
      withHints(store, (inner, tell) => ({
        claim: async (input, call) => told(await inner.claim(input, call), tell, { kind: "election", election: input.election }),
      })),
  },
  inSessions("hints are never sent", [
    /a join sends a hint/,
    /a claim sends a hint/,
    /a pause sends a hint/,
    /a resumption sends a hint/,
    /makes an election ranked sends a hint/,
    /an eviction sends a hint/,
    /a published view sends a hint/,
  ], () => ({ onHint: () => () => undefined })),
  inSessions("hints of views are never sent", [
    /a published view sends a hint/,
  ], (inner) => ({ onHint: (listener) => inner.onHint((hint) => (hint.kind === "view" ? undefined : listener(hint))) })),
  {
    fault: "a hint of a new view comes before it can be read",
    caughtBy: [/a published view sends a hint to other sessions, after which it can be read/],
    alter: (store) =>
      withHints(
        store,
        (inner, tell) => ({
          async publishView(input, call) {
            tell({ kind: "view" });
            await new Promise((resolve) => setImmediate(resolve));
            return await inner.publishView(input, call);
          },
        }),
        (hint) => hint.kind !== "view",
      ),
  },
  inSessions("a listener cannot be taken away", [/listener that was taken away hears no more/], (inner) => ({
    onHint(listener) {
      inner.onHint(listener);
      return () => undefined;
    },
  })),

  // ---- session
  inSessions("a closed session goes on working", [/after close, ended is aborted/, /a session ends once/], () => ({ close: async () => undefined })),
  inSessions("what ended a session is not told", [
    /after destroy, ended is aborted at once with the reason given/,
  ], (inner) => ({ destroy: () => inner.destroy(new Error("ended")) })),

  // ---- fenced transactions
  inTransactions("transactions do not look at the fence", [/its work is not even run/, /claimed but has not passed the fence is TERM_LOST/, /loses no increment/], () => ({
    transaction: (_, work) => unfenced(work),
  })),
  inTransactions("the fence is looked at but not held until the commit", [/successor is told busy/, /loses no increment/], (inner) => ({
    async transaction(fence, work) {
      await inner.transaction(fence, () => undefined);
      return await unfenced(work);
    },
  })),
  inTransactions("a guard does not hold the fence", [/until then no successor passes/], () => ({ guard: async () => undefined })),
  inTransactions("what the work wrote is kept when it fails", [/rolls everything back/], (inner) => ({
    transaction: (fence, work) => inner.transaction(fence, (tx) => work(altered(tx, { onCommit: (effect: () => void) => effect() }))),
  })),
  inTransactions("the holder is not asked once more before the commit", [/and before the commit, which is not made/], (inner) => ({
    transaction: (fence, work) => inner.transaction({ ...fence, mayAct: () => true }, work),
  })),
  inTransactions("a missing fence is taken for a lost term", [/is FENCE_NOT_FOUND/], (inner) => ({
    transaction: (fence, work) => inner.transaction({ ...fence, group: fence.group, election: fence.election === "unmade" ? "scheduler" : fence.election }, work),
  })),
  // ---- diagnosis
  inDiagnosis("a diagnosis shows a password", [/nothing has a password/], (findings) => [...findings, { check: "way", level: "ok", found: "through postgres://me:geheim@db/app" }]),
  inDiagnosis("a diagnosis complains without a next step", [/whatever is not ok has a next step/], (findings) => findings.map(({ check, found }) => ({ check, level: "warn", found }))),
  inDiagnosis("a diagnosis says the same twice", [/each check is there once/], (findings) => [...findings, ...findings]),
];

/** Faults in what opening does about the schema that it found. */
const SCHEMA_FAULTS: readonly { readonly fault: string; readonly caughtBy: RegExp; readonly step: typeof schemaStep }[] = [
  {
    fault: "every newer schema is refused",
    caughtBy: /newer schema that says that it works with this code/,
    step: ({ version }, options) => schemaStep({ version, worksWith: version }, options),
  },
  { fault: "every newer schema is taken", caughtBy: /newer schema that does not work with this code/, step: ({ version }, options) => schemaStep({ version, worksWith: 1 }, options) },
  {
    fault: "a newer schema is brought down to this code's version",
    caughtBy: /newer schema that says that it works with this code/,
    step: (installed, options) => (installed.version > SCHEMA_VERSION && options.createSchema ? "migrate" : schemaStep(installed, options)),
  },
  { fault: "a missing schema is always made", caughtBy: /store without schema is refused/, step: (installed, options) => schemaStep(installed, { ...options, createSchema: true }) },
  { fault: "an older schema is never brought up to date", caughtBy: /older schema is refused/, step: (installed, options) => schemaStep(installed, { ...options, createSchema: false }) },
];

/** The cases about schemas, on stores in memory that say what they have and go by `step` as a database does. */
function schemaCases(step: typeof schemaStep) {
  const schemaAt = async (installed: InstalledSchema) => withSchema(memory(), installed, step);
  return storeConformanceCases<MemoryTransaction>({ place: () => ({ provider: memory(), schemaAt }), clock: hasty }).filter((each) => each.record === "session" && /schema/.test(each.title));
}

function withSchema(store: MemoryProvider, found: InstalledSchema, step: typeof schemaStep): StoreProvider<MemoryTransaction> {
  let installed = found;
  const migrate = async () => {
    const from = installed.version;
    if (step(installed, { label: store.label, createSchema: true }) === "migrate") installed = { version: SCHEMA_VERSION, worksWith: SCHEMA_WORKS_WITH };
    return { from, to: installed.version };
  };
  const told = withSessions<MemoryTransaction>(store, (inner) => ({
    async readGroup(call) {
      const reading = await inner.readGroup(call);
      return reading === null ? null : { ...reading, schemaVersion: installed.version };
    },
  }));
  return altered(told, {
    schema: { ...store.schema, installed: async () => installed, migrate },
    async open(context: OpenContext) {
      if (step(installed, { label: store.label, createSchema: context.createSchema }) === "migrate") await migrate();
      return await told.open(context);
    },
  });
}

describe("the conformance suite of stores", () => {
  for (const { fault, caughtBy, alter } of FAULTS) {
    it(`catches a store where ${fault}`, async () => {
      const cases = storeConformanceCases<MemoryTransaction>({ place: (): StorePlace<MemoryTransaction> => memoryPlace(alter), clock: hasty });
      for (const title of caughtBy) {
        const fitting = cases.filter((each) => title.test(each.title));
        assert.ok(fitting.length > 0, `no case has a title like ${title}`);
        const outcomes = await Promise.all(fitting.map(async (each) => await outcomeOf(each.run())));
        assert.ok(outcomes.includes("failed"), `no case like ${title} failed: ${outcomes.join(", ")}`);
      }
    });
  }

  it("passes a store whose schema is read as the contract says", async () => {
    for (const each of schemaCases(schemaStep)) assert.equal(await outcomeOf(each.run()), "passed", each.title);
  });

  for (const { fault, caughtBy, step } of SCHEMA_FAULTS) {
    it(`catches a store where ${fault}`, async () => {
      const fitting = schemaCases(step).filter((each) => caughtBy.test(each.title));
      assert.deepEqual(await Promise.all(fitting.map(async (each) => await outcomeOf(each.run()))), ["failed"]);
    });
  }

  it("gives each case a title of its own", () => {
    const titles = storeConformanceCases({ place: () => memoryPlace() }).map((each) => each.title);
    assert.deepEqual(titles.length, new Set(titles).size);
  });

  it("reports a case as skipped, with the reason, where the place does not offer what it needs", async () => {
    const cases = storeConformanceCases<MemoryTransaction>({ place: () => ({ provider: memoryPlace().provider }) });
    const skipped = await cases.find((each) => /loses no increment/.test(each.title))?.run();
    assert.deepEqual(skipped, { skipped: "the place offers no table" });
  });
});

async function outcomeOf(run: Promise<{ readonly skipped?: string }>): Promise<"passed" | "skipped" | "failed"> {
  try {
    return (await run).skipped === undefined ? "passed" : "skipped";
  } catch {
    return "failed";
  }
}

/** Twenty seconds go by in one, so that what is waited for in vain does not take long. */
const HASTE = 20;

const hasty: Clock = {
  monotonicMs: () => systemClock.monotonicMs() * HASTE,
  wallMs: () => systemClock.wallMs(),
  setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / HASTE, callback),
};

const nothing = { epoch: "", electionsVersion: 0, viewVersion: 0 };

const emptyReply: LookReply = { storeTimeMs: 0, epoch: "x", generation: 1, electionsVersion: 0, elections: [], viewVersion: 0, view: null, presence: [], longestLeaseMs: 0 };

type Alter = (inner: StoreSession) => Partial<StoreSession>;

/** A fault in what sessions do. */
function inSessions(fault: string, caughtBy: readonly RegExp[], alter: Alter = () => ({}), contextOf = (context: OpenContext) => context): Fault {
  return {
    fault,
    caughtBy,
    alter(store) {
      const open = (context: OpenContext) => store.open(contextOf(context));
      return withSessions(altered<StoreProvider<MemoryTransaction>>(store, { open }), (inner) => alter(inner));
    },
  };
}

/** Like `inSessions`, where the sessions of a store have a memory in common. */
function remembering(fault: string, caughtBy: readonly RegExp[], alter: (remembered: Set<string>) => Alter): Fault {
  return { fault, caughtBy, alter: (store) => withSessions<MemoryTransaction>(store, alter(new Set())) };
}

/** A fault in fenced transactions. */
function inTransactions(
  fault: string,
  caughtBy: readonly RegExp[],
  alter: (inner: FencedTransactions<MemoryTransaction>) => Partial<FencedTransactions<MemoryTransaction>>,
): Fault {
  return { fault, caughtBy, alter: (store) => altered<StoreProvider<MemoryTransaction>>(store, { fenced: altered(store.fenced, alter(store.fenced)) }) };
}

function inDiagnosis(fault: string, caughtBy: readonly RegExp[], alter: (findings: readonly Finding[]) => readonly Finding[]): Fault {
  return { fault, caughtBy, alter: (store) => altered<StoreProvider<MemoryTransaction>>(store, { diagnose: async () => alter(await store.diagnose()) }) };
}

/** Sessions that can tell the listeners of all sessions of hints of their own making, beside the store's that `keep` lets pass. */
function withHints(
  store: MemoryProvider,
  alter: (inner: StoreSession, tell: (hint: Hint) => void) => Partial<StoreSession>,
  keep: (hint: Hint) => boolean = () => true,
): StoreProvider<MemoryTransaction> {
  const listeners = new Set<(hint: Hint) => void>();
  const tell = (hint: Hint) => {
    for (const listener of listeners) listener(hint);
  };
  return withSessions(store, (inner) => ({
    ...alter(inner, tell),
    onHint(listener) {
      listeners.add(listener);
      const stop = inner.onHint((hint) => (keep(hint) ? listener(hint) : undefined));
      return () => {
        listeners.delete(listener);
        stop();
      };
    },
  }));
}

function told<T>(value: T, tell: (hint: Hint) => void, hint: Hint): T {
  tell(hint);
  return value;
}

async function unfenced<Result>(work: (tx: MemoryTransaction) => Result | Promise<Result>): Promise<Result> {
  const effects: (() => void)[] = [];
  const result = await work({ onCommit: (effect) => void effects.push(effect) });
  for (const effect of effects) effect();
  return result;
}

async function rowOf(inner: StoreSession, { election }: { readonly election: string }, call: Call): Promise<ElectionRow | undefined> {
  return (await inner.look({ cursor: nothing, watch: [] }, call)).elections.find((row) => row.election === election);
}

/** Looks and beats that show election rows as `change` makes them. */
function withRows(inner: StoreSession, change: (row: ElectionRow, reply: LookReply) => ElectionRow): Partial<StoreSession> {
  const changed = <Reply extends LookReply | BeatReply>(reply: Reply): Reply => ({ ...reply, elections: reply.elections.map((row) => change(row, reply)) });
  return {
    look: async (input, call) => changed(await inner.look(input, call)),
    beat: async (input, call) => changed(await inner.beat(input, call)),
  };
}

/** Looks, beats and readings that show presence rows as `change` makes them. */
function withPresence(inner: StoreSession, change: (row: PresenceRow, reply: { readonly epoch: string; readonly presence: readonly PresenceRow[] }) => PresenceRow): Partial<StoreSession> {
  const changed = <Reply extends { readonly epoch: string; readonly presence: readonly PresenceRow[] }>(reply: Reply): Reply => ({
    ...reply,
    presence: reply.presence.map((row) => change(row, reply)),
  });
  return {
    look: async (input, call) => changed(await inner.look(input, call)),
    beat: async (input, call) => changed(await inner.beat(input, call)),
    async readGroup(call) {
      const reading = await inner.readGroup(call);
      return reading === null ? null : changed(reading);
    },
  };
}

/** `work`, with `names` in the set until it is over. */
async function during(set: Set<string>, names: readonly string[], work: Promise<void>): Promise<void> {
  for (const name of names) set.add(name);
  try {
    await work;
  } finally {
    for (const name of names) set.delete(name);
  }
}

/** Lets others go on. */
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}

/** Tokens without the part that the generation gives them, in everything that goes in and comes out. */
function smallTokens(inner: StoreSession): Partial<StoreSession> {
  const shownAs = new Map<number, number>([[0, 0]]);
  const shown = (token: number) => {
    const small = token === 0 ? 0 : (token % TOKENS_PER_GENERATION) + 1;
    shownAs.set(small, token);
    return small;
  };
  const meant = (token: number) => shownAs.get(token) ?? token;
  return {
    ...withRows(inner, (row) => ({ ...row, token: shown(row.token) })),
    async claim(input: ClaimInput, call) {
      const claimed = await inner.claim({ ...input, expectedToken: meant(input.expectedToken) }, call);
      return claimed === null ? null : { ...claimed, token: shown(claimed.token) };
    },
    passFence: (input, call) => inner.passFence({ ...input, token: meant(input.token) }, call),
    resign: (input, call) => inner.resign({ ...input, token: meant(input.token) }, call),
  };
}
