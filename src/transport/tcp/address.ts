import { isIP, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";

/** Where a member can be dialled. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** Letters, digits, dots, hyphens: a host name, not a URL, a path or a flag. */
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$/;

const ADDRESS = /^(?:\[([0-9A-Fa-f:.%A-Za-z0-9]+)\]|([^:[\]]+)):(\d{1,5})$/;

/** "10.0.0.7:4000", "[fd00::7]:4000", "billing-1.internal:4000"; `undefined` for anything else. */
export function parseAddress(address: string): HostAndPort | undefined {
  const match = address.length > 255 ? null : ADDRESS.exec(address);
  if (match === null) return undefined;
  const [, six, other = "", digits = ""] = match;
  const port = Number(digits);
  if (port < 1 || port > 65_535) return undefined;
  if (six !== undefined) return isIPv6(six) ? { host: six, port } : undefined;
  return isIP(other) === 4 || HOST_NAME.test(other) ? { host: other, port } : undefined;
}

/** The form that others dial. */
export function formatAddress({ host, port }: HostAndPort): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What others dial if nobody said: the host that is listened on or, where that is all of them, this machine's first address that others can reach. */
export function reachableHost(listenedOn: string): string {
  if (listenedOn !== "0.0.0.0" && listenedOn !== "::") return listenedOn;
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outside = all.filter((each) => !each.internal);
  return (outside.find((each) => each.family === "IPv4") ?? outside.find((each) => !each.address.startsWith("fe80:")))?.address ?? "127.0.0.1";
}
