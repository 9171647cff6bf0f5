import { ERROR_CODES, jitter, TribuneError } from "../kernel/index.ts";
import type { Clock, ErrorCode, Logger, Random, Timer } from "../kernel/index.ts";
import type { Channel, ChannelView, DeliveryResult, Message, Request, StatePage, StateReport } from "../channel/index.ts";
import type { ChangeReport, FlushOptions } from "./contexts.ts";
import type { DurableContexts } from "./durable.ts";
import type { ContextsLink, NodeContexts } from "./node-contexts.ts";
import { shownVersion } from "./properties.ts";
import { compareInventory, differing, pick, takeInventory } from "./repair.ts";
import { decodeConditionalWrite, decodeDiffering, decodeDigests, decodeFloorQuestion, decodeMending, encodeConditionalWrite, encodeDiffering, encodeDigests, encodeFloorQuestion, encodeMending } from "./replication-words.ts";
import { Tree } from "./tree.ts";
import { timeAt } from "./version.ts";
import { ChangesWriter, decodeChanges, decodeInventory, encodeChanges, encodeInventory } from "./words.ts";
import type { Changes } from "./words.ts";

/** What contexts need of a channel. */
export type ContextsChannel = Pick<Channel, "on" | "listen" | "respond" | "define" | "state" | "send" | "request">;

/** What replication stands on. */
export interface ReplicationPorts {
  readonly contexts: NodeContexts;
  readonly channel: ContextsChannel;
  readonly durable: DurableContexts | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The state, and what members tell each other. */
const CHANGES = "contexts";
/** What they tell, and what they ask, of a write that the coordinator decides; and what else they ask. */
const [DECIDED, DECIDE, DIGESTS, INVENTORY, FLOOR] = ["contexts.decided", "contexts.decide", "contexts.digests", "contexts.inventory", "contexts.floor"] as const;

/** Of a page of the state, and of one step of a repair. */
const PAGE_BYTES = 256 * 1024;
const MENDING_BYTES = 2 * 1024 * 1024;

/** After something that a repair may mend, so that what comes together is mended together. */
const SOON_MS = 50;

/** Steps of one repair. The next repair goes on where this one stopped. */
const MOST_STEPS = 500;

/** With how many members a newcomer compares what it got. */
const FIRST_REPAIRS = 8;

/** Carries the contexts of one node to the others, over all of its incarnations. */
export class Replication implements ContextsLink {
  readonly #ports: ReplicationPorts;
  readonly #contexts: NodeContexts;
  readonly #channel: ContextsChannel;
  readonly #repairing = new Map<string, Promise<void>>();
  readonly #soon = new Set<string>();
  readonly #off: Array<() => void> = [];
  #view: ChannelView = { version: 0, members: [], coordinator: null };
  #incarnation = "";
  /** Set once this incarnation has the state. */
  #member: string | undefined;
  /** What a new incarnation gets, while it is not complete. */
  #stage: Tree | undefined;
  /** Some of the state could not be taken. */
  #hasHoles = false;
  #begun: PromiseWithResolvers<void> = Promise.withResolvers();
  /** An incarnation of this node has had the state. */
  #hasBegun = false;
  #publishedMs = Number.NEGATIVE_INFINITY;
  #repairTimer: Timer | undefined;
  #soonTimer: Timer | undefined;
  #isStopped = false;

  constructor(ports: ReplicationPorts) {
    this.#ports = ports;
    this.#contexts = ports.contexts;
    this.#channel = ports.channel;
    const { channel } = ports;
    for (const topic of [CHANGES, DECIDED, DECIDE, DIGESTS, INVENTORY, FLOOR]) channel.define(topic, { codec: "bytes" });
    channel.state(CHANGES, { snapshot: (after) => this.#snapshot(after), apply: (page) => this.#applyPage(page) });
    this.#off.push(
      channel.listen(CHANGES, (message) => this.#receive(message)),
      channel.listen(DECIDED, (message) => this.#receiveDecided(message)),
      channel.respond(DECIDE, (request) => this.#decide(request)),
      channel.respond(DIGESTS, (request) => this.#compareDigests(request)),
      channel.respond(INVENTORY, (request) => this.#compareInventory(request)),
      channel.respond(FLOOR, (request) => this.#answerFloor(request)),
      channel.on("gap", ({ topic, from }) => {
        if (topic === CHANGES || topic === DECIDED) this.#repairSoon([from.node]);
      }),
      channel.on("undelivered", ({ topic, to }) => {
        if (topic === CHANGES) this.#repairSoon([to.node]);
      }),
    );
    this.#contexts.connect(this);
  }

  // ---- its life ----------------------------------------------------------------------------------------------

  get member(): string | undefined {
    return this.#member;
  }

  /** A new incarnation begins: before it obtains the state. What it has of the one before it keeps, if the others have forgotten nothing since. */
  join(incarnation: string): void {
    this.leave();
    this.#incarnation = incarnation;
    this.#stage = new Tree();
    this.#hasHoles = false;
    this.#begun = Promise.withResolvers();
  }

  /**
   * The states were obtained: from now on the contexts can be changed, and this member gives the state to others. Where nobody gave it, it is read from the store, if it is kept there. Rejects with what the store rejects with.
   */
  async begin(reports: readonly StateReport[]): Promise<void> {
    if (this.#member !== undefined || this.#isStopped) return; // the same incarnation is trusted again: it has missed nothing that a comparison does not bring
    const isGiven = reports.some(({ state, from }) => state === CHANGES && from.length > 0);
    const { durable } = this.#ports;
    if (!isGiven) await durable?.load((changes) => this.#apply(changes));
    const stage = this.#stage;
    this.#stage = undefined;
    if (stage !== undefined) this.#settle(stage, isGiven || durable !== undefined);
    this.#member = this.#incarnation;
    this.#hasBegun = true;
    this.#begun.resolve();
    if (this.#hasHoles) for (const { node } of this.#others()) if (await this.#repaired(node)) break;
    this.#repairSoon(this.#chosen(FIRST_REPAIRS));
    this.#scheduleRepair();
    durable?.begin(() => this.#isCoordinator);
  }

  /** This incarnation is no member any more: nothing can be changed until another one has begun. */
  leave(): void {
    this.#member = undefined;
    this.#repairTimer?.cancel();
    this.#ports.durable?.end();
  }

  setView(view: ChannelView): void {
    const before = new Set(this.#view.members.map(({ incarnation }) => incarnation));
    this.#view = view;
    // What was sent a moment ago went to those who were there.
    if (this.#ports.clock.monotonicMs() - this.#publishedMs <= this.#contexts.settings.deadlineMs) this.#repairSoon(this.#others().filter(({ incarnation }) => !before.has(incarnation)).map(({ node }) => node));
  }

  /** Ends everything; what is in the trees can be read still. Sees to it first that the store has what it is to keep. May be called twice. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#contexts.stop();
    if (this.#hasBegun) await this.#ports.durable?.finish(() => this.#member !== undefined);
    this.leave();
    this.#soonTimer?.cancel();
    for (const off of this.#off) off();
  }

  /** What the new incarnation got, and what the one before it had. */
  #settle(stage: Tree, obtained: boolean): void {
    const { trees } = this.#contexts;
    // Something was forgotten while this node was away: what it has may be what was deleted.
    if (obtained && !trees.shared.isEmpty && stage.floor > trees.shared.floor) trees.replace(stage);
    else {
      trees.shared.raiseFloor(stage.floor);
      for (const change of stage.changes()) trees.shared.merge(change);
    }
    this.#merged(trees.shared);
  }

  get #tree(): Tree {
    return this.#stage ?? this.#contexts.trees.shared;
  }

  get #isCoordinator(): boolean {
    return this.#member !== undefined && this.#view.coordinator === this.#member;
  }

  #others(): ChannelView["members"] {
    return this.#view.members.filter(({ incarnation }) => incarnation !== this.#incarnation);
  }

  // ---- changes -----------------------------------------------------------------------------------------------

  async publish(messages: readonly Uint8Array[], { mode, signal }: FlushOptions): Promise<ChangeReport> {
    const { settings } = this.#contexts;
    const chosen = mode ?? settings.mode;
    this.#publishedMs = this.#ports.clock.monotonicMs();
    const options = { deadlineMs: settings.deadlineMs, ...(chosen === undefined ? {} : { mode: chosen }), ...(signal === undefined ? {} : { signal }) };
    const reports = await Promise.all(messages.map((message) => this.#channel.send(CHANGES, message, options)));
    const results = new Map<string, DeliveryResult>();
    for (const report of reports) for (const [node, result] of report.results) if (!isBystander(result) && (results.get(node)?.status ?? "delivered") === "delivered") results.set(node, result);
    const missing = [...results].filter(([, { status }]) => status !== "delivered").map(([node]) => node);
    this.#repairSoon(missing);
    return { results, ok: missing.length === 0 && reports.every(({ ok, results: { size } }) => ok || size > 0) };
  }

  async #receive(message: Message): Promise<void> {
    if (this.#apply(decodeChanges(message.payload))) return;
    // Made before its sender knew what is forgotten here: what it has now is compared, instead.
    await this.#repair(message.from.node);
  }

  /** Whether it could be taken. */
  #apply({ floor, contexts }: Changes): boolean {
    const tree = this.#tree;
    tree.raiseFloor(floor);
    if (floor < tree.floor) {
      if (tree === this.#stage) this.#hasHoles = true;
      return false;
    }
    for (const change of contexts) tree.merge(change);
    this.#merged(tree);
    return true;
  }

  #merged(tree: Tree): void {
    this.#contexts.trees.versions.saw(tree.newest);
    this.#contexts.tell();
  }

  // ---- the state of who joins --------------------------------------------------------------------------------

  async *#snapshot(after: string): AsyncIterable<StatePage> {
    await this.#begun.promise; // it may come from the store
    const [path = "", key = ""] = after.split("\n");
    const { shared } = this.#contexts.trees;
    let cursor = after;
    let told: number | undefined;
    for (const page of encodeChanges(() => shared.floor, shared.changes(undefined, { path, key }), PAGE_BYTES)) {
      cursor = `${page.path}\n${page.key}`;
      told = shared.floor;
      yield { bytes: page.bytes, cursor };
    }
    // Also where nothing is left: what was forgotten meanwhile must not come back with who was away.
    if (told !== shared.floor) yield { bytes: new ChangesWriter(shared.floor).bytes(), cursor: cursor === "" ? "\n" : cursor };
  }

  #applyPage({ bytes }: StatePage): void {
    this.#apply(decodeChanges(bytes));
  }

  // ---- writes that the coordinator decides -------------------------------------------------------------------

  async decide(write: { readonly path: string; readonly key: string; readonly text: string | undefined }, ifVersion: string | null): Promise<boolean> {
    const about = `${write.path}: ${write.key}`;
    const report = await this.#channel.request(DECIDE, encodeConditionalWrite({ ...write, ifVersion }), { to: "coordinator", deadlineMs: this.#contexts.settings.deadlineMs });
    const [reply] = report.replies.values();
    if (reply?.status === "replied") return reply.payload[0] === 1;
    if (reply?.status === "failed" && reply.code !== "WRITE_UNDECIDED" && isErrorCode(reply.code) && reply.code.startsWith("CONTEXT")) throw new TribuneError(reply.code, reply.message, { about });
    const why = reply === undefined ? "there is no coordinator at the moment" : reply.status === "failed" ? reply.message : `the coordinator's answer: ${reply.status}`;
    throw undecided(about, why);
  }

  async #decide(request: Request): Promise<Uint8Array> {
    const { path, key, ifVersion, text } = decodeConditionalWrite(request.payload);
    const about = `${path}: ${key}`;
    const { shared } = this.#contexts.trees;
    if (!this.#isCoordinator || this.#member === undefined) throw undecided(about, "who was asked is not the coordinator");
    if (!shared.has(path)) throw new TribuneError("CONTEXT_UNKNOWN", `there is no context ${path}`, { about: path, next: "create it" });
    const entry = shared.entry(path, key);
    if ((entry === undefined ? null : shownVersion(entry.version)) !== ifVersion) return Uint8Array.of(0);
    const version = this.#contexts.trees.version(this.#member);
    const change = { path, base: shared.removalsOf(path), created: undefined, properties: [{ key, version, text }] };
    shared.merge(change);
    this.#contexts.tell();
    const [message] = [...encodeChanges(() => shared.floor, [change], MENDING_BYTES)];
    if (message === undefined) throw undecided(about, "it could not be sent");
    // Whoever is the coordinator next has it: so nobody decides again on the version that was there before.
    const { results } = await this.#channel.send(DECIDED, message.bytes, { mode: "ack", deadlineMs: Math.max(1, request.remainingMs() * 0.8) });
    const missing = [...results].filter(([, result]) => result.status !== "delivered" && result.status !== "left" && !isBystander(result)).map(([node]) => node);
    this.#repairSoon(missing);
    if (missing.length > 0) throw undecided(about, `${missing.join(", ")} did not confirm it`);
    return Uint8Array.of(1);
  }

  async #receiveDecided(message: Message): Promise<void> {
    // Members of later views may have no knowledge of it, and one of them may be the next coordinator: whoever knows of such a view does not confirm.
    if (this.#view.version > message.view) throw undecided(message.from.node, `${message.from.node} has not heard of the newest view yet`);
    await this.#receive(message);
    // Who asked may have made the context anew, and the coordinator not have heard of that: then it decided about another one, and what it wrote is void.
    if (decodeChanges(message.payload).contexts.some((change) => this.#tree.isVoid(change))) throw undecided(message.from.node, `${message.from.node} knows of a removal that the coordinator did not know of`);
  }

  // ---- repair ------------------------------------------------------------------------------------------------

  #scheduleRepair(): void {
    this.#repairTimer?.cancel();
    const { clock, random } = this.#ports;
    this.#repairTimer = clock.setTimer(jitter(random, this.#contexts.settings.repairMs, 0.2), () => {
      void this.#round().finally(() => {
        if (this.#member !== undefined && !this.#isStopped) this.#scheduleRepair();
      });
    });
  }

  async #round(): Promise<void> {
    for (const node of this.#chosen(1)) await this.#repaired(node);
    await this.#raiseFloor().catch((error: unknown) => this.#unable(error, "what was deleted could not be forgotten"));
  }

  /** So many others, by chance. */
  #chosen(count: number): string[] {
    const nodes = this.#others().map(({ node }) => node);
    const chosen: string[] = [];
    while (chosen.length < count && nodes.length > 0) chosen.push(...nodes.splice(Math.floor(this.#ports.random.next() * nodes.length), 1));
    return chosen;
  }

  #repairSoon(nodes: readonly string[]): void {
    if (nodes.length === 0 || this.#isStopped) return;
    for (const node of nodes) this.#soon.add(node);
    this.#soonTimer ??= this.#ports.clock.setTimer(SOON_MS, () => {
      this.#soonTimer = undefined;
      const due = [...this.#soon];
      this.#soon.clear();
      for (const node of due) void this.#repaired(node);
    });
  }

  /** Whether it could be done. The next one does what this one did not. */
  #repaired(node: string): Promise<boolean> {
    return this.#repair(node).then(
      () => true,
      (error: unknown) => {
        this.#unable(error, "contexts were not compared with another member's", { node });
        return false;
      },
    );
  }

  #unable(error: unknown, what: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#ports.logger.debug({ ...fields, error: error instanceof Error ? error.message : String(error) }, what);
  }

  /** Makes this member and another one the same; one repair with the same member at a time. */
  #repair(node: string): Promise<void> {
    let running = this.#repairing.get(node);
    if (running === undefined) {
      running = this.#mend(node).finally(() => this.#repairing.delete(node));
      this.#repairing.set(node, running);
    }
    return running;
  }

  async #mend(node: string): Promise<void> {
    for (let step = 0, idle = 0; step < MOST_STEPS && idle < 2 && this.#member !== undefined; step++) {
      const tree = this.#tree;
      const { floor, buckets } = decodeDiffering(await this.#ask(node, DIGESTS, encodeDigests(tree.floor, tree.digests.bytes())));
      if (floor !== tree.floor) {
        tree.raiseFloor(floor);
        continue;
      }
      if (buckets.length === 0) return;
      const inventory = takeInventory(tree, buckets);
      const { wanted, changes } = decodeMending(await this.#ask(node, INVENTORY, encodeInventory(inventory)));
      const before = tree.digests.bytes();
      if (changes.length > 0) this.#apply(decodeChanges(changes));
      const isNews = differing(tree, before).length > 0;
      const messages = [...encodeChanges(() => tree.floor, pick(tree, inventory, wanted), MENDING_BYTES)];
      for (const { bytes } of messages) await this.#channel.send(CHANGES, bytes, { to: [node], mode: "ack", deadlineMs: this.#contexts.settings.deadlineMs });
      idle = isNews ? 0 : idle + 1;
    }
  }

  async #ask(node: string, topic: string, payload: Uint8Array): Promise<Uint8Array> {
    const report = await this.#channel.request(topic, payload, { to: [node], deadlineMs: this.#contexts.settings.deadlineMs });
    const reply = report.replies.get(node);
    if (reply?.status === "replied") return reply.payload;
    throw new TribuneError("PEER_UNREACHABLE", `${node} did not compare its contexts: ${reply?.status ?? "left"}`, { about: node, next: "wait for the next comparison" });
  }

  #compareDigests(request: Request): Uint8Array {
    this.#assertBegun();
    const { floor, digests } = decodeDigests(request.payload);
    const tree = this.#tree;
    tree.raiseFloor(floor);
    return encodeDiffering(tree.floor, floor < tree.floor ? [] : differing(tree, digests));
  }

  #compareInventory(request: Request): Uint8Array {
    this.#assertBegun();
    const inventory = decodeInventory(request.payload);
    const tree = this.#tree;
    if (inventory.floor !== tree.floor) return encodeMending([], new Uint8Array()); // the next comparison says so
    const { newer, wanted } = compareInventory(tree, inventory);
    let changes: Uint8Array = new Uint8Array();
    for (const { bytes } of encodeChanges(() => tree.floor, newer, MENDING_BYTES)) {
      changes = bytes;
      break; // the rest with the next step
    }
    return encodeMending(wanted, changes);
  }

  /** Throws `STATE_NOT_READY`. */
  #assertBegun(): void {
    if (this.#member === undefined) throw new TribuneError("STATE_NOT_READY", "the contexts are not there yet", { about: CHANGES, next: "ask another member" });
  }

  // ---- forgetting what was deleted ---------------------------------------------------------------------------

  /** The coordinator asks everybody whether they have the same tombstones, up to some time ago. If so, nobody needs them any more: there is nothing older that they would have to hold off. */
  async #raiseFloor(): Promise<void> {
    const { clock, durable } = this.#ports;
    const tree = this.#tree;
    // Not that moment itself: whoever has the newest tombstone up to it has seen its time, and so dates all that it still deletes later, however far its wall clock is behind.
    const floor = tree.newestTombstoneUpTo(timeAt(clock.wallMs() - this.#contexts.settings.tombstoneMs));
    if (!this.#isCoordinator || floor === undefined || durable?.isBehind === true) return;
    const { version, members } = this.#view;
    const name = tree.tombstonesUpTo(floor);
    if (members.length > 1) {
      const { replies } = await this.#channel.request(FLOOR, encodeFloorQuestion({ view: version, floor, name, isDurable: durable !== undefined }), { to: "others", policy: "all", deadlineMs: this.#contexts.settings.deadlineMs });
      if (replies.size < members.length - 1 || [...replies.values()].some((reply) => !isBystander(reply) && (reply.status !== "replied" || reply.payload[0] !== 1))) return;
    }
    if (!this.#isCoordinator || this.#view.version !== version || tree.tombstonesUpTo(floor) !== name || tree !== this.#tree) return;
    tree.raiseFloor(floor);
    await this.#channel.send(CHANGES, new ChangesWriter(floor).bytes(), { mode: "async" });
  }

  /**
   * Whoever answers keeps them until the floor is raised. Only in the view of who asks: then nobody gets a state meanwhile from a member that did not have them all. And only if who asks has seen to it that the store has them, where this member keeps the tree there: else they are what holds off what the store has.
   */
  #answerFloor(request: Request): Uint8Array {
    this.#assertBegun();
    const { view, floor, name, isDurable } = decodeFloorQuestion(request.payload);
    const isKept = isDurable || this.#ports.durable === undefined;
    return Uint8Array.of(isKept && view === this.#view.version && this.#tree.tombstonesUpTo(floor) === name ? 1 : 0);
  }
}

/** A member of the channel that has no contexts. */
function isBystander(result: { readonly status: string; readonly code?: string }): boolean {
  return result.status === "failed" && result.code === "TOPIC_UNHANDLED";
}

function undecided(about: string, why: string): TribuneError {
  return new TribuneError("WRITE_UNDECIDED", `the write of ${about} was not confirmed: ${why}`, { about, next: "read the property and its version, and decide anew" });
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
