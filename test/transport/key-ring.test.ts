import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isTribuneError, seededRandom, systemRandom } from "../../src/kernel/index.ts";
import { activateKey, decodeRing, encodeRing, HeldKeys, introduceKey, newRing, retireKey } from "../../src/transport/index.ts";
import type { RingDocument } from "../../src/transport/index.ts";
import { fc } from "../support/properties.ts";

const states = (ring: RingDocument) => ring.keys.map(({ state }) => state);
const idAt = (ring: RingDocument, at: number) => ring.keys[at]?.id ?? "";
const refused = (error: unknown) => isTribuneError(error, "KEYS_MISSING");

describe("the ring of keys", () => {
  it("is rotated in three steps, at each of which every member accepts what every other one uses", () => {
    const first = newRing(systemRandom, 5);
    const second = introduceKey(first, systemRandom, 6);
    const third = activateKey(second, idAt(second, 1));
    const fourth = retireKey(third, idAt(third, 0));
    assert.deepEqual([states(first), states(second), states(third), states(fourth)], [["active"], ["active", "accepted"], ["accepted", "active"], ["retired", "active"]]);
    const steps = [first, second, third, fourth];
    for (const [at, ring] of steps.entries()) for (const other of steps.slice(Math.max(0, at - 1), at + 2)) {
      const used = new HeldKeys(ring).current()?.id ?? "none";
      assert.ok(new HeldKeys(other).find(used) !== undefined, `step ${at}`);
    }
    assert.equal(new HeldKeys(fourth).find(idAt(first, 0)), undefined);
    assert.equal(fourth.keys[0]?.secret, "");
  });

  it("refuses what would leave the group without a key in use", () => {
    let ring = introduceKey(newRing(systemRandom, 0), systemRandom, 1);
    assert.throws(() => retireKey(ring, idAt(ring, 0)), refused);
    assert.throws(() => activateKey(ring, "0000000000000000"), refused);
    ring = retireKey(activateKey(ring, idAt(ring, 1)), idAt(ring, 0));
    assert.throws(() => activateKey(ring, idAt(ring, 0)), refused);
    for (let n = 0; n < 3; n++) ring = introduceKey(ring, systemRandom, n);
    assert.throws(() => introduceKey(ring, systemRandom, 9), refused);
  });

  it("is the same after it was stored, and does not grow over a thousand rotations", () => {
    let ring = newRing(systemRandom, 0);
    for (let n = 1; n <= 1_000; n++) {
      const old = ring.keys.find(({ state }) => state === "active")?.id ?? "";
      ring = introduceKey(ring, systemRandom, n);
      ring = retireKey(activateKey(ring, ring.keys.at(-1)?.id ?? ""), old);
      assert.deepEqual(decodeRing(encodeRing(ring)), ring);
    }
    assert.ok(ring.keys.length <= 9, String(ring.keys.length));
  });

  it("is refused when it is anything else, in words that tell nothing of it", () => {
    const [key] = newRing(systemRandom, 0).keys;
    const bad: unknown[] = [null, 1, "x", [], {}, { keys: [] }, { keys: {} }, { keys: [null] }, { keys: [{ ...key, id: "../x" }] }, { keys: [{ ...key, secret: "c2hvcnQ" }] }, { keys: [{ ...key, state: "accepted" }] }, { keys: [key, key] }, { keys: [{ ...key, state: "constructor" }] }];
    for (const value of bad) assert.throws(() => decodeRing(JSON.stringify(value)), (error) => refused(error) && !(error as Error).message.includes(key?.secret ?? "-"), JSON.stringify(value));
    assert.throws(() => decodeRing(`{"keys": [{"secret": "${key?.secret}`), (error) => refused(error) && !String((error as Error).stack).includes(key?.secret ?? "-"));
    fc.assert(fc.property(fc.json(), (text) => {
      try {
        decodeRing(text);
      } catch (error) {
        assert.ok(refused(error));
      }
    }));
  });

  it("has keys of 32 random bytes, and names that tell nothing about them", () => {
    const [a, b] = [newRing(seededRandom(1), 0).keys[0], newRing(seededRandom(2), 0).keys[0]];
    assert.ok(a !== undefined && b !== undefined);
    for (const key of [a, b]) assert.equal(Buffer.from(key.secret, "base64url").length, 32);
    assert.notEqual(a.secret, b.secret);
    assert.ok(!Buffer.from(a.secret, "base64url").toString("hex").includes(a.id));
  });

  it("tells transports of each change, until they listen no more", () => {
    const ring = newRing(systemRandom, 0);
    const keys = new HeldKeys();
    assert.equal(keys.current(), undefined);
    let heard = 0;
    const stop = keys.onChange(() => heard++);
    keys.replace(ring);
    stop();
    keys.replace(ring);
    assert.deepEqual([heard, keys.current()?.id], [1, idAt(ring, 0)]);
  });
});
