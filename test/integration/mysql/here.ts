import { after, describe, it } from "node:test";
import { createConnection } from "mysql2/promise";
import type { Connection } from "mysql2/promise";
import { systemClock, systemRandom } from "../../../src/kernel/index.ts";
import type { FenceHandle, StoreProvider } from "../../../src/store/index.ts";
import { Scene } from "../../../src/testing/conformance/scene.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { findMariadb, startMariadb } from "../../support/mariadb-server.ts";
import type { MariadbServer, MariadbServerOptions } from "../../support/mariadb-server.ts";
import { skipReason } from "../../support/required.ts";

/** A group of tests with a server of their own, which they may restart; skipped in plain sight where there is none to be had. */
export async function describeWithServer(title: string, options: MariadbServerOptions, body: (server: MariadbServer) => void | Promise<void>): Promise<void> {
  const programs = await findMariadb();
  if ("missing" in programs) {
    void it.skip(`${title}: ${skipReason("mariadb", programs.missing)}`);
    return;
  }
  const server = await startMariadb({ ...options, programs });
  await describe(title, { timeout: 120_000 }, async () => {
    after(async () => await server.stop());
    await body(server);
  });
}

/** The cast of a test: members with sessions of their own on `provider`, which end with the test. */
export function sceneOn(t: { after(end: () => Promise<void>): void }, provider: StoreProvider): Scene {
  const scene = new Scene({ place: { provider }, clock: systemClock, random: systemRandom });
  t.after(async () => {
    await scene.end();
    await provider.close();
  });
  return scene;
}

/** A connection of the test's own. */
export async function connected(t: { after(end: () => Promise<void>): void }, url: string): Promise<Connection> {
  const connection = await createConnection({ uri: url });
  connection.on("error", () => undefined); // the server is stopped now and then
  t.after(async () => connection.destroy());
  return connection;
}

/** What a term would hand to the store for a transaction of its own. */
export function fenceOf(member: Member, election: string, token: number, over: Partial<FenceHandle> = {}): FenceHandle {
  return { group: member.scene.group, election, token, leaseMs: 4_000, clock: systemClock, mayAct: () => true, over: new AbortController().signal, ...over };
}

/** The successor takes the election of a holder that stopped answering, and waits for the fence. */
export async function takeOver(successor: Member, holder: Member, election: string): Promise<{ readonly token: number; readonly busy: number }> {
  await successor.declareDead(holder);
  const token = (await successor.claim(election))?.token ?? 0;
  let busy = 0;
  await successor.scene.until("the successor passes the fence", async () => {
    const answer = await successor.passFence(election, token);
    if (answer === "busy") busy += 1;
    return answer === "passed" ? true : undefined;
  });
  return { token, busy };
}
