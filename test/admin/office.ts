import { openAdmin } from "../../src/admin/index.ts";
import type { Admin, AdminOptions } from "../../src/admin/index.ts";
import type { ElectionOptions } from "../../src/election/index.ts";
import { TribuneError } from "../../src/kernel/index.ts";
import type { OpenContext, StoreProvider, StoreSession } from "../../src/store/index.ts";
import type { Node, World } from "../support/world.ts";

/** An admin beside the world's store, on the store's own clock, whose connections a test can count and cut. */
export class Office {
  readonly world: World;
  readonly admin: Admin;
  readonly sessions: StoreSession[] = [];
  closed = 0;

  constructor(world: World, options: Partial<AdminOptions> = {}) {
    this.world = world;
    const { kind, label, capabilities, fenced, schema } = world.store;
    const open = async (context: OpenContext) => {
      const session = await world.store.open(context);
      this.sessions.push(session);
      return session;
    };
    const store: StoreProvider = { kind, label, capabilities, fenced, schema, open, diagnose: () => world.store.diagnose(), close: () => Promise.resolve(void (this.closed += 1)) };
    this.admin = openAdmin({ group: "world", clock: world.storeClock, ...options, store });
  }

  /** Lets time pass until the answer is there. */
  ask<T>(answer: Promise<T>): Promise<T> {
    return this.world.resolve(answer);
  }

  cut(): void {
    this.sessions.at(-1)?.destroy(new TribuneError("STORE_SESSION_ENDED", "cut"));
  }
}

/** Leads on a node until its term ends. */
export function lead(node: Node, election: string, options?: ElectionOptions): void {
  void node.cluster.election(election, options).lead((term) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve(), { once: true })));
}

export async function led(world: World, node: Node, election: string, options?: ElectionOptions): Promise<string> {
  lead(node, election, options);
  await world.until(() => node.cluster.election(election).term !== undefined);
  return String(node.cluster.election(election).term?.token);
}
