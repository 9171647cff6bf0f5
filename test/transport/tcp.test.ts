import { describe, it } from "node:test";
import { transportConformance } from "../../src/testing/index.ts";
import { tcpPlace } from "./tcp-place.ts";

transportConformance({ name: "TCP in plaintext", describe, it, place: () => tcpPlace("plaintext") });
transportConformance({ name: "TCP with the group's keys", describe, it, place: () => tcpPlace("keys") });
