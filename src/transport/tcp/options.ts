import { createSecureContext } from "node:tls";
import type { PeerCertificate } from "node:tls";
import { Complaints, shown } from "../../kernel/index.ts";
import { LINK_OPTION_NAMES, linkSettings } from "../options.ts";
import type { LinkOptions, LinkSettings } from "../options.ts";
import { parseAddress } from "./address.ts";
import type { HostAndPort } from "./address.ts";

/** How members find each other over TCP, and how their connections are protected. */
export interface TcpOptions extends LinkOptions {
  /** The address of this machine to listen on. Default: all of them; with `security: "plaintext"` only 127.0.0.1. */
  readonly host?: string;
  /** Default 0: a free one. Fix it where a firewall asks for it. */
  readonly port?: number;
  /**
   * What others dial, where that is not what is listened on (containers, address translation): "host:port", or a function of what is listened on. Default: the host and the port that are listened on; where that is all hosts, the
   * machine's first address.
   */
  readonly advertise?: string | ((listening: HostAndPort) => string | Promise<string>);
  /**
   * `"keys"`, the default: TLS 1.3 with the key that the group keeps in its store. Or your own certificates. `"plaintext"`: no encryption, and everybody is believed to be who they say.
   */
  readonly security?: "keys" | "plaintext" | CertificateSecurity;
}

/** Certificates of your own, for both directions: TLS 1.3, and each side proves itself. */
export interface CertificateSecurity {
  /** PEM. */
  readonly cert: string | Uint8Array;
  /** PEM. */
  readonly key: string | Uint8Array;
  /** PEM, of the authority that signs members' certificates and nobody else's: no other one is trusted. */
  readonly ca: string | Uint8Array;
  /**
   * The node that a certificate speaks for; `undefined` for none. A peer that gives itself another name is refused. Default: whoever has a certificate of `ca` may be any member. Names of hosts in certificates are not looked at.
   */
  readonly nodeOf?: (certificate: PeerCertificate) => string | undefined;
}

/** TCP options with every field decided. */
export interface TcpSettings {
  readonly link: LinkSettings;
  /** Absent: all addresses of this machine. */
  readonly host: string | undefined;
  readonly port: number;
  readonly advertise: TcpOptions["advertise"];
  readonly security: "keys" | "plaintext" | CertificateSecurity;
}

const NAMES = ["host", "port", "advertise", "security"] as const;

/** Throws `INVALID_OPTIONS` with all complaints. */
export function tcpSettings(options: TcpOptions): TcpSettings {
  const complaints = new Complaints("tcp transport");
  complaints.unknownKeys(options, [...NAMES, ...LINK_OPTION_NAMES]);
  const security = options.security ?? "keys";
  const host = options.host ?? (security === "plaintext" ? "127.0.0.1" : undefined);
  const port = options.port ?? 0;
  complaints.check(host === undefined || (typeof host === "string" && host !== ""), `host must be an address of this machine, not ${shown(host)}`);
  complaints.check(Number.isInteger(port) && port >= 0 && port <= 65_535, `port must be a whole number from 0 to 65535, not ${shown(port)}`);
  if (typeof options.advertise === "string") complaints.check(parseAddress(options.advertise) !== undefined, `advertise must be "host:port", not ${shown(options.advertise)}`);
  else complaints.check(options.advertise === undefined || typeof options.advertise === "function", `advertise must be "host:port" or a function, not ${shown(options.advertise)}`);
  if (typeof security === "object" && security !== null) {
    checkCertificates(security, complaints);
  } else {
    complaints.check(security === "keys" || security === "plaintext", `security must be "keys", "plaintext" or certificates, not ${shown(security)}`);
  }
  const link = linkSettings(options, complaints);
  complaints.throwIfAny();
  return { link, host, port, advertise: options.advertise, security };
}

const PEM_CERTIFICATE = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/;

/** An authority that is left empty must not pass: Node would take all public ones in its place. */
function checkCertificates(security: CertificateSecurity, complaints: Complaints): void {
  complaints.unknownKeys(security, ["cert", "key", "ca", "nodeOf"]);
  complaints.check(security.nodeOf === undefined || typeof security.nodeOf === "function", `security.nodeOf must be a function, not ${shown(security.nodeOf)}`);
  const isPem = (["cert", "key", "ca"] as const).map((name) => complaints.check(typeof security[name] === "string" || security[name] instanceof Uint8Array, `security.${name} must be PEM text`));
  if (isPem.includes(false)) return;
  const [cert, key, ca] = [security.cert, security.key, security.ca].map((each) => (typeof each === "string" ? each : Buffer.from(each).toString("latin1")));
  complaints.check(PEM_CERTIFICATE.test(ca ?? ""), "security.ca has no certificate in PEM");
  if (!complaints.check(PEM_CERTIFICATE.test(cert ?? "") && key !== "", "security.cert and security.key must both be there, in PEM")) return;
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    complaints.add(`security.cert and security.key cannot be used together (${(error as NodeJS.ErrnoException).code ?? "no PEM"})`);
  }
}
