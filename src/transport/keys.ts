/**
 * The group's keys as a transport needs them. Whoever implements it keeps them up to date; a transport asks at each handshake.
 */
export interface KeyRing {
  /** What new connections of ours are made with. `undefined`: there is none (yet), so nothing can be dialled. */
  current(): TransportKey | undefined;
  /** The key of that id, if connections made with it are accepted. */
  find(id: string): TransportKey | undefined;
  /** Calls `listener` after each change. The returned function removes it. */
  onChange(listener: () => void): () => void;
}

/** A secret that all members of a group share. */
export interface TransportKey {
  /** Names the key on the wire, where everybody can read it: says nothing about the secret. 16 lower-case hexadecimal digits. */
  readonly id: string;
  /** At least 32 bytes. */
  readonly secret: Uint8Array;
}
