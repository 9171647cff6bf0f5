// A document of Yjs in each process, a map for each context. Updates go from the writer to each other process in frames over plain TCP, a length before each; who begins gets the whole state first.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { applyUpdate, Doc, encodeStateAsUpdate } from "yjs";

const mapOf = (doc, c) => doc.getMap(`context-${c}`);

export async function join({ place }) {
  const doc = new Doc();
  const count = () => [...doc.share.keys()].reduce((sum, name) => sum + doc.getMap(name).size, 0);
  if (place === "") return await write(doc, count);
  const [host, port] = place.split(":");
  const socket = connect({ host, port: Number(port), noDelay: true });
  const first = new Promise((resolve, reject) => {
    socket.once("error", reject);
    frames(socket, (update) => {
      applyUpdate(doc, update);
      socket.write(frame(new Uint8Array(1)));
      resolve();
    });
  });
  await first;
  return { address: "", count, set: () => Promise.reject(new Error("only the writer writes")), stop: async () => void socket.destroy() };
}

async function write(doc, count) {
  const sockets = new Set();
  let applied = () => {};
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    let hasAll = false; // the first answer is to the state
    frames(socket, () => (hasAll ? applied() : (hasAll = true)));
    socket.write(frame(encodeStateAsUpdate(doc)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${server.address().port}`,
    count,
    async set(changes) {
      const updates = [];
      const keep = (update) => updates.push(update);
      doc.on("update", keep);
      doc.transact(() => changes.forEach(({ c, p, value }) => mapOf(doc, c).set(`property-${p}`, value)));
      doc.off("update", keep);
      let missing = sockets.size * updates.length;
      const all = new Promise((resolve) => (applied = () => --missing === 0 && resolve()));
      for (const update of updates) for (const socket of sockets) socket.write(frame(update));
      await all;
      return updates.reduce((sum, { length }) => sum + length, 0);
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function frame(bytes) {
  const whole = Buffer.allocUnsafe(4 + bytes.length);
  whole.writeUInt32BE(bytes.length);
  whole.set(bytes, 4);
  return whole;
}

function frames(socket, take) {
  let parts = [];
  let size = 0;
  socket.on("data", (part) => {
    parts.push(part);
    size += part.length;
    while (size >= 4) {
      const need = 4 + (parts[0].length >= 4 ? parts[0] : (parts = [Buffer.concat(parts)])[0]).readUInt32BE();
      if (size < need) return;
      const whole = parts.length === 1 ? parts[0] : Buffer.concat(parts);
      take(whole.subarray(4, need));
      [parts, size] = [[whole.subarray(need)], size - need];
    }
  });
}
