import { TribuneError } from "../../kernel/index.ts";
import type { Hint } from "../../store/index.ts";
import type { EndOfSession } from "../history/index.ts";
import type { Flow, Network } from "./network.ts";
import type { SimulatedProcess } from "./process.ts";
import { STORE_PLACE } from "./statements.ts";
import type { StatementKind } from "./statements.ts";

/** Who is at the near end of a connection. */
export interface Client {
  readonly process: SimulatedProcess;
  readonly node: string;
  /** It reaches the store by way of a pooler, which lends it connections to the server. */
  readonly isPooled: boolean;
  /** The incarnation that the process has now. */
  incarnation(): string;
  /** Called in the process whenever something has arrived, before it has been dealt with. */
  heard(): void;
  /** Called in the process when a beat or a look was answered. */
  answered(): void;
  /** When that was, on its own clock; the latest, in order. */
  answersMs(): readonly number[];
}

/** What the sender of a statement that somebody is dead had heard when it sent it; times on its own clock. */
export interface Declaring {
  readonly sentMs: number;
  /** When its sender had been answered beats and looks. */
  readonly answersMs: readonly number[];
}

/** What is at the far end of a connection. */
export interface Server {
  readonly network: Network;
  /** A client has sent a statement. Answers what there is to be known of it when it takes effect. */
  sent(kind: StatementKind, connection: Connection): Declaring | undefined;
  /** A statement has arrived. `run` lets it take effect and sends the answer. */
  arrive(kind: StatementKind, connection: Connection, run: () => void): void;
  /** Neither side uses the connection any more. */
  forget(connection: Connection, by: EndOfSession): void;
}

/** A connection between a process and the store: two flows, and a server process of its own at the far end. */
export class Connection {
  readonly client: Client;
  /** What its session holds as evidence of life, for as long as the server works for it. */
  readonly evidenceKey: string;
  /** Whether the server still works for it. */
  isServed = false;
  /** Whether the client has ended it. */
  isClosed = false;
  /** Whether its process knows that it has ended, or is dead. */
  isOverForClient = false;
  /** Of the statement that takes effect now. */
  declaring: Declaring | undefined;
  readonly #server: Server;
  readonly #requests: Flow;
  readonly #replies: Flow;
  #onEnd: (reason: TribuneError) => void = () => undefined;
  readonly #atServerEnd: Array<() => void> = [];
  #onHint: { readonly group: string; readonly tell: (hint: Hint) => void } | undefined;
  /** Statements that wait while the server process of this connection stands still. */
  #waiting: Array<() => void> | undefined;

  constructor(server: Server, client: Client, evidenceKey: string) {
    this.#server = server;
    this.client = client;
    this.evidenceKey = evidenceKey;
    this.#requests = server.network.flow(client.node, STORE_PLACE);
    this.#replies = server.network.flow(STORE_PLACE, client.node);
  }

  /** Sends one statement; settles as it does, if an answer ever comes. */
  call<T>(kind: StatementKind, statement: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const declaring = this.#server.sent(kind, this);
      const answered = (value: T) => {
        if (kind === "beat" || kind === "look") this.client.answered();
        resolve(value);
      };
      const takeEffect = () => {
        this.declaring = declaring;
        return statement();
      };
      this.#requests.send(() => this.#server.arrive(kind, this, () => this.#reply(attempt(takeEffect, answered, reject))));
    });
  }

  /** Calls `listener`, in the process, when it hears that the server has ended the connection. */
  onEnd(listener: (reason: TribuneError) => void): void {
    this.#onEnd = listener;
  }

  /** Calls `tell`, in the process, with the hints of a group. */
  listen(group: string, tell: (hint: Hint) => void): void {
    this.#onHint = { group, tell };
  }

  /** The client ends it. Statements that are on their way take effect all the same. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isOverForClient = true;
    this.#onHint = undefined;
    this.#requests.send(() => this.#server.arrive("close", this, () => this.endByServer("the client has closed it", { by: "process", told: false })));
    this.#requests.end();
  }

  // ---- at the server

  /** Calls `listener`, at the server, when the connection is no longer served. */
  atServerEnd(listener: () => void): void {
    this.#atServerEnd.push(listener);
  }

  /** Sends something to the client that is no answer. */
  tell(arrival: () => void): void {
    if (this.isServed) this.#reply(arrival);
  }

  hint(group: string, hint: Hint): void {
    if (this.#onHint?.group !== group || !this.isServed) return;
    this.#reply(() => this.#onHint?.tell(hint));
  }

  /** The server ends it: nothing more of it takes effect. `told`: the client will hear of it, if the network lets it. */
  endByServer(why: string, options: { readonly by: EndOfSession; readonly told: boolean }): void {
    if (!this.isServed) return;
    this.isServed = false;
    this.#waiting = undefined;
    this.#server.forget(this, options.by);
    for (const listener of this.#atServerEnd) listener();
    if (options.told) this.#reply(() => this.#heardEnd(new TribuneError("STORE_SESSION_ENDED", `the connection ended: ${why}`, { about: STORE_PLACE })));
    this.#replies.end();
  }

  #heardEnd(reason: TribuneError): void {
    this.isOverForClient = true;
    this.#onEnd(reason);
  }

  /** The server process of this connection stands still, until what is returned is called: its statements take effect late. */
  stall(): () => void {
    this.#waiting ??= [];
    return () => {
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      for (const run of waiting) run();
    };
  }

  /** Whether a statement has to wait behind others; if so, `again` is called when it need not. */
  waitsInServer(again: () => void): boolean {
    if (this.#waiting === undefined) return false;
    this.#waiting.push(again);
    return true;
  }

  #reply(arrival: () => void): void {
    const { client } = this;
    this.#replies.send(() =>
      client.process.deliver(() => {
        arrival();
        client.heard();
      }),
    );
  }
}

function attempt<T>(statement: () => T, resolve: (value: T) => void, reject: (error: unknown) => void): () => void {
  try {
    const result = statement();
    return () => resolve(result);
  } catch (error) {
    return () => reject(error);
  }
}
