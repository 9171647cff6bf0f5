import { after, describe, it } from "node:test";
import { storeConformance } from "../../../src/testing/store-conformance.ts";
import { skipReason } from "../../support/required.ts";
import { findZookeeper, startEnsemble } from "../../support/zookeeper-server.ts";
import { zookeeperPlaces } from "./place.ts";

const programs = await findZookeeper();

if ("missing" in programs) {
  void it("an ensemble of ZooKeeper keeps the contract of a store", { skip: skipReason("zookeeper", programs.missing) });
} else {
  const ensemble = await startEnsemble({ programs });
  const places = await zookeeperPlaces(ensemble.url, ensemble.servers);
  after(async () => {
    await places.end();
    await ensemble.stop();
  });
  storeConformance({ name: `an ensemble of three servers of ZooKeeper ${ensemble.version}`, describe, it, place: () => places.place() });
}
