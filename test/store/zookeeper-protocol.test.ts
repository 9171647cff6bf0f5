import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerChallenge } from "../../src/store/zookeeper/client/digest-md5.ts";
import { factsOf } from "../../src/store/zookeeper/client/four-letters.ts";
import { FrameReader } from "../../src/store/zookeeper/client/frames.ts";
import { JuteError, JuteReader, JuteWriter } from "../../src/store/zookeeper/client/jute.ts";
import { decodeAnswer, decodeConnect, decodeReply, decodeWatchEvent, encodeConnect, encodeRequest, isRefusal } from "../../src/store/zookeeper/client/records.ts";
import type { Request } from "../../src/store/zookeeper/client/records.ts";
import { fc } from "../support/properties.ts";

const anyInt = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const anyLong = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const anyText = fc.string({ unit: "grapheme" });
const anyBytes = fc.uint8Array({ maxLength: 5_000 });

/** As hexadecimal digits, without the spaces that show where one value ends. */
function bytes(text: string): string {
  return text.replaceAll(" ", "");
}

/** What a server would send behind its header. */
function body(write: (writer: JuteWriter) => void): JuteReader {
  const writer = new JuteWriter();
  write(writer);
  return new JuteReader(writer.frame().subarray(4));
}

describe("ZooKeeper's records", () => {
  it("come back as they were written, whatever they hold", () => {
    fc.assert(
      fc.property(anyInt, anyLong, fc.boolean(), fc.option(anyBytes), fc.option(anyText), fc.array(anyText), (int, long, bool, bytes, text, list) => {
        const reader = body((writer) => writer.int(int).long(long).bool(bool).buffer(bytes).string(text).list(list, (each, value) => each.string(value)));
        assert.deepEqual([reader.int(), reader.long(), reader.bool()], [int, long, bool]);
        assert.deepEqual(reader.buffer(), bytes === null ? null : Buffer.from(bytes));
        assert.equal(reader.string(), text);
        assert.deepEqual(reader.list((each) => each.string()), list);
        assert.equal(reader.leftBytes, 0);
      }),
    );
  });

  it("that lie about a length are refused before anything is made of it", () => {
    const claims = (length: number) => body((writer) => writer.int(length).int(0));
    for (const length of [5, 1_000, 2 ** 31 - 1, -2, -(2 ** 31)]) {
      for (const read of [(reader: JuteReader) => reader.buffer(), (reader: JuteReader) => reader.string(), (reader: JuteReader) => reader.list((each) => each.bool())]) {
        assert.throws(() => read(claims(length)), JuteError, `a length of ${length}`);
      }
    }
  });

  it("of any bytes at all are read or refused as such, and nothing else happens", () => {
    const requests: readonly Request[] = [
      { op: "exists", path: "/" },
      { op: "getData", path: "/" },
      { op: "getChildren", path: "/" },
      { op: "getAcl", path: "/" },
      { op: "sasl", token: Buffer.alloc(0) },
      { op: "multi", operations: [] },
      { op: "create", path: "/", data: Buffer.alloc(0), acl: [] },
    ];
    const tolerant = (work: () => unknown) => {
      try {
        work();
      } catch (error) {
        assert.ok(error instanceof JuteError, String(error));
      }
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const buffer = Buffer.from(bytes);
        for (const request of requests) tolerant(() => decodeAnswer(request, new JuteReader(buffer)));
        tolerant(() => decodeConnect(buffer));
        tolerant(() => decodeReply(buffer));
        tolerant(() => decodeWatchEvent(new JuteReader(buffer)));
      }),
      { numRuns: 2_000 },
    );
  });

  it("of a transaction say which of its operations was refused, and that the others were not done", () => {
    const refused = body((writer) => {
      for (const error of [0, -103, -2]) writer.int(-1).bool(false).int(error).int(error);
      writer.int(-1).bool(true).int(-1);
    });
    const answer = decodeAnswer({ op: "multi", operations: [] }, refused);
    assert.ok(isRefusal(answer));
    assert.deepEqual(answer, { index: 1, code: "BADVERSION" });
  });

  it("of a request are those of the protocol, byte by byte", () => {
    const hex = (request: Request) => encodeRequest(7, request).toString("hex");
    assert.equal(hex({ op: "exists", path: "/a", watch: true }), bytes("0000000f 00000007 00000003 000000022f61 01"));
    assert.equal(hex({ op: "sync", path: "/a" }), bytes("0000000e 00000007 00000009 000000022f61"));
    assert.equal(hex({ op: "delete", path: "/a", version: -1 }), bytes("00000012 00000007 00000002 000000022f61 ffffffff"));
    assert.equal(hex({ op: "closeSession" }), bytes("00000008 00000007 fffffff5"));
    const multi = hex({ op: "multi", operations: [{ op: "check", path: "/a", version: 3 }] });
    assert.equal(multi, bytes("00000024 00000007 0000000e 0000000d 00 ffffffff 000000022f61 00000003 ffffffff 01 ffffffff"));
    assert.equal(encodeConnect({ timeoutMs: 4_000, sessionId: 0n, password: Buffer.alloc(2), readOnly: false }).toString("hex"), bytes("0000001f 00000000 0000000000000000 00000fa0 0000000000000000 000000020000 00"));
  });
});

describe("frames", () => {
  it("are the same however the bytes arrive", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map((bytes) => new JuteWriter().buffer(bytes).frame().subarray(4)));
        const reader = new FrameReader();
        const frames: Buffer[] = [];
        for (let at = 0, n = 0; at < stream.length; n++) {
          const size = cuts[n % cuts.length] ?? 1;
          frames.push(...reader.push(stream.subarray(at, at + size)));
          at += size;
        }
        assert.deepEqual(frames.map((frame) => [...frame]), bodies.map((bytes) => [...bytes]));
      }),
    );
  });

  it("that are longer than any may be, or shorter than nothing, are refused as soon as they say so", () => {
    for (const length of [101, 2 ** 31 - 1, -1]) {
      const head = Buffer.alloc(4);
      head.writeInt32BE(length);
      assert.throws(() => new FrameReader(100).push(head), JuteError);
    }
    assert.throws(() => new FrameReader().push(Buffer.from("HTTP/1.1 400 Bad Request\r\n")), JuteError, "an answer of another protocol");
  });
});

describe("DIGEST-MD5", () => {
  const challenge = 'realm="zk-sasl-md5",nonce="OA6MG9tEQGm2hh",charset=utf-8,algorithm=md5-sess';

  it("answers a challenge with what the password makes of it, and knows what the server must answer", () => {
    const one = answerChallenge(challenge, { user: "bob", password: "secret" }, "OA6MHXh6VqTrRk");
    const other = answerChallenge(challenge, { user: "bob", password: "Secret" }, "OA6MHXh6VqTrRk");
    assert.match(one?.response ?? "", /^charset=utf-8,username="bob",realm="zk-sasl-md5",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",digest-uri="zookeeper\/zk-sasl-md5",response=[\da-f]{32},qop=auth$/);
    assert.match(one?.expected ?? "", /^rspauth=[\da-f]{32}$/);
    assert.notEqual(one?.response, other?.response);
    assert.notEqual(one?.expected, other?.expected);
    assert.ok(!one?.response.includes("secret"));
  });

  it("puts quotes and backslashes of a name out of harm's way", () => {
    assert.ok(answerChallenge(challenge, { user: 'b"o\\b', password: "x" }, "n")?.response.includes('username="b\\"o\\\\b"'));
  });

  it("does not answer where something else is asked for", () => {
    for (const text of ["", "realm=\"x\"", 'nonce="x",qop="auth-conf",algorithm=md5-sess', 'nonce="x",algorithm=md5']) assert.equal(answerChallenge(text, { user: "u", password: "p" }, "n"), undefined, text);
  });
});

describe("what a server says of itself", () => {
  it("is read where it is there, and nothing is made up where it is not", () => {
    const text = "Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2024-12-29 17:54 UTC\nLatency min/avg/max: 0/0.0/0\nConnections: 12\nOutstanding: 3\nZxid: 0x0\nMode: follower\nNode count: 5\n";
    assert.deepEqual(factsOf(text), { version: "3.8.0", mode: "follower", connections: 12, outstanding: 3 });
    for (const other of ["", "srvr is not executed because it is not in the whitelist.\n", "This ZooKeeper instance is not currently serving requests\n"]) {
      assert.deepEqual(factsOf(other), { version: undefined, mode: undefined, connections: undefined, outstanding: undefined });
    }
  });
});
