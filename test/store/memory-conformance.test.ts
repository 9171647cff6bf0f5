import { describe, it } from "node:test";
import { storeConformance } from "../../src/testing/store-conformance.ts";
import { memoryPlace } from "./memory-place.ts";
import { Wire } from "./wire.ts";

storeConformance({ name: "memory", describe, it, place: () => memoryPlace() });

// Memory neither hangs nor breaks off. With a wire in between it does, as every other store.
storeConformance({
  name: "memory at the end of a wire",
  describe,
  it,
  place: () => {
    const wire = new Wire();
    return {
      ...memoryPlace((provider) => wire.to(provider)),
      hang: async () => {
        const heal = wire.hang();
        return async () => heal();
      },
      cut: async () => wire.cut(),
    };
  },
});
