import type { RawPeer } from "../../src/testing/index.ts";
import type { Wire } from "../../src/transport/index.ts";

/** A wire in the hands of a test. */
export function rawPeer(wire: Wire): RawPeer {
  let received = Buffer.alloc(0);
  let isClosed = false;
  let waiting: Array<() => void> = [];
  const wake = () => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  wire.handlers = {
    data: (chunk) => {
      received = Buffer.concat([received, chunk]);
      wake();
    },
    drained() {},
    closed: () => {
      isClosed = true;
      wake();
    },
  };
  return {
    write: (bytes) => void wire.write(bytes),
    received: () => received,
    changed: () => new Promise((resolve) => waiting.push(resolve)),
    get isClosed() {
      return isClosed;
    },
    destroy: () => wire.destroy(),
  };
}
