import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { describe, it } from "node:test";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import type { TcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";

describe("the TCP fault proxy", { timeout: 30_000 }, () => {
  it("passes bytes both ways, and the end of each", async (t) => {
    const { proxy, echo } = await stage(t);
    const client = await connected(proxy);
    assert.equal(await say(client, "hello"), "hello");
    assert.equal(proxy.connections, 1);
    client.end();
    await once(client, "close");
    await until(() => proxy.connections === 0 && echo.open() === 0);
  });

  it("passes what is larger than any buffer", async (t) => {
    const { proxy } = await stage(t);
    const client = await connected(proxy);
    const large = "x".repeat(8_000_000);
    assert.equal((await say(client, large)).length, large.length);
  });

  it("a black hole swallows bytes and hang-ups of the direction that it is for, and keeps connections open", async (t) => {
    const { proxy, echo } = await stage(t);
    const client = await connected(proxy);
    await proxy.mode({ kind: "blackhole", direction: "toServer" });
    client.write("lost");
    await settled();
    assert.deepEqual([echo.received(), client.destroyed], ["", false]);
    client.destroy();
    await settled();
    assert.equal(echo.open(), 1, "the server does not hear of the end");
  });

  it("a connection that lost bytes is reset when it would go on", async (t) => {
    const { proxy } = await stage(t);
    const client = await connected(proxy);
    await proxy.mode({ kind: "blackhole", direction: "toServer" });
    client.write("lost");
    await settled();
    await proxy.mode({ kind: "pass" });
    const reset = once(client, "error");
    client.write("after a hole");
    assert.equal(((await reset)[0] as NodeJS.ErrnoException).code, "ECONNRESET");
  });

  it("what is held arrives with the next mode, in order", async (t) => {
    const { proxy, echo } = await stage(t);
    const client = await connected(proxy);
    await proxy.mode({ kind: "hold" });
    client.write("one ");
    await settled();
    client.write("two");
    await settled();
    assert.equal(echo.received(), "");
    const answer = read(client, 7);
    await proxy.mode({ kind: "pass" });
    assert.equal(await answer, "one two");
  });

  it("a stalled direction is not read, so that the sender cannot go on for ever", async (t) => {
    const { proxy } = await stage(t);
    const client = await connected(proxy);
    await proxy.mode({ kind: "stall", direction: "toServer" });
    const chunk = Buffer.alloc(1_000_000);
    let sent = 0;
    while (sent < 100 && (client.write(chunk) || (await drained(client)))) sent += 1;
    assert.ok(sent < 100, "the sender was held up");
    await proxy.mode({ kind: "pass" });
    await once(client, "drain");
  });

  it("reset ends every connection with ECONNRESET at both ends, and lets new ones in", async (t) => {
    const { proxy, echo } = await stage(t);
    const clients = [await connected(proxy), await connected(proxy)];
    const resets = clients.map((client) => once(client, "error"));
    assert.equal(proxy.resetAll(), 2);
    for (const reset of resets) assert.equal(((await reset)[0] as NodeJS.ErrnoException).code, "ECONNRESET");
    await until(() => echo.open() === 0 && proxy.connections === 0);
    assert.equal(await say(await connected(proxy), "again"), "again");
  });

  it("refuses new connections on the same port until told otherwise, and lets open ones be", async (t) => {
    const { proxy } = await stage(t);
    const client = await connected(proxy);
    const { port } = proxy;
    await proxy.mode({ kind: "refuse" });
    const [error] = (await once(connect(port, "127.0.0.1"), "error")) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNREFUSED");
    assert.equal(await say(client, "still here"), "still here");
    await proxy.mode({ kind: "pass" });
    assert.equal(proxy.port, port);
    assert.equal(await say(await connected(proxy), "back"), "back");
  });

  it("delays, and keeps the order", async (t) => {
    const { proxy } = await stage(t);
    const client = await connected(proxy);
    await proxy.mode({ kind: "delay", ms: 60, direction: "toServer" });
    const beforeMs = performance.now();
    client.write("a");
    await settled();
    client.write("b");
    assert.equal(await read(client, 2), "ab");
    assert.ok(performance.now() - beforeMs >= 59);
  });

  it("cuts a connection after so many bytes, no sooner", async (t) => {
    const { proxy } = await stage(t);
    const client = await connected(proxy);
    await proxy.mode({ kind: "cut", afterBytes: 5, direction: "toClient" });
    assert.equal(await say(client, "1234"), "1234");
    let more = "";
    client.on("data", (chunk: Buffer) => (more += chunk.toString()));
    const reset = once(client, "error");
    client.write("56789");
    assert.equal(((await reset)[0] as NodeJS.ErrnoException).code, "ECONNRESET");
    assert.ok(more === "5" || more === "", `what came before the cut is ${more}`);
  });

  it("resets the client when the server is not there", async (t) => {
    const { proxy, echo } = await stage(t);
    echo.close();
    const client = connect(proxy.port, "127.0.0.1");
    const [error] = (await once(client, "error")) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNRESET");
    await until(() => proxy.connections === 0);
  });

  it("closes once and twice, and is gone", async (t) => {
    const { proxy } = await stage(t);
    const client = await connected(proxy);
    const gone = once(client, "error");
    await proxy.close();
    await proxy.close();
    await gone;
    const [error] = (await once(connect(proxy.port, "127.0.0.1"), "error")) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNREFUSED");
  });
});

/** A server that says what it is told, and a proxy in front of it. */
async function stage(t: { after(end: () => Promise<void>): void }) {
  const sockets = new Set<Socket>();
  let received = "";
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString();
      socket.write(chunk);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy = await startTcpFaultProxy({ targetHost: "127.0.0.1", targetPort: (server.address() as AddressInfo).port });
  t.after(async () => {
    await proxy.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { proxy, echo: { open: () => sockets.size, received: () => received, close: () => server.close() } };
}

async function connected(proxy: TcpFaultProxy): Promise<Socket> {
  const before = proxy.connections;
  const client = connect(proxy.port, "127.0.0.1");
  await once(client, "connect");
  client.on("error", () => undefined);
  await until(() => proxy.connections > before);
  return client;
}

async function say(client: Socket, text: string): Promise<string> {
  const answer = read(client, text.length);
  client.write(text);
  return await answer;
}

async function read(client: Socket, length: number): Promise<string> {
  const parts: Buffer[] = [];
  let got = 0;
  while (got < length) {
    const [chunk] = (await once(client, "data")) as [Buffer];
    parts.push(chunk);
    got += chunk.length;
  }
  return Buffer.concat(parts).toString();
}

/** Whether a full socket becomes writable again soon. */
async function drained(client: Socket): Promise<boolean> {
  return await Promise.race([once(client, "drain").then(() => true), new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300))]);
}

/** Time for bytes to go through the loopback, where nothing tells that none will come. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
}

async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > endMs) assert.fail(`waited in vain: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
