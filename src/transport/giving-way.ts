/**
 * Which of those that have not proved themselves gives way to one more: of the host that has the most of them, the oldest. So whoever floods a port pushes out its own, and not a member that is in the middle of its handshake.
 * `strangers` are those who may, with where they are, the oldest first.
 */
export function whoGivesWay<T>(strangers: Iterable<readonly [stranger: T, remote: string]>): T | undefined {
  const hosts = new Map<string, { readonly oldest: T; count: number }>();
  let most: { readonly oldest: T; count: number } | undefined;
  for (const [stranger, remote] of strangers) {
    const host = hostOf(remote);
    let of = hosts.get(host);
    if (of === undefined) hosts.set(host, (of = { oldest: stranger, count: 0 }));
    of.count++;
    if (most === undefined || of.count > most.count) most = of;
  }
  return most?.oldest;
}

/** "10.0.0.7:4000" without the port; what has none stays as it is. */
function hostOf(remote: string): string {
  const port = remote.lastIndexOf(":");
  return port < 0 ? remote : remote.slice(0, port);
}
