import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Answer, Call, MemberOrders } from "./member.ts";

/** A member in a process of its own. */
export class Member {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, { readonly resolve: (result: unknown) => void; readonly reject: (error: Error) => void }>();
  #last = 0;

  constructor(child: ChildProcess, orders: MemberOrders) {
    this.name = orders.name;
    this.#child = child;
    child.on("message", (message) => {
      const answer = message as Answer;
      const waiting = this.#answers.get(answer.id);
      this.#answers.delete(answer.id);
      if ("error" in answer) waiting?.reject(new Error(`${this.name}: ${answer.error}`));
      else waiting?.resolve(answer.result);
    });
    child.once("exit", () => {
      for (const waiting of this.#answers.values()) waiting.reject(new Error(`${this.name} ended`));
      this.#answers.clear();
    });
  }

  static async start(orders: MemberOrders): Promise<Member> {
    // A look at memory collects garbage first.
    const child = fork(join(import.meta.dirname, "member.ts"), { execArgv: ["--expose-gc"] });
    const member = new Member(child, orders);
    const begun = member.#answer(0);
    child.send(orders);
    await begun;
    return member;
  }

  /** Has the member do something, and resolves with what it says. */
  async call<Result = null>(deed: string, argument: unknown = null): Promise<Result> {
    const id = ++this.#last;
    const answer = this.#answer(id);
    this.#child.send({ id, deed, argument } satisfies Call);
    return (await answer) as Result;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => void this.#answers.set(id, { resolve, reject }));
  }
}

/** Members that share views; whoever uses them decides what the view is, as membership would. */
export class Members {
  readonly all: Member[] = [];
  #version = 0;

  async start(each: readonly MemberOrders[]): Promise<Member[]> {
    const members = await Promise.all(each.map((orders) => Member.start(orders)));
    this.all.push(...members);
    return members;
  }

  /** Gives these members the next view, oldest first. `strangers` are in it too. */
  async publish(members: readonly Member[], strangers: readonly string[] = []): Promise<void> {
    const known = await Promise.all(members.map(async (member) => ({ node: member.name, incarnation: member.name, address: await member.call<string>("address") })));
    const view = { version: ++this.#version, members: [...known, ...strangers.map((name) => ({ node: name, incarnation: name }))], coordinator: members[0]?.name ?? null };
    await Promise.all(members.map((member) => member.call("view", view)));
  }

  /** Waits until each of them has a connection with each other one. */
  async connected(members: readonly Member[]): Promise<void> {
    const names = members.map(({ name }) => name);
    await until("everybody is connected", async () => (await Promise.all(members.map((member) => member.call<boolean>("connected", names.filter((name) => name !== member.name))))).every(Boolean));
  }

  async end(): Promise<void> {
    await Promise.all(this.all.map((member) => member.end()));
  }
}

const PATIENCE_MS = 120_000;

/** Asks again and again. */
export async function until(what: string, holds: () => Promise<boolean>, patienceMs = PATIENCE_MS): Promise<void> {
  for (const endMs = performance.now() + patienceMs; !(await holds()); await pause(50)) if (performance.now() > endMs) throw new Error(`${what}: not within ${patienceMs / 1_000} s`);
}
