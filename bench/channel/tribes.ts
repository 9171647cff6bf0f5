import type { CarrierName, Operation } from "./protocol.ts";

/** What Apache Tribes 10.1 on Java 17 gave once, for a run that does not measure it: in three processes on a Linux machine with two cores, 1 KiB messages, other work at times: medians of three or four repetitions. */
export interface TribesRow {
  readonly title: string;
  readonly what: Operation | "broadcast";
  readonly lanes: number;
  /** Which carrier does the same in a run; `undefined`: none does. */
  readonly carrier: CarrierName | undefined;
  /** Delivered, or requests, per second. */
  readonly perSecond: number;
  readonly p50Us: number | undefined;
  /** What its order came to. */
  readonly order: string;
}

export const TRIBES: readonly TribesRow[] = [
  { title: "asynchronous", what: "broadcast", lanes: 1, carrier: "tribes", perSecond: 68_595, p50Us: undefined, order: "86–93 % out of order" },
  { title: "asynchronous, OrderInterceptor", what: "broadcast", lanes: 1, carrier: "tribes-order", perSecond: 8_300, p50Us: undefined, order: "66–82 % out of order" },
  { title: "USE_ACK", what: "acknowledged", lanes: 1, carrier: undefined, perSecond: 12_511, p50Us: 71, order: "kept" },
  { title: "SYNCHRONIZED_ACK", what: "acknowledged", lanes: 1, carrier: "tribes", perSecond: 12_098, p50Us: 74, order: "kept" },
  { title: "SYNCHRONIZED_ACK, order", what: "acknowledged", lanes: 1, carrier: "tribes-order", perSecond: 10_478, p50Us: 85, order: "kept" },
  { title: "SYNCHRONIZED_ACK, 16 threads", what: "acknowledged", lanes: 16, carrier: "tribes", perSecond: 28_426, p50Us: 508, order: "45–53 % out of order" },
  { title: "SYNCHRONIZED_ACK, order, 16 threads", what: "acknowledged", lanes: 16, carrier: "tribes-order", perSecond: 18_743, p50Us: 791, order: "35 % out of order" },
  { title: "RpcChannel, two processes", what: "request", lanes: 1, carrier: "tribes", perSecond: 9_239, p50Us: 99, order: "" },
  { title: "RpcChannel, two processes, 64 at a time", what: "request", lanes: 64, carrier: "tribes", perSecond: 25_821, p50Us: 2_163, order: "" },
  { title: "RpcChannel, all reply", what: "requestAll", lanes: 1, carrier: "tribes", perSecond: 5_020, p50Us: 175, order: "" },
  { title: "RpcChannel, all reply, 64 at a time", what: "requestAll", lanes: 64, carrier: "tribes", perSecond: 13_882, p50Us: 4_112, order: "" },
];

/** How many members handle one of these: Tribes' figures count each delivery, those of requests each request. */
export function deliveriesOf(what: TribesRow["what"]): number {
  return what === "acknowledged" ? 2 : 1;
}
