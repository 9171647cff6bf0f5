import { after, describe, it } from "node:test";
import { storeConformance } from "../../../src/testing/store-conformance.ts";
import { skipReason } from "../../support/required.ts";
import { findZookeeper, startZookeeper } from "../../support/zookeeper-server.ts";
import { zookeeperPlaces } from "./place.ts";

const programs = await findZookeeper();

if ("missing" in programs) {
  void it("ZooKeeper keeps the contract of a store", { skip: skipReason("zookeeper", programs.missing) });
} else {
  const server = await startZookeeper({ programs });
  const places = await zookeeperPlaces(server.url, [server]);
  after(async () => {
    await places.end();
    await server.stop();
  });
  storeConformance({ name: `ZooKeeper ${server.version}`, describe, it, place: () => places.place() });
}
