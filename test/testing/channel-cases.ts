import type { History, HistoryEvent } from "../../src/testing/history/index.ts";
import { at, calm, history, of, paused, resumed, view } from "./history-words.ts";
import type { Cases, Entry } from "./history-words.ts";

type ChannelCheck = "handledOnce" | "handledByWhomItIsFor" | "handledInOrder" | "handledInOneOrder" | "handledOneByOne" | "acknowledgedIsHandled" | "everyTargetHasAResult" | "answersAreOfHandlers" | "streamsAreWhole" | "stateGivenOnce" | "waitsEnd" | "messagesArrive";

/** Both are members, with open channels. */
const together = [...of("a", view(0, 1, ["a", "b"]), at(0, "channel-opened")), ...of("b", view(0, 1, ["a", "b"]), at(0, "channel-opened"))];

const sent = (t: number, message: number, more: object = {}): Entry => at(t, "sent", { topic: "t", message, mode: "ack", ordered: true, roomy: true, to: ["b-i"], missing: [], deadlineMs: 1_000, ...more });
const over = (t: number, message: number, status: string, more: object = {}): Entry => at(t, "send-over", { topic: "t", message, ok: status === "delivered", code: "", results: [{ target: "b-i", status, code: "" }], ...more });
const taken = (t: number, message: number): Entry => over(t, message, "", { ok: false, results: [] });
const began = (t: number, message: number, more: object = {}): Entry => at(t, "handling-began", { topic: "t", from: "a-i", message, ...more });
const ended = (t: number, message: number, code = ""): Entry => at(t, "handling-ended", { topic: "t", from: "a-i", message, code });
const gap = (t: number, number: number): Entry => at(t, "gap-told", { topic: "t", from: "a-i", number });
const closed = (t: number): Entry => at(t, "channel-closed");
const asked = (t: number, more: object = {}): Entry => at(t, "asked", { topic: "r", message: 1, policy: "first", to: ["b-i"], deadlineMs: 1_000, ...more });
const answering = (t: number): Entry => at(t, "answering-began", { topic: "r", from: "a-i", message: 1 });
const answered = (t: number, code = ""): Entry => at(t, "answering-ended", { topic: "r", from: "a-i", message: 1, code });
const askOver = (t: number, ok: boolean, replies: readonly object[]): Entry => at(t, "ask-over", { topic: "r", message: 1, ok, code: "", replies });
const replied = { target: "b-i", status: "replied", code: "", answered: { message: 1, by: "b-i" } };
const obtained = (t: number, more: object = {}): Entry => at(t, "state-obtained", { from: ["a"], entries: 9, missing: 0, repeated: 0, code: "", ...more });
const posted = (t: number, message: number): Entry => sent(t, message, { inOneOrder: true, to: ["a-i", "b-i"] });
const streamAsked = (t: number, more: object = {}): Entry => at(t, "stream-asked", { topic: "s", message: 1, to: "b-i", window: 2, deadlineMs: 10_000, ...more });
const item = (t: number, number: number, by = "b-i"): Entry => at(t, "stream-item", { topic: "s", message: 1, number, by });
const streamOver = (t: number, how: string, status = "", code = ""): Entry => at(t, "stream-over", { topic: "s", message: 1, how, status, code });
const giving = (t: number): Entry => at(t, "giving-began", { topic: "s", from: "a-i", message: 1 });
const gave = (t: number, given: number, how = "all", code = ""): Entry => at(t, "giving-ended", { topic: "s", from: "a-i", message: 1, given, how, code });
const end = (t: number) => of("b", at(t, "resumed", { cause: "nothing" }));

const story = (...parts: readonly HistoryEvent[][]): History => history(together, ...parts);

export const CHANNEL_CASES: Readonly<Record<ChannelCheck, Cases>> = {
  handledOnce: {
    good: {
      "each once": story(of("a", sent(1, 1), sent(2, 2)), of("b", began(3, 1), began(4, 2))),
      "the same number on another topic, and of another sender": story(of("b", began(3, 1), began(4, 1, { topic: "u" }), began(5, 1, { from: "c-i" }))),
      "by a later incarnation of the process": history(of("b", began(3, 1)), of("b", { ...began(4, 1), incarnation: "b-j" })),
    },
    bad: {
      "twice": { history: story(of("b", began(3, 1), began(4, 1))), says: /b \(b-i\) handled message a-i t 1 again/ },
      "three times": { history: story(of("b", began(3, 1), began(4, 1), began(5, 1))), says: /again/, times: 2 },
      "again much later": { history: story(of("b", began(3, 1), began(4, 2), began(9_000, 1))), says: /t 1 again/ },
    },
  },
  handledByWhomItIsFor: {
    good: {
      "by whom it was sent to": story(of("a", sent(1, 1)), of("b", began(2, 1))),
      "before its sender leaves": story(of("a", sent(1, 1)), of("b", began(2, 1), view(3, 2, ["b"]))),
      "of oneself, who is out of the view": story(of("b", sent(1, 1, { to: ["b-i"] }), view(2, 2, ["a"]), began(3, 1, { from: "b-i" }))),
    },
    bad: {
      "by another one": { history: story(of("a", sent(1, 1, { to: ["c-i"] })), of("b", began(2, 1))), says: /was not for this incarnation/ },
      "what nobody has sent": { history: story(of("b", began(2, 1))), says: /nobody has sent/ },
      "by a closed channel": { history: story(of("a", sent(1, 1)), of("b", closed(2), began(3, 1))), says: /after its channel was closed/ },
      "of who is gone": { history: story(of("a", sent(1, 1)), of("b", view(2, 2, ["b"]), began(3, 1))), says: /no member in its view/ },
    },
  },
  handledInOrder: {
    good: {
      "one after the other": story(of("a", sent(1, 1), sent(2, 2)), of("b", began(3, 1), began(4, 2))),
      "over a gap that was told": story(of("a", sent(1, 1), sent(2, 2), sent(3, 3)), of("b", began(4, 1), gap(5, 2), began(6, 3))),
      "over what was for others": story(of("a", sent(1, 1), sent(2, 2, { to: ["c-i"] }), sent(3, 3)), of("b", began(4, 1), began(6, 3))),
      "without order": story(of("a", sent(1, 1, { ordered: false }), sent(2, 2, { ordered: false })), of("b", began(4, 2), began(6, 1))),
      "over what never had a place": story(of("a", sent(1, 1, { roomy: false }), sent(2, 2, { roomy: false })), of("b", began(4, 2))),
    },
    bad: {
      "the later one first": { history: story(of("a", sent(1, 1), sent(2, 2)), of("b", gap(3, 1), began(3, 2), began(4, 1))), says: /t 1 after 2, which was sent later/ },
      "a gap that nobody told": { history: story(of("a", sent(1, 1), sent(2, 2), sent(3, 3)), of("b", began(4, 1), began(6, 3))), says: /after 1: 1 were left out, and it was told of 0 gaps/ },
      "the first is missing": { history: story(of("a", sent(1, 1), sent(2, 2)), of("b", began(4, 2))), says: /after none: 1 were left out/ },
      "a gap where there is none": { history: story(of("a", sent(1, 1), sent(2, 2)), of("b", began(3, 1), gap(4, 2), began(5, 2))), says: /0 were left out, and it was told of 1 gaps/ },
      "a gap at another place": { history: story(of("a", sent(1, 1), sent(2, 2), sent(3, 3), sent(4, 4)), of("b", began(5, 1), began(6, 3), gap(7, 2), began(8, 4))), says: /left out/, times: 2 },
    },
  },
  handledInOneOrder: {
    good: {
      "the same at both": story(of("a", posted(1, 1), posted(2, 2), began(3, 1), began(4, 2)), of("b", began(5, 1), began(6, 2))),
      "of two senders, the same at both": story(of("a", posted(1, 1), began(3, 1), began(4, 1, { from: "b-i" })), of("b", posted(1, 1), began(5, 1), began(6, 1, { from: "b-i" }))),
      "over a gap that was told": story(of("a", posted(1, 1), posted(1, 2), posted(1, 3), began(3, 1), began(4, 2), began(5, 3)), of("b", began(5, 1), gap(6, 3), began(7, 3))),
      "from later on": story(of("a", posted(1, 1), posted(1, 2), posted(1, 3), began(3, 1), began(4, 2), began(5, 3)), of("b", began(6, 2), began(7, 3))),
      "otherwise at one who was out of the view by then": story(of("a", posted(1, 1), began(3, 1), began(4, 1, { from: "b-i" }), view(4, 2, ["a"])), of("b", posted(1, 1), began(5, 1, { from: "b-i" }), began(6, 1))),
      "otherwise, on a topic without it": story(of("a", sent(1, 1), began(3, 1), began(4, 1, { from: "b-i" })), of("b", sent(1, 1), began(5, 1, { from: "b-i" }), began(6, 1))),
    },
    bad: {
      "of two senders, at each its own first": { history: story(of("a", posted(1, 1), began(3, 1), began(4, 1, { from: "b-i" })), of("b", posted(1, 1), began(5, 1, { from: "b-i" }), began(6, 1))), says: /a \(a-i\) handled a-i t 1 before b-i t 1, and b \(b-i\) after it/ },
      "the same, and one leaves later": { history: story(of("a", posted(1, 1), began(3, 1), began(4, 1, { from: "b-i" }), view(7, 2, ["a"])), of("b", posted(1, 1), began(5, 1, { from: "b-i" }), began(6, 1))), says: /after it/ },
      "over a gap that nobody told": { history: story(of("a", posted(1, 1), posted(1, 2), posted(1, 3), began(3, 1), began(4, 2), began(5, 3)), of("b", began(5, 1), began(7, 3))), says: /b \(b-i\) went from a-i t 1 to a-i t 3 and was told of no gap, where a \(a-i\) has handled 1 more/ },
      "over a gap that was told elsewhere": { history: story(of("a", posted(1, 1), posted(1, 2), posted(1, 3), began(3, 1), began(4, 2), began(5, 3)), of("b", gap(4, 3), began(5, 1), began(7, 3))), says: /was told of no gap/ },
      "one sender's, turned round": { history: story(of("a", posted(1, 1), posted(2, 2)), of("b", began(5, 2), began(6, 1))), says: /handled message a-i t 1 after 2 of the same sender/ },
    },
  },
  handledOneByOne: {
    good: {
      "one has ended when the next begins": story(of("a", sent(1, 1), sent(2, 2)), of("b", began(3, 1), ended(4, 1), began(4, 2), ended(5, 2))),
      "of two senders, side by side": story(of("a", sent(1, 1)), of("b", sent(1, 1), began(3, 1), began(4, 1, { from: "b-i" }), ended(5, 1))),
      "without order, side by side": story(of("a", sent(1, 1, { ordered: false }), sent(2, 2, { ordered: false })), of("b", began(3, 1), began(4, 2), ended(5, 1), ended(6, 2))),
      "by a later incarnation, where the one before has ended in the middle": story(of("a", posted(1, 1), posted(2, 2)), of("b", began(3, 1)), of("b", { ...began(9, 2), incarnation: "b-j" })),
    },
    bad: {
      "the next one begins before the end": { history: story(of("a", sent(1, 1), sent(2, 2)), of("b", began(3, 1), began(4, 2), ended(5, 1), ended(6, 2))), says: /b \(b-i\) handled message a-i t 2 while it was still at a-i t 1/ },
      "of two senders, in one order": { history: story(of("a", posted(1, 1)), of("b", posted(1, 1), began(3, 1), began(4, 1, { from: "b-i" }), ended(5, 1))), says: /b-i t 1 while it was still at a-i t 1/ },
      "three at once": { history: story(of("a", posted(1, 1), posted(2, 2), posted(3, 3)), of("b", began(4, 1), began(5, 2), began(6, 3))), says: /while it was still at/, times: 2 },
    },
  },
  acknowledgedIsHandled: {
    good: {
      "told when it had finished": story(of("a", sent(1, 1)), of("b", began(2, 1), ended(3, 1)), of("a", over(4, 1, "delivered"))),
      "told that it failed": story(of("a", sent(1, 1)), of("b", began(2, 1), ended(3, 1, "OUT_OF_ORDER")), of("a", over(4, 1, "failed", { results: [{ target: "b-i", status: "failed", code: "OUT_OF_ORDER" }] }))),
      "not known": story(of("a", sent(1, 1)), of("b", began(2, 1), ended(3, 1)), of("a", over(4, 1, "timeout"))),
    },
    bad: {
      "before the handler has finished": { history: story(of("a", sent(1, 1)), of("b", began(2, 1), ended(9, 1)), of("a", over(4, 1, "delivered"))), says: /was told delivered at b-i, which had not finished with it/ },
      "never handled": { history: story(of("a", sent(1, 1), over(4, 1, "delivered"))), says: /never finished with it/ },
      "the handler failed": { history: story(of("a", sent(1, 1)), of("b", began(2, 1), ended(3, 1, "OUT_OF_ORDER")), of("a", over(4, 1, "delivered"))), says: /failed with OUT_OF_ORDER/ },
      "a failure that was none": { history: story(of("a", sent(1, 1)), of("b", began(2, 1), ended(3, 1)), of("a", over(4, 1, "failed", { results: [{ target: "b-i", status: "failed", code: "OUT_OF_ORDER" }] }))), says: /whose handler did not fail/ },
      "ok with less than all": { history: story(of("a", sent(1, 1), over(4, 1, "timeout", { ok: true }))), says: /is ok with b-i timeout/ },
    },
  },
  everyTargetHasAResult: {
    good: {
      "one for each": story(of("a", sent(1, 1, { missing: ["z"] }), over(2, 1, "timeout", { results: [{ target: "b-i", status: "timeout", code: "" }, { target: "z", status: "left", code: "" }] }))),
      "none where nothing is awaited": story(of("a", sent(1, 1, { mode: "async" }), taken(2, 1))),
      "left with the view": story(of("a", sent(1, 1), view(2, 2, ["a"]), over(2, 1, "left"))),
      "left with one's own end": story(of("a", sent(1, 1), closed(2), over(3, 1, "left"))),
    },
    bad: {
      "one is missing": { history: story(of("a", sent(1, 1), over(2, 1, "timeout", { results: [] }))), says: /has results of nobody, where it was for b-i/ },
      "one is too many": { history: story(of("a", sent(1, 1, { mode: "async" }), over(2, 1, "timeout"))), says: /has results of b-i, where it was for nobody/ },
      "twice": { history: story(of("a", sent(1, 1), over(2, 1, "", { results: [{ target: "b-i", status: "timeout", code: "" }, { target: "b-i", status: "timeout", code: "" }] }))), says: /b-i, b-i/ },
      "left, and is a member": { history: story(of("a", sent(1, 1), over(2, 1, "left"))), says: /has left, which is a member/ },
    },
  },
  answersAreOfHandlers: {
    good: {
      "an answer": story(of("a", asked(1)), of("b", answering(2), answered(3)), of("a", askOver(4, true, [replied]))),
      "a failure": story(of("a", asked(1)), of("b", answering(2), answered(3, "OUT_OF_ORDER")), of("a", askOver(4, false, [{ target: "b-i", status: "failed", code: "OUT_OF_ORDER" }]))),
      "nothing in time": story(of("a", asked(1), askOver(1_002, false, [{ target: "b-i", status: "timeout", code: "" }]))),
    },
    bad: {
      "worked on twice": { history: story(of("a", asked(1)), of("b", answering(2), answering(3)), of("a", askOver(4, false, []))), says: /b \(b-i\) works on it again/ },
      "nobody has asked": { history: story(of("b", answering(2))), says: /nobody has asked/ },
      "an answer before the end": { history: story(of("a", asked(1)), of("b", answering(2)), of("a", askOver(4, true, [replied]))), says: /that nobody has finished/ },
      "a failure of nobody": { history: story(of("a", asked(1), askOver(4, false, [{ target: "b-i", status: "failed", code: "OUT_OF_ORDER" }]))), says: /that nobody had/ },
      "half is no majority": { history: story(of("a", asked(1, { policy: "majority", to: ["b-i", "c-i"] })), of("b", answering(2), answered(3)), of("a", askOver(4, true, [replied]))), says: /"majority" is met, with 1 answers of 2/ },
      "beyond the deadline": { history: story(of("a", asked(1), askOver(3_000, false, []))), says: /waited 2999 ms, with a deadline of 1000/ },
      "for ever": { history: story(of("a", asked(1)), end(5_000)), says: /still waits at the end/ },
    },
  },
  streamsAreWhole: {
    good: {
      "to its end": story(of("a", streamAsked(1), item(3, 1), item(4, 2), item(5, 3), streamOver(6, "end")), of("b", giving(2), gave(5, 3))),
      "none at all": story(of("a", streamAsked(1), streamOver(6, "end")), of("b", giving(2), gave(5, 0))),
      "until it has enough": story(of("a", streamAsked(1), item(3, 1), streamOver(4, "left-off")), of("b", giving(2), gave(5, 3, "ended")), calm(10, ["a", "b"]), end(90_000)),
      "until it fails": story(of("a", streamAsked(1), item(3, 1), streamOver(6, "broken", "failed", "OUT_OF_ORDER")), of("b", giving(2), gave(5, 1, "threw", "OUT_OF_ORDER"))),
      "until its giver has left": story(of("a", streamAsked(1), item(3, 1), view(5, 2, ["a"]), streamOver(6, "broken", "left")), of("b", giving(2))),
    },
    bad: {
      "one left out": { history: story(of("a", streamAsked(1), item(3, 1), item(4, 3), streamOver(6, "left-off")), of("b", giving(2), gave(5, 3, "ended"))), says: /got reply 3 of b-i after 1 of b-i/ },
      "one again": { history: story(of("a", streamAsked(1), item(3, 1), item(4, 1), streamOver(6, "left-off")), of("b", giving(2), gave(5, 1, "ended"))), says: /got reply 1 of b-i after 1 of b-i/ },
      "an end before the end": { history: story(of("a", streamAsked(1), item(3, 1), streamOver(4, "end")), of("b", giving(2), gave(5, 2))), says: /came to its end after 1 replies, which nobody gave for all/ },
      "a failure before what came before it": { history: story(of("a", streamAsked(1), item(3, 1), streamOver(6, "broken", "failed", "OUT_OF_ORDER")), of("b", giving(2), gave(5, 2, "threw", "OUT_OF_ORDER"))), says: /was told of a failure after 1 replies, where nobody failed/ },
      "more than there is room for": { history: story(of("a", streamAsked(1), item(3, 1), streamOver(9, "left-off")), of("b", giving(2), gave(5, 4, "ended"))), says: /was given 4 replies when 1 were taken, with room for 2/ },
      "given twice": { history: story(of("a", streamAsked(1), streamOver(9, "end")), of("b", giving(2), gave(5, 0), giving(6), gave(7, 0))), says: /was given twice by one member/ },
      "left, who is a member": { history: story(of("a", streamAsked(1), item(3, 1), streamOver(6, "broken", "left")), of("b", giving(2))), says: /told that b-i has left, which is a member/ },
      "given on and on": { history: story(of("a", streamAsked(1), item(3, 1), streamOver(4, "left-off")), of("b", giving(2)), calm(10, ["a", "b"]), end(90_000)), says: /is still given by b-i at the end/ },
      "waited for without end": { history: story(of("a", streamAsked(1)), end(90_000)), says: /is still waited for at the end/ },
      "broken, though all is well": { history: story(calm(0, ["a", "b"]), of("a", streamAsked(30_000), item(30_001, 1), streamOver(40_000, "broken", "timeout")), of("b", giving(30_000), gave(40_001, 2, "ended")), end(90_000)), says: /broke with timeout, though all is well/ },
      "waited for, though its giver has left": { history: story(of("a", streamAsked(1), item(3, 1), view(100, 2, ["a"]), streamOver(10_000, "broken", "timeout")), of("b", giving(2))), says: /though its giver had left with view 2/ },
    },
  },
  stateGivenOnce: {
    good: {
      "all of it": story(of("b", at(1, "state-began"), obtained(2))),
      "begun without": story(of("b", at(1, "state-began"), obtained(2, { from: [] }))),
      "at the second attempt": story(of("b", at(1, "state-began"), obtained(2, { from: [], code: "STATE_UNAVAILABLE" }), at(3, "state-began"), obtained(4)), calm(5, ["a", "b"]), end(90_000)),
    },
    bad: {
      "an entry did not come": { history: story(of("b", at(1, "state-began"), obtained(2, { missing: 1 }))), says: /9 entries by a: 1 did not come, 0 came again/ },
      "one came again": { history: story(of("b", at(1, "state-began"), obtained(2, { repeated: 2 }))), says: /2 came again/ },
      "it never comes": { history: story(of("b", at(1, "state-began"), obtained(2, { from: [], code: "STATE_UNAVAILABLE" })), calm(5, ["a", "b"]), end(90_000)), says: /has no state to the end/ },
    },
  },
  waitsEnd: {
    good: {
      "by the deadline": story(of("a", sent(1, 1), over(1_001, 1, "timeout")), end(9_000)),
      "later where the process stood still": story(of("a", sent(1, 1), paused(2), resumed(3_000), over(3_000, 1, "timeout")), end(9_000)),
      "not where the process is gone": story(of("a", sent(1, 1), at(2, "killed")), end(9_000)),
      "with the view": story(of("a", sent(1, 1), view(200, 2, ["a"]), over(200, 1, "left")), end(9_000)),
      "later than the end, in one order that comes faster than it is worked off": story(calm(0, ["a", "b"]), of("a", sent(30_000, 1, { deadlineMs: 60_000, inOneOrder: true })), of("b", began(29_000, 9)), end(70_000)),
    },
    bad: {
      "never": { history: story(of("a", sent(1, 1)), end(9_000)), says: /is still waited for at the end, 8999 ms later/ },
      "later than the end, in one order that nobody works on": { history: story(calm(0, ["a", "b"]), of("a", sent(30_000, 1, { deadlineMs: 60_000, inOneOrder: true })), end(70_000)), says: /is still waited for at the end/ },
      "later than the end, in one order, of what all have handled": { history: story(calm(0, ["a", "b"]), of("a", sent(30_000, 1, { deadlineMs: 60_000, inOneOrder: true })), of("b", began(30_001, 1), ended(30_002, 1), began(30_003, 9)), end(70_000)), says: /is still waited for at the end/ },
      "never, in a channel that was stopped": { history: story(of("a", sent(1, 1), closed(10)), end(9_000)), says: /is still waited for/ },
      "beyond the deadline": { history: story(of("a", sent(1, 1), over(2_001, 1, "timeout"))), says: /was waited for 2000 ms, with a deadline of 1000/ },
      "for who has left": { history: story(of("a", sent(1, 1), view(200, 2, ["a"]), over(1_001, 1, "timeout"))), says: /was told timeout at b-i, which had left with view 2 long before/ },
    },
  },
  messagesArrive: {
    good: {
      "in time": story(calm(0, ["a", "b"]), of("a", sent(30_000, 1, { deadlineMs: 8_000 }), over(30_010, 1, "delivered")), of("b", began(30_005, 1), ended(30_006, 1)), end(90_000)),
      "not, in faults, and told": story(of("a", sent(1, 1), sent(1, 2, { mode: "async" }), taken(1, 2), over(1_001, 1, "timeout"), at(1_001, "undelivered", { topic: "t", to: "b-i", status: "timeout" })), calm(5_000, ["a", "b"]), end(90_000)),
      "not, to who is gone": story(of("a", sent(1, 1, { mode: "async" }), taken(1, 1)), of("b", at(500, "killed")), of("a", view(900, 2, ["a"])), end(90_000)),
      "not, in one order that comes faster than it works": story(calm(0, ["a", "b"]), of("b", began(29_000, 9), ended(34_000, 9), began(34_010, 8), ended(38_500, 8)), of("a", sent(30_000, 1, { deadlineMs: 8_000, mode: "async", inOneOrder: true, to: ["b-i", "c-i"] }), taken(30_000, 1)), end(90_000)),
      "not, in one order that comes faster than somebody else works": story(calm(0, ["a", "b"]), of("a", began(29_000, 9), sent(30_000, 1, { deadlineMs: 8_000, mode: "async", inOneOrder: true, to: ["b-i", "c-i"] }), taken(30_000, 1), ended(38_500, 9)), end(90_000)),
      "not known of what was handled too late to tell": story(calm(0, ["a", "b"]), of("a", sent(30_000, 1, { deadlineMs: 8_000 }), over(38_000, 1, "timeout")), of("b", began(37_000, 1), ended(37_000, 1)), end(90_000)),
    },
    bad: {
      "not, though all is well": { history: story(calm(0, ["a", "b"]), of("a", sent(30_000, 1, { deadlineMs: 8_000 }), over(38_000, 1, "timeout")), end(90_000)), says: /was not handled by b-i, though all is well/ },
      "not, in one order that others handled in time": { history: story(calm(0, ["a", "b", "c"]), of("a", sent(30_000, 1, { deadlineMs: 8_000, mode: "async", inOneOrder: true, to: ["b-i", "c-i"] }), taken(30_000, 1)), of("c", began(31_000, 1), ended(31_001, 1)), end(90_000)), says: /was not handled by b-i, though all is well/ },
      "not, in one order that stands still, and others handle late": { history: story(calm(0, ["a", "b", "c"]), of("a", sent(30_000, 1, { deadlineMs: 8_000, mode: "async", inOneOrder: true, to: ["b-i", "c-i"] }), taken(30_000, 1)), of("c", began(39_000, 1), ended(39_001, 1)), end(90_000)), says: /was not handled by b-i, though all is well/ },
      "not, in one order where somebody was at work for half of the time": { history: story(calm(0, ["a", "b"]), of("b", began(29_000, 9), ended(34_000, 9)), of("a", sent(30_000, 1, { deadlineMs: 8_000, mode: "async", inOneOrder: true, to: ["b-i", "c-i"] }), taken(30_000, 1)), end(90_000)), says: /was not handled by b-i, though all is well/ },
      "not, and nobody was told": { history: story(of("a", sent(1, 1, { mode: "async" }), taken(1, 1)), end(90_000)), says: /was not handled by all, and the sender was not told/ },
      "two of three told": { history: story(of("a", sent(1, 1, { mode: "async" }), taken(1, 1), sent(2, 2, { mode: "async" }), taken(2, 2), at(1_001, "undelivered", { topic: "t", to: "b-i", status: "timeout" })), end(90_000)), says: /t 2 of a .* was not told/ },
      "handled, and never heard of": { history: story(of("a", sent(1, 1, { deadlineMs: 60_000 }), over(60_001, 1, "timeout")), of("b", began(2, 1), ended(3, 1)), calm(5_000, ["a", "b"]), end(90_000)), says: /was handled by b-i long before its deadline, and the sender was told timeout/ },
    },
  },
};
