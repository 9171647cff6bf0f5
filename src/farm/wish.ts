import { Complaints, TribuneError } from "../kernel/index.ts";
import { checkConfig, checkFarmName, checkPace, checkVersionIfAny } from "./checks.ts";
import type { Wish } from "./coordinate.ts";
import { isId, isRelease } from "./record.ts";

/** Where members ask the coordinator. */
export const WISH_TOPIC = "farm.wish";

/** What is asked about which name. */
export interface NamedWish {
  readonly name: string;
  readonly wish: Wish;
}

/** What a member asked for, as it came. Throws `PAYLOAD_INVALID`: members check before they ask. */
export function readWish(value: unknown): NamedWish {
  const { name, wish } = (value ?? {}) as Partial<NamedWish>;
  try {
    checkFarmName(name);
    if (typeof wish !== "object" || !isId(wish.id) || typeof wish.by !== "string") throw new TypeError("no wish");
    return { name: name as string, wish: checkWish(wish) };
  } catch (error) {
    throw new TribuneError("PAYLOAD_INVALID", "what was asked of the coordinator is no wish of the farm", { about: WISH_TOPIC, cause: error });
  }
}

function checkWish(wish: Wish): Wish {
  switch (wish.kind) {
    case "undeploy":
    case "cancel":
      return wish;
    case "deploy":
    case "rollback": {
      const complaints = new Complaints("farm");
      const { prepareMs, rolling } = wish;
      // Whoever asks has decided these: nothing is left out.
      complaints.check(typeof prepareMs === "number" && (rolling === null || typeof rolling.waveMs === "number"), "a time is missing");
      checkPace(complaints, { prepareMs, rolling: rolling ?? undefined });
      if (wish.kind === "rollback") checkVersionIfAny(complaints, wish.version);
      else if (complaints.check(isRelease(wish.release) && (wish.release as unknown) !== null && wish.release.config !== undefined, "no release")) checkConfig(complaints, wish.release.config);
      complaints.throwIfAny();
      return wish.kind === "rollback" ? { ...wish, version: wish.version ?? null } : wish;
    }
    default:
      throw new TypeError("no kind of wish");
  }
}
