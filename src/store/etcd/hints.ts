import { backoffMs } from "../../kernel/index.ts";
import type { Clock, Random, Timer } from "../../kernel/index.ts";
import type { Hint } from "../index.ts";
import type { Connection } from "./connection.ts";
import type { GrpcStream } from "./grpc.ts";
import type { GroupKeys } from "./keys.ts";
import { endOf, watchAnswer } from "./messages.ts";

/** How long after a watch has ended the next one is begun. */
const AGAIN = { firstMs: 100, longestMs: 5_000 } as const;

/** What a watch needs of a connection. */
export type Watched = Pick<Connection, "watch" | "renewToken">;

/** What a watch needs from its session. */
export interface HintPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly keys: GroupKeys;
  tell(hint: Hint): void;
  /** Told why a watch ended that had begun, or could not begin. */
  ended(reason: string): void;
}

/**
 * Watches the keys of a group that change seldom, and says that something has. A watch decides nothing: its values are not even looked at. One that ends, because the server cancelled it, its
 * member lost the leader, or what it was to tell has been compacted, is begun again from now on, and whatever may have been missed is hinted at.
 */
export class Hints {
  readonly #connection: Watched;
  readonly #ports: HintPorts;
  #stream: GrpcStream | undefined;
  #timer: Timer | undefined;
  #failures = 0;
  #stopped = false;

  constructor(connection: Watched, ports: HintPorts) {
    this.#connection = connection;
    this.#ports = ports;
  }

  /** Resolves with the truth when the first watch has begun, so that no later change is missed; otherwise with `false`, and it is tried again. */
  start(): Promise<boolean> {
    return new Promise((resolve) => this.#watch(resolve));
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#stream?.cancel();
  }

  #watch(begun: (whether: boolean) => void): void {
    const { keys } = this.#ports;
    let over = false;
    const again = (reason: string) => {
      if (over) return;
      over = true;
      begun(false);
      if (this.#stopped) return;
      this.#ports.ended(reason);
      this.#timer = this.#ports.clock.setTimer(backoffMs(this.#failures, AGAIN, this.#ports.random), () => void this.#resume());
      this.#failures += 1;
    };
    const stream = this.#connection.watch({ key: keys.shown, end: endOf(keys.shown) }, {
      onMessage: (message) => {
        const answer = watchAnswer(message);
        if (answer.canceled) {
          stream.cancel();
          return again(answer.reason === "" ? `it was cancelled${answer.compactRevision > 0 ? `; revisions before ${answer.compactRevision} are compacted` : ""}` : answer.reason);
        }
        if (answer.created) {
          this.#failures = 0;
          begun(true);
        }
        this.#tell(answer.keys);
      },
      onEnd: (error) => again(error?.message ?? "the server ended it"),
    });
    this.#stream = stream;
  }

  async #resume(): Promise<void> {
    if (this.#stopped) return;
    // One of the reasons is a token that is out of date.
    await this.#connection.renewToken().catch(() => undefined);
    if (this.#stopped) return;
    this.#watch((whether) => {
      if (!whether) return;
      for (const kind of ["view", "presence"] as const) this.#ports.tell({ kind });
    });
  }

  #tell(changed: readonly string[]): void {
    const { keys } = this.#ports;
    const elections = new Set(changed.flatMap((key) => keys.electionIn(key) ?? []));
    if (changed.includes(keys.viewVersion)) this.#ports.tell({ kind: "view" });
    if (changed.some((key) => key.startsWith(keys.presences))) this.#ports.tell({ kind: "presence" });
    for (const election of elections) this.#ports.tell({ kind: "election", election });
    for (const name of new Set(changed.flatMap((key) => keys.documentIn(key) ?? []))) this.#ports.tell({ kind: "document", name });
  }
}
