import { messageHeadBytes, writeMessageHead } from "../../src/channel/messages.ts";
import type { MessageWord } from "../../src/channel/messages.ts";

/** What goes before the payload of a message. */
export function encodeMessageHead(word: Omit<MessageWord, "kind" | "payload">): Uint8Array {
  const head = new Uint8Array(messageHeadBytes(word.topic, word));
  const end = writeMessageHead(head, word, word.number, word.settledBelow, word.awaited, word, word.deadlineMs);
  if (end !== head.length) throw new Error(`a head of ${head.length} bytes was written up to ${end}`);
  return head;
}
