import { constants, hkdfSync } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { PeerCertificate, TLSSocket } from "node:tls";
import type { ConnectionOptions, TlsOptions } from "node:tls";
import { TribuneError } from "../../kernel/index.ts";
import type { KeyRing, TransportKey } from "../keys.ts";
import type { ConnectionSecurity } from "../transport.ts";
import type { CertificateSecurity } from "./options.ts";

/** What a peer has proved when TLS is done. */
export interface Proof {
  readonly security: ConnectionSecurity;
  /** The only node that it may be. */
  readonly speaksFor?: string | undefined;
}

/** What a peer has proved where nothing is to be proved. */
export const NOTHING_PROVED: Proof = { security: { protocol: "plaintext", provedBy: null, version: 0 } };

/** How sockets are protected: options for `node:tls`, and what to look at when its handshake is done. */
export interface SocketSecurity {
  readonly server: TlsOptions;
  /** What the peer of an accepted socket has proved; `undefined` if nothing, and the connection must end. */
  serverProof(socket: TLSSocket): Proof | undefined;
  /** For one dial. Throws `KEYS_MISSING`. */
  client(): ClientSecurity;
}

/** How one dial is protected. */
export interface ClientSecurity {
  readonly options: ConnectionOptions;
  /** What the one who was dialled has proved; `undefined` if nothing. */
  proof(socket: TLSSocket): Proof | undefined;
}

/** Both sides of a TLS connection speak 1.3, so that keys are forward secret and nothing older is ever agreed upon. */
const ONLY_TLS_1_3 = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;

/**
 * The one suite. A key that was agreed upon outside of TLS goes with one hash, which Node leaves at SHA-256 (RFC 8446, 4.2.11): the suites with SHA-384 fail. Of the two that remain this is the faster one where processors have AES.
 */
const CIPHER = "TLS_AES_128_GCM_SHA256";

const KEY_ID = /^[0-9a-f]{16}$/;

const SHORTEST_SECRET = 32;

/** TLS 1.3 with a pre-shared key of the group's, and no certificates at all. */
export function securityByKeys(keys: KeyRing, group: string): SocketSecurity {
  const provedBy = new WeakMap<object, string>();
  // Made once: it takes ten times as long as the rest of a dial, and a member may dial a thousand others at once. A server that offers a certificate instead of the key has proved nothing, and OpenSSL would take one that it trusts: so it trusts none.
  const secureContext = createSecureContext({ ...ONLY_TLS_1_3, ciphers: CIPHER, ca: [] });
  return {
    server: {
      ...ONLY_TLS_1_3,
      ciphers: CIPHER,
      // Without this a peer gets a ticket with which it may come again, without the key, after that was retired.
      secureOptions: constants.SSL_OP_NO_TICKET,
      pskCallback(socket, identity) {
        const key = KEY_ID.test(identity) ? keys.find(identity) : undefined;
        if (key === undefined || key.secret.length < SHORTEST_SECRET) return null;
        provedBy.set(socket, key.id);
        return derive(key, group);
      },
    },
    serverProof: (socket) => proofByKey(socket, provedBy.get(socket)),
    client() {
      const key = keys.current();
      if (key === undefined) throw new TribuneError("KEYS_MISSING", "the group has no key to connect with", { about: group, next: "start the member through the cluster, which makes the first key" });
      if (key.secret.length < SHORTEST_SECRET) throw new TribuneError("KEYS_MISSING", `the key ${key.id} is shorter than ${SHORTEST_SECRET} bytes`, { about: group, next: "rotate the group's key" });
      const psk = derive(key, group);
      return {
        options: {
          secureContext,
          pskCallback: () => ({ psk, identity: key.id }),
          // No certificate is trusted, none has the right name, and `proof` looks again.
          rejectUnauthorized: true,
          checkServerIdentity: () => new Error("the server offered a certificate instead of the group's key"),
        },
        proof: (socket) => proofByKey(socket, key.id),
      };
    },
  };
}

/** A pre-shared key shows as a resumed session without certificates. */
function proofByKey(socket: TLSSocket, id: string | undefined): Proof | undefined {
  if (id === undefined || socket.getProtocol() !== "TLSv1.3" || !socket.isSessionReused() || hasCertificate(socket)) return undefined;
  return { security: describe(socket, id) };
}

/** TLS 1.3 in which both sides have a certificate of one authority. */
export function securityByCertificates(own: CertificateSecurity): SocketSecurity {
  const both = { ...ONLY_TLS_1_3, cert: pem(own.cert), key: pem(own.key), ca: pem(own.ca) };
  const secureContext = createSecureContext(both);
  const proof = (socket: TLSSocket): Proof | undefined => {
    if (!socket.authorized || socket.getProtocol() !== "TLSv1.3" || !hasCertificate(socket)) return undefined;
    if (own.nodeOf === undefined) return { security: describe(socket, "certificate") };
    const node = nodeOf(own.nodeOf, socket.getPeerCertificate());
    return node === undefined ? undefined : { security: describe(socket, "certificate"), speaksFor: node };
  };
  return {
    // Tickets would let a certificate count that was withdrawn meanwhile.
    server: { ...both, requestCert: true, rejectUnauthorized: true, secureOptions: constants.SSL_OP_NO_TICKET },
    serverProof: proof,
    // Members are dialled by addresses, which certificates seldom name: whom a certificate speaks for is for `nodeOf` to say, and the handshake inside says who is there.
    client: () => ({ options: { secureContext, rejectUnauthorized: true, checkServerIdentity: () => undefined }, proof }),
  };
}

/** Somebody else's code, in the middle of a handshake: if it throws, the certificate speaks for nobody. */
function nodeOf(read: NonNullable<CertificateSecurity["nodeOf"]>, certificate: PeerCertificate): string | undefined {
  try {
    return read(certificate);
  } catch {
    return undefined;
  }
}

/** What TLS is given is derived from the key and the group: the key of one group is none of another's, also if both have it. */
function derive(key: TransportKey, group: string): Buffer {
  return Buffer.from(hkdfSync("sha256", key.secret, "", `tribune transport 1 ${group}`, 32));
}

function hasCertificate(socket: TLSSocket): boolean {
  const certificate: Partial<PeerCertificate> | null = socket.getPeerCertificate();
  return certificate !== null && Object.keys(certificate).length > 0;
}

function describe(socket: TLSSocket, provedBy: string): ConnectionSecurity {
  return { protocol: `${socket.getProtocol() ?? "TLS"} ${socket.getCipher().name}`, provedBy, version: 0 };
}

function pem(text: string | Uint8Array): string | Buffer {
  return typeof text === "string" ? text : Buffer.from(text);
}
