import { open } from "node:fs/promises";
import { abortError, jitter, sleep, TribuneError } from "../kernel/index.ts";
import type { Clock, Random } from "../kernel/index.ts";
import type { Channel } from "../channel/index.ts";
import type { Artifacts } from "./artifacts.ts";
import type { Release } from "./record.ts";

/** Where pieces of artifacts are asked for. */
export const PIECE_TOPIC = "farm.piece";

/** What is asked for. */
export interface PieceWanted {
  readonly digest: string;
  readonly offset: number;
  readonly length: number;
}

/** What fetching needs. */
export interface FetchPorts {
  readonly artifacts: Artifacts;
  readonly channel: Pick<Channel, "request">;
  readonly clock: Clock;
  readonly random: Random;
  readonly pieceBytes: number;
  /** Nodes that may have it, now; not this one. */
  givers(): readonly string[];
  /** Whether to go on asking while nobody has it. */
  readonly isPatient: boolean;
  /** So many bytes came. */
  received(bytes: number): void;
}

/** How far a transfer has come. */
export interface FetchProgress {
  readonly bytes: number;
  readonly ofBytes: number;
  readonly from: string;
}

/** How many pieces are asked for before the first has come. */
const WINDOW = 4;
const PIECE_DEADLINE_MS = 10_000;
const PAUSE_MS = 250;

/**
 * Brings an artifact here, one transfer of it at a time: from the end of the part that is here, from one member after the other, until all of it has come and its digest fits. Who is patient goes on asking while nobody has it, until the signal aborts.
 * Rejects with `FARM_ARTIFACT_UNAVAILABLE` who is not, `FARM_DIGEST_MISMATCH` when everybody who has it gave something else, `ABORTED`, and what the file system says.
 */
export async function fetchArtifact(release: Release, ports: FetchPorts, progress: (progress: FetchProgress) => void, signal: AbortSignal): Promise<void> {
  await ports.artifacts.alone(release.digest, signal, () => fetchAlone(release, ports, progress, signal));
}

async function fetchAlone(release: Release, ports: FetchPorts, progress: (progress: FetchProgress) => void, signal: AbortSignal): Promise<void> {
  const { artifacts, clock, random } = ports;
  const { digest, sizeBytes } = release;
  if ((await artifacts.size(digest)) === sizeBytes && (await artifacts.verify(digest, signal))) return await artifacts.dropPart(digest); // of an earlier run, before this node was given the whole
  const wrong = new Set<string>();
  for (;;) {
    const givers = ports.givers();
    for (const giver of shuffled(givers.filter((node) => !wrong.has(node)), random)) {
      const began = (await artifacts.part(digest)).sizeBytes;
      if (!(await fetchFrom(giver, release, ports, progress, signal))) continue;
      if (await artifacts.complete(digest, signal)) return;
      if (began === 0) wrong.add(giver); // otherwise the beginning may have been somebody else's, or a disk's
    }
    if (wrong.size > 0 && givers.every((node) => wrong.has(node))) {
      throw new TribuneError("FARM_DIGEST_MISMATCH", `what ${[...wrong].join(", ")} gave as ${digest.slice(0, 12)} has another digest`, { about: digest.slice(0, 12), next: "deploy it again; look at the disk of that member" });
    }
    if (!ports.isPatient) throw new TribuneError("FARM_ARTIFACT_UNAVAILABLE", `no member gave ${digest.slice(0, 12)} to its end`, { about: digest.slice(0, 12), next: "it is tried again; start a member that has it, or deploy it again" });
    await sleep(clock, jitter(random, PAUSE_MS, 0.2), signal);
    if (signal.aborted) throw abortError(signal, `fetching ${digest.slice(0, 12)}`);
  }
}

/** Appends what the giver has to the part; answers whether that has come to its end. */
async function fetchFrom(giver: string, { digest, sizeBytes }: Release, ports: FetchPorts, progress: (progress: FetchProgress) => void, signal: AbortSignal): Promise<boolean> {
  const { artifacts, channel, pieceBytes } = ports;
  const part = await artifacts.part(digest);
  const file = await open(part.path, "a", 0o600);
  try {
    let at = Math.min(part.sizeBytes, sizeBytes);
    if (part.sizeBytes > sizeBytes) await file.truncate(0).then(() => (at = 0));
    let askedTo = at;
    const coming: { readonly length: number; readonly piece: Promise<Uint8Array | undefined> }[] = [];
    while (at < sizeBytes) {
      if (signal.aborted) throw abortError(signal, `fetching ${digest.slice(0, 12)}`);
      while (coming.length < WINDOW && askedTo < sizeBytes) {
        const wanted: PieceWanted = { digest, offset: askedTo, length: Math.min(pieceBytes, sizeBytes - askedTo) };
        coming.push({ length: wanted.length, piece: askFor(channel, giver, wanted, signal) });
        askedTo += wanted.length;
      }
      const next = coming.shift();
      const bytes = await next?.piece;
      if (next === undefined || bytes?.length !== next.length) return false;
      await file.writeFile(bytes);
      at += bytes.length;
      ports.received(bytes.length);
      progress({ bytes: at, ofBytes: sizeBytes, from: giver });
    }
    return true;
  } finally {
    await file.close();
  }
}

/** A piece; `undefined` if it does not come. Never rejects: several are under way at once. */
async function askFor(channel: Pick<Channel, "request">, giver: string, wanted: PieceWanted, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    const { replies } = await channel.request(PIECE_TOPIC, wanted, { to: [giver], deadlineMs: PIECE_DEADLINE_MS, signal });
    const reply = replies.get(giver);
    return reply?.status === "replied" ? reply.payload : undefined;
  } catch {
    return undefined;
  }
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  return list.map((item) => [random.next(), item] as const).sort(([a], [b]) => a - b).map(([, item]) => item);
}
