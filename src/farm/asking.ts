import type { GroupChannel } from "../channel/index.ts";
import { abortError, sleep, toTribuneError, TribuneError } from "../kernel/index.ts";
import type { Clock, ErrorCode } from "../kernel/index.ts";
import type { Outcome } from "./record.ts";
import { WISH_TOPIC } from "./wish.ts";
import type { NamedWish } from "./wish.ts";

/** What asking needs. */
export interface AskingPorts {
  readonly clock: Clock;
  readonly channel: Pick<GroupChannel, "request">;
}

/** How long a wish is tried, while there is no coordinator. */
const WISH_MS = 60_000;
const WISH_TRY_MS = 10_000;
const WISH_AGAIN_MS = 200;
/** The answers to a wish that say no; after all others it is asked again. */
const REFUSALS: readonly string[] = ["FARM_BUSY", "FARM_VERSION_EXISTS", "FARM_NOT_DEPLOYED", "PAYLOAD_INVALID", "INVALID_DOCUMENT"];

/** Asks until the coordinator has answered: the same id is the same wish, however often it is asked. Rejects with why it was refused: `FARM_BUSY`, `FARM_VERSION_EXISTS`, `FARM_NOT_DEPLOYED`, `PAYLOAD_INVALID`, `INVALID_DOCUMENT`; with `FARM_NO_COORDINATOR` if nobody took it, and `ABORTED`. */
export async function ask(named: NamedWish, { clock, channel }: AskingPorts, signal: AbortSignal): Promise<void> {
  const dueMs = clock.monotonicMs() + WISH_MS;
  let last = "there is none";
  while (clock.monotonicMs() < dueMs && !signal.aborted) {
    const answer = await askOnce(channel, named, signal);
    if (answer === undefined) return;
    if (REFUSALS.includes(answer.code)) throw new TribuneError(answer.code as ErrorCode, answer.message, { about: named.name, next: NEXT[answer.code] });
    last = `${answer.code}: ${answer.message}`;
    await sleep(clock, WISH_AGAIN_MS, signal);
  }
  if (signal.aborted) throw abortError(signal, named.wish.kind);
  throw new TribuneError("FARM_NO_COORDINATOR", `no coordinator took it within ${WISH_MS} ms (${last})`, { about: named.name, next: "see tribune status; then look at tribune farm status before you ask again" });
}

async function askOnce(channel: AskingPorts["channel"], named: NamedWish, signal: AbortSignal): Promise<{ readonly code: string; readonly message: string } | undefined> {
  try {
    const { replies } = await channel.request(WISH_TOPIC, named, { to: "coordinator", deadlineMs: WISH_TRY_MS, signal });
    const [reply] = replies.values();
    if (reply?.status === "replied") return undefined;
    if (reply?.status === "failed") return reply;
    return { code: "FARM_NO_COORDINATOR", message: reply === undefined ? "there is none" : reply.status };
  } catch (error) {
    const { code, message } = toTribuneError(error, "FARM_NO_COORDINATOR", "asking the coordinator failed");
    return { code: code === "PAYLOAD_INVALID" ? code : "FARM_NO_COORDINATOR", message };
  }
}

/** What to do about a version that there was. */
export const VERSION_NEXT = "give what you deploy a new version, or go back to that one by rollback";

/** What can be done where a change was refused, or rolled back. */
const NEXT: Readonly<Partial<Record<string, string>>> = {
  FARM_VERSION_EXISTS: VERSION_NEXT,
  FARM_BUSY: "wait until it has ended: tribune farm status shows it",
  FARM_NOT_DEPLOYED: "see tribune farm status for what there is",
  INVALID_DOCUMENT: "see what the message says of that document; run the same version of Tribune on all members",
  FARM_UNSIGNED: "deploy it with signWith (--sign-with), and the key that its members trust",
  FARM_SIGNATURE_INVALID: "sign it with a key that its members trust, or add its public key to trustedKeys on all members",
  FARM_MEMBER_LEFT: "see why it left; then ask again: the same version will do",
  FARM_UNHANDLED: 'give that member a handler for it, or one for "*"',
  FARM_TIMEOUT: "see whether that member has a farm, and what its handler waits for; or give it more time",
};

/** What whoever asked for a change gets that was rolled back. */
export function rolledBackError(name: string, { version, code, why, node, kind }: Outcome): TribuneError {
  const [what, again] = kind === "rollback" ? ["going back to", "go back again"] : ["deploying", "deploy it again: the same version will do"];
  return new TribuneError(code ?? "FARM_PREPARE_FAILED", `${what} ${name} ${version} was rolled back everywhere${node === null ? "" : `, because of ${node}`}: ${why ?? "it was refused"}`, { about: name, next: NEXT[code ?? ""] ?? `mend what that member says, and ${again}` });
}
