import { after, describe, it } from "node:test";
import { storeConformance } from "../../../src/testing/store-conformance.ts";
import { findEtcd, startEtcd } from "../../support/etcd-server.ts";
import { skipReason } from "../../support/required.ts";
import { etcdPlaces } from "./place.ts";

const programs = await findEtcd();

if ("missing" in programs) {
  void it("etcd keeps the contract of a store", { skip: skipReason("etcd", programs.missing) });
} else {
  const cluster = await startEtcd({ programs, auth: true });
  const places = etcdPlaces(cluster);
  after(async () => {
    await places.end();
    await cluster.stop();
  });
  storeConformance({ name: `etcd ${cluster.version}`, describe, it, place: () => places.place() });
}
