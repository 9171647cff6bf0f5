import { createHash } from "node:crypto";
import { isTribuneError } from "../../src/kernel/index.ts";
import type { Context, Contexts } from "../../src/contexts/index.ts";
import type { NodeContexts } from "../../src/contexts/node-contexts.ts";
import { shownVersion } from "../../src/contexts/properties.ts";
import { compareRemovals } from "../../src/contexts/tree.ts";
import type { Removals } from "../../src/contexts/tree.ts";
import { compareVersions, NEVER } from "../../src/contexts/version.ts";
import { decodeChanges } from "../../src/contexts/words.ts";
import { content, Group } from "./group.ts";
import type { GroupNode } from "./group.ts";

/** What happened, and what was wrong with it. */
export interface Story {
  readonly complaints: readonly string[];
  /** SHA-256 of everything that members have sent, and when. */
  readonly digest: string;
  readonly flushes: number;
  readonly faults: number;
  readonly joins: number;
  readonly deaths: number;
  /** How often a member lost its membership and came back. */
  readonly rejoins: number;
  readonly removals: number;
  /** How often a context was made that had been there before. */
  readonly remade: number;
  /** How often one was removed while another member, who did not know of it, wrote, made or removed something in it or below it. */
  readonly removedUnderWrite: number;
  /** How often what was deleted was forgotten. */
  readonly floors: number;
  readonly decided: number;
  readonly undecided: number;
  /** How often a message was under way for longer than deletions are remembered. */
  readonly slowWays: number;
  /** Properties in messages that went to all others. */
  readonly sent: number;
}

const PATHS = ["a", "b", "a/x", "a/y", "a/x/z"] as const;
const KEYS = ["k", "l", "m", "n", "o", "p", "q", "r"] as const;

/** How long a story is, in virtual milliseconds, and how soon after it all are the same. */
const STORY_MS = 60_000;
const QUIET_MS = 45_000;
/** At so many looks in a row all were the same: more is likely to stay as it is. */
const LOOKS = { everyMs: 3_000, rested: 3 };

/** What whoever wrote something knew of removals: all up to its floor, and those of the base. */
interface Knowledge {
  readonly floor: number;
  readonly base: Removals;
}

/** A write that succeeded on a version. */
interface Winner {
  readonly value: string;
  /** The members at that moment: their incarnations. */
  readonly knownBy: ReadonlySet<string>;
}

interface Removal {
  readonly path: string;
  readonly base: Removals;
  /** Incarnations: who made it, and whoever confirmed it. It is lost with them. */
  readonly knownBy: Set<string>;
}

/**
 * Three to five members whose clocks differ, that write, create, remove and decide, on a network that cuts, breaks, delays, loses and doubles, while others join, leave and die; every now and then it is quiet for long enough that what was deleted may be forgotten. In two of five stories contexts are removed and made again all the time, by several at once, and clocks differ by more than deletions are remembered. Of one seed always the same story.
 *
 * Judged: all trees are equal at the end, and so is, where they are durable, the one of a member that starts after all have stopped, one after the other or at once; a property has no other value than one that was written into it, and not one that was deleted, or removed, before it by somebody who had seen it, nor one that was written without knowledge of a removal; what was deleted or removed is gone at once where it was done; of all writes on one version one is told that it succeeded, as long as somebody is left who was there; no message of a flush has a property that was not touched, or has one twice, and no other message to all has any property but the one that was decided.
 */
export async function simulate(seed: number): Promise<Story> {
  const isPatient = seed % 4 === 1; // connections that outlive a long silence carry what is older than deletions are remembered
  const isDurable = seed % 3 === 0;
  const isTurbulent = seed % 5 < 2;
  const group = new Group(seed, { deadlineMs: 1_000, repairMs: 2_000, tombstoneMs: 2_500, durable: isDurable, durableMs: 500 }, isPatient ? { silenceMs: 20_000 } : {});
  const { random, clock, network } = group;
  const complaints: string[] = [];
  const count = { flushes: 0, faults: 0, joins: 0, deaths: 0, rejoins: 0, removals: 0, remade: 0, removedUnderWrite: 0, floors: 0, decided: 0, undecided: 0, slowWays: 0, sent: 0 };
  const written = new Map<string, Set<string>>();
  const winners = new Map<string, Winner[]>();
  /** By path and version: of properties, and, with no key, of creations. */
  const knowledge = new Map<string, Knowledge>();
  const removed: Removal[] = [];
  /** By value. */
  const decided = new Map<string, Knowledge>();
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T;
  /** What was asked, and has not come to its end. */
  let open = 0;
  const noted = (what: Promise<unknown>) => {
    open++;
    const judged = what.catch((error: unknown) => {
      if (!isTribuneError(error)) complaints.push(`${String(error)} ${error instanceof Error ? error.stack : ""}`);
      else if (error.code === "WRITE_UNDECIDED") count.undecided++;
    });
    void judged.then(() => open--);
  };
  const touched = new Map<Contexts, Set<string>>();
  /** By incarnation: what it had seen and deleted. */
  const deleted = new Set<string>();
  let values = 0;
  /** What was touched and is being flushed, and not seen in a message yet. */
  let flushing = new Set<string>();

  const history = createHash("sha256");
  group.onSend = (node, topic, payload, isToAll) => {
    history.update(`${clock.monotonicMs()} ${node} ${topic} `).update(payload);
    if (!isToAll) return; // what a comparison found
    const { floor, contexts } = decodeChanges(payload);
    for (const { path, base, created, properties } of contexts) {
      if (created !== undefined) knowledge.set(`${path} ${shownVersion(created)}`, { floor, base });
      else if (properties.length === 0) removed.push({ path, base, knownBy: new Set() });
      for (const { version, text } of properties) {
        knowledge.set(`${path} ${shownVersion(version)}`, { floor, base });
        if (topic === "contexts.decided") decided.set(String(text), { floor, base });
      }
    }
    const names = contexts.flatMap(({ path, properties }) => properties.map(({ key }) => `${path} ${key}`));
    count.sent += names.length;
    if (topic === "contexts.decided" && names.length === 1) return;
    for (const name of names) if (!flushing.delete(name)) complaints.push(`${node} sent ${name} on ${topic}, which was not touched`);
  };

  const note = (path: string, key: string): number => {
    const value = ++values;
    const name = `${path} ${key}`;
    written.set(name, (written.get(name) ?? new Set()).add(String(value)));
    return value;
  };

  const touch = (contexts: Contexts, name: string): void => void touched.set(contexts, (touched.get(contexts) ?? new Set()).add(name));

  /** Flushes what was touched; `gone` has what of it was seen and deleted. */
  const flushNow = ({ contexts, incarnation }: GroupNode, gone: readonly string[]): void => {
    count.flushes++;
    const now = [...(touched.get(contexts) ?? [])];
    touched.delete(contexts);
    flushing = new Set(now);
    const flushed = contexts.flush(); // its messages are handed over at once
    flushing = new Set();
    const standing = gone.filter((name) => isThere(contexts, name));
    noted(
      flushed.then(
        ({ properties }) => {
          for (const name of standing) complaints.push(`${incarnation} has deleted ${name}, and it is there`);
          if (properties > now.length) complaints.push(`${properties} properties were sent, of ${now.length} that were touched`);
          for (const name of gone) deleted.add(`${incarnation} ${name}`);
        },
        (error: unknown) => {
          if (!isTribuneError(error, "CONTEXTS_AWAY")) throw error;
          for (const name of now) touch(contexts, name); // they stay touched
        },
      ),
    );
  };

  const create = ({ contexts }: GroupNode, path: string): void => {
    const creating = contexts.create(path);
    if (removed.some((each) => isWithin(path, each.path)) && contexts.get(path) !== undefined) count.remade++;
    noted(creating.catch((error: unknown) => (isTribuneError(error, "CONTEXT_UNKNOWN") || isTribuneError(error, "CONTEXT_EXISTS") ? undefined : Promise.reject(error))));
  };

  const remove = ({ contexts, incarnation }: GroupNode, path: string): void => {
    count.removals++;
    const seen = Object.entries(content(contexts)).flatMap(([each, properties]) => (isWithin(each, path) ? Object.entries(properties).map(([key, value]) => `${each} ${key} ${String(value)}`) : []));
    const removing = contexts.remove(path, { recursive: true });
    const isStanding = contexts.get(path) !== undefined;
    const removal = removed.at(-1);
    const asked = new Map(group.nodes.map((each) => [each.node, each.incarnation]));
    noted(
      removing.then(({ results }) => {
        removal?.knownBy.add(incarnation);
        for (const [node, { status }] of results) if (status === "delivered") removal?.knownBy.add(asked.get(node) ?? "");
        if (isStanding) complaints.push(`${incarnation} has removed ${path}, and it is there`);
        for (const name of seen) deleted.add(`${incarnation} ${name}`);
      }),
    );
  };

  const write = (node: GroupNode, path: string = pick(PATHS)): void => {
    const { contexts } = node;
    const context = contexts.get(path);
    if (context === undefined) return create(node, path);
    const dice = random.next();
    if (dice < (isTurbulent ? 0.06 : 0.03)) return remove(node, path);
    if (dice < 0.13) return decide(node, context, pick(KEYS));
    let last: [key: string, value: number] | undefined;
    const gone: string[] = [];
    for (let n = 1 + Math.floor(random.next() * 2); n > 0; n--) {
      const key = pick(KEYS);
      touch(contexts, `${path} ${key}`);
      if (random.next() < 0.35) {
        const value = context.get(key);
        if (context.delete(key)) gone.push(`${path} ${key} ${String(value)}`);
      } else context.set(key, (last = [key, note(path, key)])[1]);
    }
    flushNow(node, gone);
    if (last !== undefined && context.get(last[0]) !== last[1] && context.has(last[0])) complaints.push(`${path}.${last[0]} was set to ${last[1]} and is ${String(context.get(last[0]))}`);
  };

  const decide = ({ contexts }: GroupNode, context: Context, key: string): void => {
    const { path } = context;
    const ifVersion = context.version(key);
    const known = (contexts as NodeContexts).trees.shared.removalsOf(path);
    const value = note(path, key);
    noted(
      context.set(key, value, { ifVersion }).then((won) => {
        if (!won) return;
        count.decided++;
        const { floor, base } = decided.get(String(value)) ?? { floor: 0, base: [] };
        if (compareRemovals(known.map((cut) => (cut.time <= floor ? NEVER : cut)), base) > 0) complaints.push(`${path}.${key} = ${value} succeeded, by a coordinator that did not know of a removal that who asked knew of`);
        // That of a property that is not there is no name: it may be made and deleted again and again.
        if (ifVersion === null) return;
        const name = `${path} ${key} ${ifVersion}`;
        winners.set(name, [...(winners.get(name) ?? []), { value: String(value), knownBy: new Set(group.nodes.map((each) => each.incarnation)) }]);
      }),
    );
  };

  const heal = new Set<() => void>();
  const fault = (): void => {
    count.faults++;
    const [a, b] = [pick(group.nodes).node, pick(group.nodes).node];
    if (a === b) return;
    const dice = random.next();
    if (dice < 0.06) {
      isolate(a);
    } else if (dice < 0.3) network.break(a, b, random.next() < 0.5 ? "lost" : "arrive"); // what is sent again comes twice
    else if (dice < 0.4) network.breakFor(a, b);
    else {
      const undo = dice < 0.6 ? "heal" : dice < 0.8 ? "delay" : "unbar";
      if (undo === "heal") network.cut(a, b);
      else if (undo === "delay") network.delay(a, b, random.next() * 1_500);
      else network.bar(a, b);
      const ending = () => {
        heal.delete(ending);
        if (undo === "unbar") network.unbar(a, b);
        else network.heal(a, b);
      };
      heal.add(ending);
      clock.setTimer(random.next() * 6_000, ending);
    }
  };

  /** Nobody can talk to it for a while, longer than deletions are remembered where all have heard of them. */
  const isolate = (node: string): void => {
    const others = group.nodes.filter((each) => each.node !== node).map((each) => each.node);
    for (const other of others) for (const [from, to] of [[node, other], [other, node]] as const) network.bar(from, to);
    const ending = () => {
      heal.delete(ending);
      for (const other of others) for (const [from, to] of [[node, other], [other, node]] as const) network.unbar(from, to);
    };
    heal.add(ending);
    clock.setTimer(2_000 + random.next() * 12_000, ending);
  };

  /** What one member writes is under way to another one for longer than a third, who has it, remembers that it was deleted there. */
  const slowWay = async (): Promise<void> => {
    const [third, ...others] = group.nodes;
    const [writer, late] = random.next() < 0.5 ? others : others.toReversed();
    if (third === undefined || writer === undefined || late === undefined) return;
    const path = PATHS.find((each) => writer.contexts.get(each) !== undefined && third.contexts.get(each) !== undefined);
    const key = pick(KEYS);
    const [context, there] = [writer.contexts.get(path ?? "a"), third.contexts.get(path ?? "a")];
    if (path === undefined || context === undefined || there === undefined) return;
    count.slowWays++;
    network.delay(writer.node, late.node, 4_000 + random.next() * 6_000);
    clock.setTimer(1_000, () => network.heal(writer.node, late.node)); // what is under way stays slow
    const value = note(path, key);
    context.set(key, value);
    touch(writer.contexts, `${path} ${key}`);
    flushNow(writer, []);
    await clock.advance(50);
    if (there.get(key) !== value) return;
    there.delete(key);
    touch(third.contexts, `${path} ${key}`);
    flushNow(third, [`${path} ${key} ${value}`]);
    await clock.advance(12_000);
  };

  /** One member removes a context in which, and below which, another one is at work; somebody makes it again, soon or late. */
  const turn = async (): Promise<void> => {
    const [remover, other] = [pick(group.nodes), pick(group.nodes)];
    const path = PATHS.filter((each) => remover.contexts.get(each) !== undefined && other.contexts.get(each) !== undefined).find(() => random.next() < 0.5);
    if (path === undefined || remover === other) return;
    const dice = random.next();
    if (dice < 0.5) {
      const ways = [[remover.node, other.node], [other.node, remover.node]] as const;
      for (const [from, to] of ways) network.cut(from, to);
      const ending = () => {
        heal.delete(ending);
        for (const [from, to] of ways) network.heal(from, to);
      };
      heal.add(ending);
      clock.setTimer(random.next() * 4_000, ending);
    } else if (dice < 0.6) network.break(remover.node, other.node, "lost");
    else if (dice < 0.7) join();
    remove(remover, path);
    const below = PATHS.filter((each) => isWithin(each, path));
    if (other.contexts.get(path) !== undefined) count.removedUnderWrite++;
    for (let n = 1 + Math.floor(random.next() * 4); n > 0; n--) {
      const where = pick(below);
      if (random.next() < 0.3 && other.contexts.get(where) !== undefined) remove(other, where);
      else write(other, where);
      if (random.next() < 0.3) await clock.advance(random.next() * 40);
    }
    if (random.next() < 0.1 && group.nodes.length > 2 && group.nodes.includes(remover)) {
      count.deaths++;
      await group.during(group.kill(remover)); // with what it had not told yet
    }
    const maker = pick([remover, other, ...group.nodes]);
    clock.setTimer(random.next() * (random.next() < 0.5 ? 100 : 3_000), () => {
      if (group.nodes.includes(maker)) for (const each of below) if (maker.contexts.get(each) === undefined && (each === path || random.next() < 0.5)) create(maker, each);
    });
  };

  const join = (): void => {
    if (group.nodes.length >= 5) return;
    count.joins++;
    noted(group.add({}, Math.floor(random.next() * 4_000 - 2_000) * (isTurbulent ? 5 : 1)).then(watch));
  };

  const watch = (node: GroupNode): void => {
    node.contexts.on("change", ({ path, key, value, deleted: isGone }) => {
      if (!isGone && deleted.has(`${node.incarnation} ${path} ${key} ${String(value)}`)) complaints.push(`${path}.${key} is ${String(value)} again at ${node.node}, which had deleted it`);
    });
    let before = 0;
    const look = (): void => {
      const { tombstones } = node.contexts.stats;
      if (tombstones === 0 && before > 0) count.floors++;
      before = tombstones;
      if (group.nodes.includes(node)) clock.setTimer(500, look);
    };
    look();
  };

  if (isDurable) group.documents.wire = () => new Promise<void>((resolve) => void clock.setTimer(random.next() * 60, resolve));
  for (const skewMs of [0, 1_500, -700]) await group.during(group.add({}, skewMs));
  group.viewDelayMs = 400;
  for (const node of group.nodes) watch(node);

  for (const endMs = clock.monotonicMs() + STORY_MS; clock.monotonicMs() < endMs; ) {
    await clock.advance(random.next() * 150);
    const dice = random.next();
    if (group.nodes.length === 0) join();
    else if (isTurbulent && random.next() < 0.08) await turn();
    else if (isTurbulent && random.next() < 0.004) {
      for (const each of [...heal]) each();
      await clock.advance(4_000 + random.next() * 6_000); // what was deleted is forgotten
    } else if (dice < 0.8) write(pick(group.nodes));
    else if (dice < 0.96) fault();
    else if (dice < 0.975) join();
    else if (dice < 0.99 && group.nodes.length > 2) {
      count.deaths++;
      await group.during(random.next() < 0.6 ? group.kill(pick(group.nodes)) : group.leave(pick(group.nodes)));
    } else if (dice < 0.993 && group.nodes.length > 1) {
      count.rejoins++;
      noted(group.rejoin(pick(group.nodes), random.next() * 20_000));
    } else if (isPatient && random.next() < 0.5) {
      for (const each of [...heal]) each();
      await clock.advance(3_000);
      await slowWay();
    } else if (random.next() < 0.4) {
      for (const each of [...heal]) each();
      await clock.advance(15_000);
    } else {
      isolate(pick(group.nodes).node);
      for (let n = 0; n < 6; n++) write(pick(group.nodes));
      await clock.advance(9_000); // nobody writes, whoever can be reached
    }
  }

  for (const each of [...heal]) each();
  group.viewDelayMs = 0;
  group.publish();
  if (group.nodes.length === 0) join();
  /** Until all are the same, and stay so. */
  const comeToRest = async (): Promise<readonly string[]> => {
    let unrest: readonly string[] = [];
    for (let endMs = clock.monotonicMs() + QUIET_MS, rested = 0; clock.monotonicMs() < endMs && rested < LOOKS.rested; rested = unrest.length === 0 ? rested + 1 : 0) {
      await clock.advance(LOOKS.everyMs);
      unrest = [...unrestOf(group, open)];
    }
    return unrest;
  };
  await comeToRest();
  for (const node of group.nodes) flushNow(node, []); // what was touched while its node was away
  complaints.push(...(await comeToRest()));
  judge(group, written, winners, complaints);
  complaints.push(...unknowing(group, knowledge, removed));
  const before = shown(group.nodes[0]?.contexts as Contexts);
  if (seed % 2 === 0) await group.during(Promise.all(group.nodes.map((node) => group.leave(node))));
  else for (const node of group.nodes) await group.during(group.leave(node));
  if (isDurable) {
    const again = await group.during(group.add());
    if (shown(again.contexts) !== before) complaints.push(`all had ${before}, and who starts after them has ${shown(again.contexts)}`);
    await group.during(group.leave(again));
  }
  return { complaints, digest: history.digest("hex"), ...count };
}

function* unrestOf({ nodes }: Group, open: number): Generator<string> {
  const [first, ...others] = nodes.map(({ node, contexts }) => ({ node, text: shown(contexts), tombstones: contexts.stats.tombstones }));
  for (const each of others) if (each.text !== first?.text) yield `${first?.node} has ${first?.text}, ${each.node} has ${each.text}`;
  if ((first?.tombstones ?? 0) > 0) yield `${first?.tombstones} tombstones are still there after a long quiet`;
  if (open > 0) yield `${open} things that were asked for have not come to an end`;
}

function judge(group: Group, written: ReadonlyMap<string, ReadonlySet<string>>, winners: ReadonlyMap<string, readonly Winner[]>, complaints: string[]): void {
  for (const [path, properties] of Object.entries(content(group.nodes[0]?.contexts as Contexts))) {
    for (const [key, value] of Object.entries(properties)) if (written.get(`${path} ${key}`)?.has(String(value)) !== true) complaints.push(`${path}.${key} is ${String(value)}, which nobody wrote there`);
  }
  for (const [name, all] of winners) {
    for (const [at, { value, knownBy }] of all.entries()) {
      // If nobody who was there is left, it is lost with them but for what the store had, which is written behind.
      const again = all.slice(at + 1).find((later) => [...knownBy].some((each) => later.knownBy.has(each)));
      if (again !== undefined) complaints.push(`${value} and ${again.value} both succeeded on ${name}`);
    }
  }
}

/** What stands though whoever wrote it did not know that its context, or one above it, was removed. */
function* unknowing({ nodes }: Group, knowledge: ReadonlyMap<string, Knowledge>, removed: readonly Removal[]): Generator<string> {
  const [first] = nodes;
  if (first === undefined) return;
  const { shared } = (first.contexts as NodeContexts).trees;
  const lasting = removed.filter(({ knownBy }) => nodes.some(({ incarnation }) => knownBy.has(incarnation)));
  for (const path of shared.paths()) {
    for (const [key, version] of [["", shared.created(path)], ...[...shared.entries(path)].map(([each, entry]) => [each, entry.version] as const)] as const) {
      const author = knowledge.get(`${path} ${shownVersion(version ?? NEVER)}`);
      if (author === undefined) yield `${path}.${key} was sent by nobody`;
      else for (const each of lasting) if (isWithin(path, each.path) && isUnknown(each, author, removed)) yield `${path}.${key} stands, and was written without knowledge of a removal of ${each.path}`;
    }
  }
}

/** Neither this removal was known, nor one above it that its author did not know of, with which it went itself. */
function isUnknown({ path, base }: Removal, author: Knowledge, removed: readonly Removal[]): boolean {
  const ids = path.split("/");
  const known = ids.map((_, level) => {
    const forgotten = removed.filter((each) => each.path === ids.slice(0, level + 1).join("/")).map((each) => each.base.at(-1) ?? NEVER).filter(({ time }) => time <= author.floor);
    return [author.base[level] ?? NEVER, ...forgotten].toSorted(compareVersions).at(-1) ?? NEVER;
  });
  return compareRemovals(known, base) < 0;
}

/** It is this context, or one below it. */
function isWithin(path: string, above: string): boolean {
  return path === above || path.startsWith(`${above}/`);
}

/** `name` has path, key and value. */
function isThere(contexts: Contexts, name: string): boolean {
  const [path = "", key = "", value] = name.split(" ");
  return String(contexts.get(path)?.get(key)) === value;
}

function shown(contexts: Contexts): string {
  return JSON.stringify([content(contexts), versions(contexts)]);
}

function versions(contexts: Contexts): unknown {
  return Object.entries(content(contexts)).map(([path, properties]) => Object.keys(properties).map((key) => contexts.get(path)?.version(key)));
}
