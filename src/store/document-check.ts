import { checkName, TribuneError } from "../kernel/index.ts";
import { LARGEST_DOCUMENT_BYTES } from "./limits.ts";

/** Returns the name of a document; throws `INVALID_NAME` unless it is one that a group, a node or an election could have. */
export function checkDocumentName(name: string): string {
  return checkName("document", name);
}

/** Returns what names begin with: nothing, or what could be a name itself. Throws `INVALID_NAME` otherwise. */
export function checkDocumentPrefix(prefix: string): string {
  return prefix === "" ? prefix : checkName("document", prefix);
}

/**
 * Returns the text of the document `name`; throws `INVALID_DOCUMENT` unless every store can keep it: up to {@link LARGEST_DOCUMENT_BYTES}, no NUL (which PostgreSQL has not), no half of a
 * surrogate pair (which UTF-8 has not). No message has any of the text.
 */
export function checkDocumentText(name: string, text: string): string {
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > LARGEST_DOCUMENT_BYTES) {
    throw new TribuneError("INVALID_DOCUMENT", `the document ${name} would have ${sizeBytes} bytes, more than ${LARGEST_DOCUMENT_BYTES}; nothing was written`, { about: name, next: "make it shorter, or several documents of it" });
  }
  if (text.includes("\0") || !text.isWellFormed()) {
    throw new TribuneError("INVALID_DOCUMENT", `the document ${name} has a NUL, or half of a surrogate pair, which not every store can keep; nothing was written`, { about: name, next: "encode it, as JSON does" });
  }
  return text;
}
