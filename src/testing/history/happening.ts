/** Common to all events of a history. */
export interface Happening {
  /** Milliseconds on the clock that all processes share. */
  readonly t: number;
  /** One run of one process; a restarted node is another process. Of whoever the event is about, not of who wrote it down. */
  readonly process: string;
  /** The node's name; `""` for what is not about a node. */
  readonly node: string;
  /** The process's incarnation at that time; `""` before the first, and where the writer cannot know. */
  readonly incarnation: string;
}
