import { after, describe, it } from "node:test";
import { storeConformance } from "../../../src/testing/store-conformance.ts";
import { findEtcd, startEtcd } from "../../support/etcd-server.ts";
import { skipReason } from "../../support/required.ts";
import { etcdPlaces } from "./place.ts";

const programs = await findEtcd();

if ("missing" in programs) {
  void it("three members of etcd keep the contract of a store", { skip: skipReason("etcd", programs.missing) });
} else {
  const cluster = await startEtcd({ programs, members: 3 });
  const places = etcdPlaces(cluster);
  after(async () => {
    await places.end();
    await cluster.stop();
  });
  storeConformance({ name: `three members of etcd ${cluster.version}`, describe, it, place: () => places.place() });
}
