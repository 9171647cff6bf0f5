/** The znodes of a store, below its root. Names of groups, elections and incarnations have no '/' and do not begin with a '.', so each is one step of a path. */
export interface StorePaths {
  /** Schema and epoch. */
  readonly root: string;
  /** Written to where somebody wants to know the time, or whether it may write. */
  readonly clock: string;
  readonly groups: string;
  group(name: string): GroupPaths;
}

/** The znodes of a group. */
export interface GroupPaths {
  /** Its document. */
  readonly group: string;
  readonly view: string;
  readonly beats: string;
  readonly members: string;
  readonly events: string;
  readonly terms: string;
  readonly fences: string;
  readonly documents: string;
  /** The beat of an incarnation that is alive. */
  beat(incarnation: string): string;
  /** The metadata of an incarnation. */
  member(incarnation: string): string;
  /** Events from this one on. */
  segment(first: number): string;
  /** The text of a document. */
  document(name: string): string;
  /** Terms of an election before the last one. */
  termsOf(election: string): string;
  /** The token that may write. */
  fence(election: string): string;
  /** There while the fence stands at this token, and at no other time; what is below it are the transactions of that token that are open. */
  standing(election: string, token: number): string;
}

/** The paths of the store whose root is this one. */
export function pathsBelow(root: string): StorePaths {
  return {
    root,
    clock: `${root}/clock`,
    groups: `${root}/groups`,
    group(name) {
      const group = `${root}/groups/${name}`;
      return {
        group,
        view: `${group}/view`,
        beats: `${group}/beats`,
        members: `${group}/members`,
        events: `${group}/events`,
        terms: `${group}/terms`,
        fences: `${group}/fences`,
        documents: `${group}/documents`,
        beat: (incarnation) => `${group}/beats/${incarnation}`,
        member: (incarnation) => `${group}/members/${incarnation}`,
        segment: (first) => `${group}/events/${String(first).padStart(16, "0")}`,
        document: (name) => `${group}/documents/${name}`,
        termsOf: (election) => `${group}/terms/${election}`,
        fence: (election) => `${group}/fences/${election}`,
        standing: (election, token) => `${group}/fences/${election}/${token}`,
      };
    },
  };
}
