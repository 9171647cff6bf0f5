import type { Mutant } from "./mutant.ts";

const ADDRESSED = "src/channel/addressed.ts";
const ADMISSION = "src/transport/admission.ts";
const CHANNEL = "src/channel/channel.ts";
const CONNECTIONS = "src/channel/connections.ts";
const OWN_HANDLERS = "src/channel/own-handlers.ts";
const GATHERING = "src/channel/gathering.ts";
const ORDER_LOG = "src/channel/order-log.ts";
const ORDER_SENDER = "src/channel/order-sender.ts";
const ORDERED_TOPIC = "src/channel/ordered-topic.ts";
const OUTBOX = "src/channel/outbox.ts";
const PEER = "src/channel/peer.ts";
const RECEIVER = "src/channel/flow-receiver.ts";
const REQUESTS = "src/channel/requests.ts";
const RESPONDERS = "src/channel/responders.ts";
const STREAMS = "src/channel/streams.ts";
const SUCCESSION = "src/channel/succession.ts";
const TRANSFER = "src/channel/state-transfer.ts";
const WINDOW = "src/channel/window.ts";

const profile = "channel";

/** Messages between members. */
export const channelMutants: readonly Mutant[] = [
  {
    name: "window-reset-on-reconnect",
    wrong: "A receiver begins to count anew with each connection, from whatever comes first: what is sent again is handled again.",
    profile,
    changes: [
      { file: RECEIVER, from: "  connectionBegan(): void {\n", to: "  connectionBegan(): void {\n    this.#next = 0;\n" },
      { file: RECEIVER, from: "    if (number < this.#next) return \"duplicate\";", to: "    if (this.#next === 0) this.#next = number;\n    if (number < this.#next) return \"duplicate\";" },
      { file: PEER, from: "      if (flow.receiver.next > 1) this.#sayReceived(flow);\n", to: "" },
    ],
  },
  {
    name: "loose-window-forgets",
    wrong: "On a topic without order what lies behind the window is handled again.",
    profile,
    changes: [{ file: WINDOW, from: "    if (number < this.#next) return \"duplicate\";\n", to: "    if (number < this.#next) return \"new\";\n" }],
  },
  {
    name: "loose-window-without-bits",
    wrong: "On a topic without order a number is remembered only once all before it have come.",
    profile,
    survives: { why: "A topic has one stream, on which nothing overtakes, and what was given up leaves a gap in its place: no number comes before all below it have.", foundBy: "test/channel/flow.test.ts" },
    changes: [{ file: WINDOW, from: "    if ((word & bit) !== 0) return \"duplicate\";\n    this", to: "    if ((word & bit) !== 0) return \"new\";\n    this" }],
  },
  {
    name: "duplicates-handled",
    wrong: "What a receiver has had is handled again when it comes again.",
    profile,
    changes: [{ file: RECEIVER, from: "    if (number < this.#next) return \"duplicate\";", to: "    if (number < this.#next) return \"take\";" }],
  },
  {
    name: "ack-before-the-handler",
    wrong: "A message is acknowledged when its handler has been called, not when it has finished.",
    profile,
    changes: [{ file: PEER, from: "      if (outcome instanceof Promise) return outcome.then((late) => this.#finished(flow, word, frame, late));\n", to: "      if (outcome instanceof Promise) {\n        if (word.awaited) this.#outcome(flow, word.number, { status: \"delivered\" });\n        return outcome.then(() => frame.link.consumed(frame));\n      }\n" }],
  },
  {
    name: "handlers-of-one-topic-side-by-side",
    wrong: "A topic's next message is handled although what came before it is still being handled: those that finish fast overtake.",
    profile,
    changes: [{ file: PEER, from: "      else if (flow.handling) flow.arrived.push({ word, frame });\n", to: "" }],
  },
  {
    name: "order-given-up",
    wrong: "Messages that were on their way when a connection ended are not sent again, and a receiver goes on with whatever comes next.",
    profile,
    changes: [
      { file: OUTBOX, from: "    this.#nextToSend = this.receivedBelow;\n", to: "" },
      { file: RECEIVER, from: "    if (number > this.#next) return this.#ask();\n    this.#next++;\n", to: "    this.#next = number + 1;\n" },
    ],
  },
  {
    name: "sent-again-from-the-wrong-number",
    wrong: "On a new connection a sender goes back to the message after the first that was not received.",
    profile,
    survives: { why: "The receiver asks for what it misses as soon as anything comes after it, and the sender goes back to that: only a last message stays out, until the next one.", foundBy: "test/channel/flow.test.ts" },
    changes: [{ file: OUTBOX, from: "    this.#nextToSend = this.receivedBelow;\n", to: "    this.#nextToSend = Math.min(this.#nextToSend, this.receivedBelow + 1);\n" }],
  },
  {
    name: "kept-for-too-short",
    wrong: "A sender forgets one message more than the receiver says it has received.",
    profile,
    changes: [{ file: OUTBOX, from: "while (this.#kept.first < next) this", to: "while (this.#kept.first <= next && this.#kept.first < this.#kept.end) this" }],
  },
  {
    name: "gap-swallowed",
    wrong: "A receiver goes over a message that its sender has given up, and tells nobody.",
    profile,
    changes: [{ file: PEER, from: "    if (word.kind === \"gap\") this.#ports.gap(word);\n", to: "    if (word.kind === \"gap\") void 0;\n" }],
  },
  {
    name: "given-up-in-silence",
    wrong: "A message that nobody awaits and that was given up is told to nobody.",
    profile,
    changes: [{ file: ADDRESSED, from: "    if (to !== undefined) this.#undelivered(", to: "    if (to === undefined) this.#undelivered(" }],
  },
  {
    name: "dead-still-waited-for",
    wrong: "Who has left is waited for until the deadline.",
    profile,
    changes: [
      { file: PEER, from: "    this.#isGone = true;\n    this.#deadline?.timer.cancel();\n", to: "    this.#isGone = true;\n" },
      { file: PEER, from: "      for (const kept of flow.outbox.abandon()) kept.settle(this.#incarnation, { status: \"left\" });\n", to: "" },
    ],
  },
  {
    name: "own-handlers-without-a-deadline",
    wrong: "A member waits for its own handlers for as long as they take, whatever the deadline.",
    profile,
    changes: [{ file: OWN_HANDLERS, from: "Number.isFinite(kept.deadlineMs) ? clock.setTimer(", to: "kept.deadlineMs < 0 ? clock.setTimer(" }],
  },
  {
    name: "end-of-a-connection-is-a-death",
    wrong: "When a connection ends, all that is awaited from its peer is told to have left.",
    profile,
    changes: [{ file: CHANNEL, from: "    const pipeline = new Pipeline(", to: "    this.#events.on(\"reachability\", ({ peer, connected }) => {\n      if (connected) return;\n      this.#peers.get(peer.incarnation)?.leave();\n      this.#peers.delete(peer.incarnation);\n    });\n    const pipeline = new Pipeline(" }],
  },
  {
    name: "unknown-is-delivered",
    wrong: "What was on its way when a connection ended is told to be delivered.",
    profile,
    changes: [{ file: PEER, from: "      flow.outbox.connectionBegan();\n", to: "      for (const kept of flow.outbox.abandon()) kept.settle(this.#incarnation, { status: \"delivered\" });\n      flow.outbox.connectionBegan();\n" }],
  },
  {
    name: "outcomes-forgotten-too-early",
    wrong: "A receiver forgets an outcome when it has told it once: if the connection ends before that arrives, nobody ever knows.",
    profile,
    changes: [
      { file: RECEIVER, from: "    if (number >= this.#settledBelow) this.#outcomes.set(number, outcome);\n", to: "" },
    ],
  },
  {
    name: "failure-acknowledged",
    wrong: "A message whose handler failed is acknowledged with those after it, as if it had not.",
    profile,
    changes: [{ file: PEER, from: "    if (outcome.status === \"failed\") {\n", to: "    if (outcome.status !== \"delivered\" && number < 0) {\n" }],
  },
  {
    name: "handlers-called-after-the-stop",
    wrong: "A channel that is being stopped goes on handling what comes.",
    profile,
    changes: [{ file: CHANNEL, from: "    // First, so that no handler is called any more while the last bytes are written.\n", to: "    await this.#connections.close(wait);\n" }],
  },
  {
    name: "heard-though-it-has-left",
    wrong: "The connection to a member that has left is kept, and what comes on it is handled.",
    profile,
    changes: [{ file: CONNECTIONS, from: "    endpoint.review();\n", to: "" }],
  },
  {
    name: "whoever-is-at-the-address",
    wrong: "A member takes what is for an incarnation of its node that is gone.",
    profile,
    changes: [
      { file: ADMISSION, from: "  if (hello.to !== self.incarnation) return { refuse: \"not-here\" };\n", to: "" },
      { file: ADMISSION, from: "  if (welcome.incarnation !== peer.incarnation || welcome.node !== peer.node) return", to: "  if (welcome.node !== peer.node) return" },
    ],
  },
  {
    name: "majority-without-oneself",
    wrong: "A majority of the requested is half of them.",
    profile,
    changes: [{ file: GATHERING, from: "      return Math.floor(asked / 2) + 1;\n", to: "      return Math.max(1, Math.floor(asked / 2));\n" }],
  },
  {
    name: "moved-in-a-circle",
    wrong: "A request follows to a member that was asked already, which does the work twice.",
    profile,
    changes: [{ file: REQUESTS, from: "this.#asked.includes(member.incarnation) || ", to: "" }],
  },
  {
    name: "requests-without-a-deadline",
    wrong: "A request whose deadline has come is not ended.",
    profile,
    changes: [{ file: REQUESTS, from: "        if (waiting.dueMs <= nowMs) waiting.expire();\n        else earliest", to: "        if (waiting.dueMs > nowMs) earliest" }],
  },
  {
    name: "state-page-skipped",
    wrong: "A giver goes on with the next page, also when the one before did not arrive.",
    profile,
    changes: [{ file: TRANSFER, from: "(giving.isBusy || giving.cursor !== after)", to: "(giving.isBusy && giving.cursor === after)" }],
  },
  {
    name: "state-begun-anew-by-the-next-giver",
    wrong: "When a giver stops half-way the next one begins at the beginning, and what was there is applied again.",
    profile,
    changes: [{ file: TRANSFER, from: "        answers.push(answer);\n", to: "        answers.push(answer);\n        position.after = \"\";\n" }],
  },
  {
    name: "half-a-state-is-a-state",
    wrong: "A state whose giver stopped half-way is taken for complete.",
    profile,
    changes: [{ file: TRANSFER, from: "if (reply?.status !== \"replied\") {", to: "if (reply?.status !== \"replied\") {\n        if (report.pages > 0) return \"complete\";" }],
  },
  {
    name: "sequencers-number-alike",
    wrong: "Places are compared by their number alone: those of two sequencers are taken for the same.",
    profile: "order",
    changes: [{ file: ORDER_LOG, from: "  return a.epoch - b.epoch || a.number - b.number;", to: "  return a.number - b.number;" }],
  },
  {
    name: "place-given-twice",
    wrong: "A sequencer now and then gives the place that it gave last to another message.",
    profile: "order",
    changes: [{ file: ORDERED_TOPIC, from: "number: before.epoch === reign.epoch ? before.number + 1 : 1 }", to: "number: before.epoch !== reign.epoch ? 1 : before.number % 5 === 4 ? before.number : before.number + 1 }" }],
  },
  {
    name: "places-downwards",
    wrong: "A member handles whatever place comes, also one before those it has handled.",
    profile: "order",
    survives: { why: "On one flow places come upwards, and a sequencer that has been succeeded is not heard: what comes again is a message that was taken, which is a duplicate by its sender's number as well.", foundBy: "test/channel/order.test.ts" },
    changes: [{ file: ORDER_LOG, from: "    if (last !== undefined && comparePositions(entry.position, last) <= 0) return \"duplicate\";\n", to: "" }],
  },
  {
    name: "deposed-sequencer-is-heard",
    wrong: "What a sequencer orders that has been succeeded is handled as if it had not.",
    profile: "order",
    changes: [{ file: ORDER_LOG, from: "    return this.promise(epoch, leader) ? this.take(entry) : \"stale\";", to: "    this.promise(epoch, leader);\n    return this.take(entry);" }],
  },
  {
    name: "order-begun-without-asking",
    wrong: "A new sequencer begins without asking anybody what the one before has ordered: what has a place gets another one.",
    profile: "order",
    changes: [{ file: SUCCESSION, from: "    this.#unheard = new Set(others);", to: "    this.#unheard = new Set([...others].slice(0, 0));" }],
  },
  {
    name: "furthest-is-not-asked",
    wrong: "A new sequencer does not get what others have and it lacks, and begins where it is itself.",
    profile: "order",
    changes: [
      { file: SUCCESSION, from: "    if (best !== undefined && !this.#isLate) {", to: "    if (best === \"\") {" },
      { file: SUCCESSION, from: "      if (standing.last !== undefined && comparePositions(standing.last, after) > 0) after = standing.last;\n", to: "" },
    ],
  },
  {
    name: "interrupted-is-ordered-anew",
    wrong: "What a member that did not answer may have handled is given a place anew.",
    profile: "order",
    survives: { why: "A member would have to be silent for longer than a sequencer waits, stay in the view, have handled alone what was on its way, and come back.", foundBy: "test/channel/order.test.ts" },
    changes: [{ file: ORDER_SENDER, from: "      else if (complete || !message.submitted)", to: "      else if (complete || message.n > 0)" }],
  },
  {
    name: "holes-are-told-to-nobody",
    wrong: "Of what a member had missed when another sequencer began, and nobody keeps any more, the sender is not told: it waits for that member until its deadline.",
    profile: "order",
    survives: { why: "A member has to miss so much that nobody keeps it, the sequencer to be succeeded, and a message with a long deadline to be in what was missed: one seed of several hundred.", foundBy: "test/channel/total-order.test.ts" },
    changes: [
      { file: ORDERED_TOPIC, from: "      if (last !== undefined) this.#tellHole(member, had, given);\n", to: "" },
      { file: ORDERED_TOPIC, from: "    if (!reign.isNew) this.#tellHole(self, reign.had, reign.fetched.splice(0));\n", to: "" },
    ],
  },
  {
    name: "order-has-holes-for-a-new-sequencer",
    wrong: "A member that is new to the order and becomes the sequencer leaves out each message whose sender did not know of it, also behind one that it has handled.",
    profile: "order",
    survives: { why: "A new member has to become the sequencer before anything of the order has come to it, and somebody to have sent a message before that one joined which got its place after one that was sent later: one seed of five hundred.", foundBy: "test/channel/total-order.test.ts" },
    changes: [{ file: ORDERED_TOPIC, from: "        reign.isNew = false;\n", to: "" }],
  },
  {
    name: "order-given-up-at-a-failover",
    wrong: "What was on its way when a sequencer died is forgotten by its sender.",
    profile: "order",
    changes: [{ file: ORDER_SENDER, from: "      else if (complete || !message.submitted) message.submitted = message.ordered = false; // who had handled it has left", to: "      else if (complete || !message.submitted) message.ordered = message.submitted;" }],
  },
  {
    name: "gap-in-the-order-swallowed",
    wrong: "A member goes over places that it lacks, and tells nobody.",
    profile: "order",
    changes: [
      { file: ORDERED_TOPIC, from: "      if (afterGap) this.#ports.gap(leader, position.number);\n", to: "      if (afterGap) void leader;\n" },
      { file: ORDERED_TOPIC, from: "    if (found === \"gap\" || (!complete", to: "    if ((found === \"gap\" && after.number < 0) || (!complete" },
    ],
  },
  {
    name: "given-up-in-the-order-in-silence",
    wrong: "The sender of a message that one member cannot be given is not told, and waits for that one until the deadline.",
    profile: "order",
    survives: { why: "The wait ends all the same, with its deadline: only one that is longer than all that follows in a run is seen, on about one seed of two hundred.", foundBy: "test/channel/total-order.test.ts" },
    changes: [{ file: ORDERED_TOPIC, from: "    if (!content.awaited || result.status !== \"failed\") return;\n", to: "    if (!content.awaited || result.status !== \"failed\" || n > 0) return;\n" }],
  },
  {
    name: "outcomes-behind-what-waits-for-its-place",
    wrong: "What became of a message in the order is told on the flow on which its teller submits, behind all that waits there for its place.",
    profile: "order",
    survives: { why: "It is seen only where members send much more than handlers take, on about one seed of a hundred and fifty.", foundBy: "test/channel/total-order.test.ts" },
    changes: [{ file: ORDERED_TOPIC, from: "    const isOutcome = word.kind === \"outcome\" || word.kind === \"missed\";\n", to: "    const isOutcome = word.kind === \"outcome\" && word.n < 0;\n" }],
  },
  {
    name: "order-handled-side-by-side",
    wrong: "A topic's next message in the order is handled although the one before is still being handled.",
    profile: "order",
    changes: [{ file: ORDERED_TOPIC, from: "    this.#handling = this.#handling.then(work);\n", to: "    this.#handling = Promise.resolve().then(work);\n" }],
  },
  {
    name: "own-messages-overtake",
    wrong: "A sequencer's own message that was waiting for room gets its place, and is handled, in the middle of the one before.",
    profile: "order",
    changes: [
      { file: ORDERED_TOPIC, from: "    if (leader === undefined || this.#isSubmitting) return;\n", to: "    if (leader === undefined) return;\n" },
      { file: ORDERED_TOPIC, from: "    const handled = this.#afterwards(async () => {\n", to: "    if (sender.incarnation === this.#ports.self.incarnation) {\n      this.#sender.ordered(n);\n      this.#keepWaiting();\n    }\n    const handled = this.#afterwards(async () => {\n" },
    ],
  },
  {
    name: "order-handled-after-the-stop",
    wrong: "What has come in the order and waits for the handlers is handled although the channel was stopped.",
    profile: "order",
    changes: [{ file: ORDERED_TOPIC, from: "      if (this.#isStopped) return;\n", to: "" }],
  },
  {
    name: "lost-reply-is-no-loss",
    wrong: "A stream goes on over a reply that was given up.",
    profile,
    survives: { why: "A giver whose reply was given up stops and says so; something has to come after that reply and before it, on a connection that began meanwhile.", foundBy: "test/channel/streams.test.ts" },
    changes: [
      { file: STREAMS, from: "    if (word.number !== this.#next) return this.#missing(true);\n    this.#next++;\n", to: "    this.#next = word.number + 1;\n" },
      { file: STREAMS, from: "        return word.number === this.#next - 1 ? this.#finish(\"end\", false) : this.#missing(false);", to: "        return this.#finish(\"end\", false);" },
    ],
  },
  {
    name: "failure-over-a-lost-reply",
    wrong: "Who asked for a stream is told of its handler's failure though a reply before that is missing.",
    profile,
    survives: { why: "The last reply before a failure has to be given up, and the failure not: about one seed of a thousand.", foundBy: "test/channel/streams.test.ts" },
    changes: [{ file: STREAMS, from: "        return word.after < this.#next ? this.#break(", to: "        return word.after >= 0 ? this.#break(" }],
  },
  {
    name: "stream-without-room",
    wrong: "Replies are given as fast as the handler gives them, whether or not there is room for them.",
    profile,
    changes: [{ file: RESPONDERS, from: "    while (!this.#isOver && number > this.#upTo) await", to: "    while (!this.#isOver && number > this.#upTo + 1_000) await" }],
  },
  {
    name: "stream-left-off-in-silence",
    wrong: "Who takes no more of a stream does not say so: its giver waits for ever.",
    profile,
    changes: [{ file: STREAMS, from: "    this.#finish(\"end\", true);\n", to: "    this.#finish(\"end\", false);\n" }],
  },
  {
    name: "stream-of-the-dead",
    wrong: "A stream whose giver has left is waited for until its deadline.",
    profile,
    changes: [{ file: STREAMS, from: "    if (incarnation === this.#member.incarnation) this.#break({ status: \"left\" }, false);\n", to: "    if (incarnation === \"\") this.#break({ status: \"left\" }, false);\n" }],
  },
  {
    name: "stream-fails-before-its-replies",
    wrong: "What breaks a stream is told at once, and the replies that had come before it are dropped.",
    profile,
    changes: [{ file: STREAMS, from: "    const reply = this.#came.shift();\n", to: "    if (this.#end !== undefined && this.#end !== \"end\") throw this.#end.error;\n    const reply = this.#came.shift();\n" }],
  },
];
