import { createHash } from "node:crypto";

/** How ZooKeeper's servers call themselves when they ask by SASL (`org.apache.zookeeper.client.ZooKeeperSaslClient`). */
const DIGEST_URI = "zookeeper/zk-sasl-md5";

/** Who proves to be whom. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** What a client answers to a challenge of the mechanism DIGEST-MD5 (RFC 2831), and what the server must answer to that. */
export interface DigestAnswer {
  readonly response: string;
  /** Proves that the server knows the password too. */
  readonly expected: string;
}

/** The answer to a challenge; `undefined` where the challenge asks for something else than plain authentication by MD5. `nonce` is fresh for each. */
export function answerChallenge(challenge: string, { user, password }: Credentials, clientNonce: string): DigestAnswer | undefined {
  const fields = fieldsOf(challenge);
  const [nonce, realm = "", qops = "auth"] = [fields.get("nonce"), fields.get("realm"), fields.get("qop")];
  if (nonce === undefined || !qops.split(",").includes("auth") || fields.get("algorithm") !== "md5-sess") return undefined;
  const count = "00000001";
  const secret = createHash("md5").update(`${user}:${realm}:${password}`).digest();
  const first = md5(Buffer.concat([secret, Buffer.from(`:${nonce}:${clientNonce}`)]));
  const proof = (method: string) => md5(`${first}:${nonce}:${count}:${clientNonce}:auth:${md5(`${method}:${DIGEST_URI}`)}`);
  const response = [
    "charset=utf-8",
    `username=${quoted(user)}`,
    `realm=${quoted(realm)}`,
    `nonce=${quoted(nonce)}`,
    `nc=${count}`,
    `cnonce=${quoted(clientNonce)}`,
    `digest-uri=${quoted(DIGEST_URI)}`,
    `response=${proof("AUTHENTICATE")}`,
    "qop=auth",
  ].join(",");
  return { response, expected: `rspauth=${proof("")}` };
}

/** `name=value` and `name="value"`, separated by commas. */
function fieldsOf(challenge: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [, name = "", inQuotes, plain] of challenge.matchAll(/([a-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^,"]*))/g)) {
    if (!fields.has(name)) fields.set(name, inQuotes?.replace(/\\(.)/g, "$1") ?? plain?.trim() ?? "");
  }
  return fields;
}

function quoted(text: string): string {
  return `"${text.replace(/(["\\])/g, "\\$1")}"`;
}

function md5(text: string | Buffer): string {
  return createHash("md5").update(text).digest("hex");
}
