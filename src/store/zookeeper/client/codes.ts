/** What a server answers where it did not do what it was asked, by number (`org.apache.zookeeper.KeeperException.Code`). */
const NAMES = {
  [-1]: "SYSTEMERROR",
  [-2]: "RUNTIMEINCONSISTENCY",
  [-3]: "DATAINCONSISTENCY",
  [-4]: "CONNECTIONLOSS",
  [-5]: "MARSHALLINGERROR",
  [-6]: "UNIMPLEMENTED",
  [-7]: "OPERATIONTIMEOUT",
  [-8]: "BADARGUMENTS",
  [-13]: "NEWCONFIGNOQUORUM",
  [-14]: "RECONFIGINPROGRESS",
  [-100]: "APIERROR",
  [-101]: "NONODE",
  [-102]: "NOAUTH",
  [-103]: "BADVERSION",
  [-108]: "NOCHILDRENFOREPHEMERALS",
  [-110]: "NODEEXISTS",
  [-111]: "NOTEMPTY",
  [-112]: "SESSIONEXPIRED",
  [-113]: "INVALIDCALLBACK",
  [-114]: "INVALIDACL",
  [-115]: "AUTHFAILED",
  [-118]: "SESSIONMOVED",
  [-119]: "NOTREADONLY",
  [-120]: "EPHEMERALONLOCALSESSION",
  [-121]: "NOWATCHER",
  [-122]: "REQUESTTIMEOUT",
  [-123]: "RECONFIGDISABLED",
  [-124]: "SESSIONCLOSEDREQUIRESASLAUTH",
  [-125]: "QUOTAEXCEEDED",
  [-127]: "THROTTLEDOP",
} as const;

/** The name of what a server refused a request with; `BROKEN` and `NOTZOOKEEPER` are ours: the connection broke, or what answers is no ZooKeeper. */
export type ZookeeperCode = (typeof NAMES)[keyof typeof NAMES] | "UNKNOWN" | "BROKEN" | "NOTZOOKEEPER";

/** The name of a number that a server answered. */
export function codeName(number: number): ZookeeperCode {
  return (NAMES as Readonly<Record<number, ZookeeperCode>>)[number] ?? "UNKNOWN";
}

/** A request that ZooKeeper refused, or whose answer did not come. Of a transaction `index` says which of its operations it was. */
export class ZookeeperError extends Error {
  override readonly name = "ZookeeperError";
  readonly code: ZookeeperCode;
  readonly path: string | undefined;
  readonly index: number | undefined;

  constructor(code: ZookeeperCode, message: string, options: { readonly path?: string | undefined; readonly index?: number | undefined; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.path = options.path;
    this.index = options.index;
  }
}

/** Whether `error` is what a server answered, or a connection said, with one of these codes. */
export function isZookeeperError(error: unknown, ...codes: readonly ZookeeperCode[]): error is ZookeeperError {
  return error instanceof ZookeeperError && (codes.length === 0 || codes.includes(error.code));
}
