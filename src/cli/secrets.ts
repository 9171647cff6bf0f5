/** `//user:password@` in a URL. To the last @ of the word, since a password may have one that was not encoded. */
const IN_AUTHORITY = /(\/\/[^\s:/@]*):[^\s]*@/g;

/** `?password=…` and the like. */
const IN_QUERY = /([?&](?:password|passwd|pwd|pass|sslpassword|token|secret)=)[^&\s#'"]*/gi;

/** Shorter ones would blot out ordinary words; the patterns above catch them in a URL all the same. */
const SHORTEST_KNOWN = 4;

/**
 * Takes passwords out of texts that are about to be printed: those in anything that looks like a URL, and those of the URLs it was told of, wherever
 * they appear.
 */
export class Secrets {
  readonly #known = new Set<string>();

  /** Notes the password of a store URL, as it stands there and decoded. */
  learn(url: string): void {
    const password = /^[^:]*:\/\/[^\s:/@]*:(.*)@/.exec(url)?.[1];
    const queried = [...url.matchAll(/[?&](?:password|sslpassword)=([^&#]*)/gi)].map((match) => match[1]);
    for (const secret of [password, ...queried]) {
      if (secret === undefined) continue;
      for (const form of [secret, decoded(secret)]) if (form.length >= SHORTEST_KNOWN) this.#known.add(form);
    }
  }

  redact(text: string): string {
    let clean = text.replace(IN_AUTHORITY, "$1:***@").replace(IN_QUERY, "$1***");
    for (const secret of this.#known) clean = clean.replaceAll(secret, "***");
    return clean;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
