// A map in Redis, a hash for each context, of which each process has a copy: it reads all once, and then hears of changes by pub/sub, with their values.
// That is at most once, and nothing repairs it: whoever misses a message stays different.
import { createClient } from "redis";

const CHANGES = "bench:changes";
const APPLIED = "bench:applied";
const keyOf = (c) => `bench:context-${c}`;

export async function join({ node, place }) {
  const client = await createClient({ url: place }).connect();
  const hearing = client.duplicate();
  await hearing.connect();
  const copy = new Map();
  const contextOf = (key) => copy.get(key) ?? copy.set(key, new Map()).get(key);
  let waiting;
  let batches = 0;
  await hearing.subscribe(APPLIED, (batch) => {
    if (waiting !== undefined && waiting.batch === batch && --waiting.missing === 0) waiting.resolve();
  });
  await hearing.subscribe(CHANGES, (text) => {
    const { from, batch, changes } = JSON.parse(text);
    if (from === node) return;
    for (const [key, property, value] of changes) contextOf(key).set(property, value);
    void client.publish(APPLIED, batch);
  });
  const keys = [];
  for await (const some of client.scanIterator({ MATCH: keyOf("*"), COUNT: 1_000 })) keys.push(...some);
  const hashes = await Promise.all(keys.map((key) => client.hGetAll(key)));
  for (const [n, hash] of hashes.entries()) for (const [property, value] of Object.entries(hash)) contextOf(keys[n]).set(property, value);
  return {
    address: "",
    count: () => [...copy.values()].reduce((sum, { size }) => sum + size, 0),
    async set(changes) {
      const batch = `${node}/${++batches}`;
      const list = changes.map(({ c, p, value }) => [keyOf(c), `property-${p}`, value]);
      const hashes = new Map();
      for (const [key, property, value] of list) {
        contextOf(key).set(property, value);
        if (!hashes.has(key)) hashes.set(key, {});
        hashes.get(key)[property] = value;
      }
      const text = JSON.stringify({ from: node, batch, changes: list });
      const applied = new Promise((resolve) => (waiting = { batch, missing: 2, resolve }));
      // One packet, as far as it goes: nobody waits for an answer in between.
      await Promise.all([...[...hashes].map(([key, hash]) => client.hSet(key, hash)), client.publish(CHANGES, text)]);
      await applied;
      return Buffer.byteLength(text);
    },
    async stop() {
      hearing.destroy();
      client.destroy();
    },
  };
}
