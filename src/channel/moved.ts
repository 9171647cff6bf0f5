/** A responder throws or returns it: not here, there. The requester asks that member, if it is one that it knows; otherwise it gets this as its reply. */
export class Moved extends Error {
  /** The node that has what was asked for. */
  readonly member: string;
  /** Of whatever says so: a map of shards, a term. What is older than what the requester has heard already is not followed. */
  readonly version: number;

  /** `version` is a whole number from 0 on. */
  constructor(target: { readonly member: string; readonly version: number }) {
    super(`it is at ${target.member} (version ${target.version})`);
    this.name = "Moved";
    this.member = target.member;
    this.version = target.version;
  }
}
