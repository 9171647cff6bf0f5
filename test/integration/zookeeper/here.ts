import { after, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock, systemRandom } from "../../../src/kernel/index.ts";
import type { FenceHandle, StoreProvider } from "../../../src/store/index.ts";
import { Scene } from "../../../src/testing/conformance/scene.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { skipReason } from "../../support/required.ts";
import { findZookeeper, startEnsemble, startZookeeper } from "../../support/zookeeper-server.ts";
import type { ZookeeperEnsemble, ZookeeperServer, ZookeeperServerOptions } from "../../support/zookeeper-server.ts";

/** A group of tests with a server of their own, which they may restart; skipped in plain sight where there is none to be had. */
export async function describeWithServer(title: string, options: ZookeeperServerOptions, body: (server: ZookeeperServer) => void | Promise<void>): Promise<void> {
  const programs = await findZookeeper();
  if ("missing" in programs) {
    void it(title, { skip: skipReason("zookeeper", programs.missing) });
    return;
  }
  const server = await startZookeeper({ ...options, programs });
  await describe(title, { timeout: 180_000 }, async () => {
    after(async () => await server.stop());
    await body(server);
  });
}

/** Likewise with an ensemble of three. */
export async function describeWithEnsemble(title: string, body: (ensemble: ZookeeperEnsemble) => void | Promise<void>): Promise<void> {
  const programs = await findZookeeper();
  if ("missing" in programs) {
    void it(title, { skip: skipReason("zookeeper", programs.missing) });
    return;
  }
  const ensemble = await startEnsemble({ programs });
  await describe(title, { timeout: 240_000 }, async () => {
    after(async () => await ensemble.stop());
    await body(ensemble);
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

/** What a term would hand to the store for a transaction of its own. */
export function fenceOf(member: Member, election: string, token: number, over: Partial<FenceHandle> = {}): FenceHandle {
  return { group: member.scene.group, election, token, leaseMs: 4_000, clock: systemClock, mayAct: () => true, over: new AbortController().signal, ...over };
}

/** Asks again and again until it is so. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 30_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await pause(10);
  }
}
