import { checkName, TribuneError } from "../kernel/index.ts";

/** A fencing token and the election that it is of; or the number alone, which receivers can read and cannot check. */
export type SentToken = number | { readonly token: number; readonly election: string };

/** What a handler asks of messages before it takes them. What does not have it is answered with the code, and not handled. */
export interface Demands {
  /** The sender's view must not be older than this member's: otherwise `VIEW_STALE`. Default false. */
  readonly currentView?: boolean;
  /** The name of an election: the message must carry a token of it, and none smaller than any that is known here: otherwise `TOKEN_STALE`. */
  readonly tokenOf?: string;
}

/** Throws `INVALID_NAME`. */
export function checkDemands({ tokenOf }: Demands): void {
  if (tokenOf !== undefined) checkName("election", tokenOf);
}

/** What a token is on its way. Throws `INVALID_NAME`, `INVALID_OPTIONS`. */
export function splitToken(given: SentToken | undefined): { readonly token: number | undefined; readonly election: string | undefined } {
  const token = typeof given === "object" ? given.token : given;
  if (token !== undefined && !(Number.isSafeInteger(token) && token >= 0)) throw new TribuneError("INVALID_OPTIONS", "a token is a whole number from 0 on", { about: "token", next: "give term.token, or { token, election }" });
  return { token, election: typeof given === "object" ? checkName("election", given.election) : undefined };
}

/** Judges messages by what is demanded. Remembers the greatest token of each election that somebody here demands. */
export class Doorkeeper {
  readonly #view: () => number;
  readonly #tokenOf: (election: string) => number | undefined;
  readonly #greatest = new Map<string, number>();

  /** `tokenOf`: the present token of an election as far as this member knows from elsewhere. */
  constructor(view: () => number, tokenOf: (election: string) => number | undefined = () => undefined) {
    this.#view = view;
    this.#tokenOf = tokenOf;
  }

  /** Throws `VIEW_STALE`, `TOKEN_STALE`. */
  admit(demands: Demands, message: { readonly topic: string; readonly view: number; readonly token: number | undefined; readonly election: string | undefined }): void {
    const { currentView = false, tokenOf } = demands;
    if (currentView && message.view < this.#view()) throw new TribuneError("VIEW_STALE", `a message on ${message.topic} was sent in view ${message.view}, and this is view ${this.#view()}`, { about: message.topic, next: "look at the present view, and send again if it still holds" });
    if (tokenOf === undefined) return;
    const greatest = Math.max(this.#greatest.get(tokenOf) ?? 0, this.#tokenOf(tokenOf) ?? 0);
    const token = message.election === tokenOf ? message.token : undefined;
    if (token === undefined || token < greatest) {
      throw new TribuneError("TOKEN_STALE", `a message on ${message.topic} came with ${token === undefined ? "no token" : `token ${token}`} of ${tokenOf}${token === undefined ? "" : `, and ${greatest} is known`}`, { about: message.topic, next: `send { token, election: "${tokenOf}" } of the present term` });
    }
    this.#greatest.set(tokenOf, token);
  }
}
