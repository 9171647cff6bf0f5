import { describe, it } from "node:test";
import { storeConformance } from "../../../src/testing/store-conformance.ts";
import { sqlitePlace } from "./place.ts";

// No `hang`: a call either answers at once or waits for a busy file, which ends in STORE_BUSY (see busy.test.ts).
storeConformance({ name: "sqlite", describe, it, place: () => sqlitePlace() });
