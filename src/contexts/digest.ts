/** Into how many buckets everything in a tree falls, by the hash of its name. All members must have the same number. */
export const BUCKETS = 256;

/** Bytes of all digests of a tree. */
export const DIGEST_BYTES = BUCKETS * 8;

/** Which bucket a property is in; a context itself is the property `""`. */
export function bucketOf(path: string, key: string): number {
  return mix(text(text(0x9e3779b9, path), key)) & (BUCKETS - 1);
}

/**
 * What a tree holds, as 64 bits for each bucket: the exclusive or of the hashes of all that is in it, so that one thing comes and goes in no time. Two trees with equal digests are equal but for one chance in 2⁶⁴;
 * the hash is no cryptographic one, since members prove who they are.
 */
export class Digests {
  readonly #words = new Uint32Array(BUCKETS * 2);

  /** Adds a thing, or takes it away again. */
  toggle(bucket: number, path: string, key: string, kind: number, version: { readonly time: number; readonly member: string }): void {
    // Each number is mixed before the next one comes: else a kind and a time could make up for each other.
    const start = (seed: number) => mix(mix(mix(seed + kind) ^ (version.time >>> 0)) ^ Math.floor(version.time / 2 ** 32));
    const low = text(text(text(start(0x2545f491), path), key), version.member);
    const high = text(text(text(start(0x85ebca6b), version.member), path), key);
    const words = this.#words;
    words[bucket * 2] = (words[bucket * 2] ?? 0) ^ mix(low);
    words[bucket * 2 + 1] = (words[bucket * 2 + 1] ?? 0) ^ mix(high);
  }

  /** A copy, of {@link DIGEST_BYTES}. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#words.buffer.slice(0));
  }

  /** That of one bucket, as a name. */
  of(bucket: number): string {
    return this.over(bucket, bucket);
  }

  /** That of some buckets together, both ends included. */
  over(first: number, last: number): string {
    let [low, high] = [0, 0];
    for (let bucket = first; bucket <= last; bucket++) {
      low ^= this.#words[bucket * 2] ?? 0;
      high ^= this.#words[bucket * 2 + 1] ?? 0;
    }
    return `${(low >>> 0).toString(36)}.${(high >>> 0).toString(36)}`;
  }
}

/** The buckets in which two trees differ. Of other lengths they differ everywhere. */
export function differingBuckets(a: Uint8Array, b: Uint8Array): number[] {
  const differing: number[] = [];
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    for (let at = bucket * 8; at < bucket * 8 + 8; at++) {
      if (a[at] !== undefined && a[at] === b[at]) continue;
      differing.push(bucket);
      break;
    }
  }
  return differing;
}

/** FNV-1a over UTF-16. */
function text(seed: number, words: string): number {
  let hash = Math.imul(seed ^ words.length, 0x01000193);
  for (let at = 0; at < words.length; at++) hash = Math.imul(hash ^ words.charCodeAt(at), 0x01000193);
  return hash;
}

/** The end of MurmurHash3 (Austin Appleby, public domain): every bit of what goes in moves half of what comes out. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
