import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";
import { isTribuneError } from "../../../src/kernel/index.ts";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import { installOnDebian } from "../../support/postgres-server.ts";
import { skipReason } from "../../support/required.ts";
import { findZookeeper, freePort, startZookeeper } from "../../support/zookeeper-server.ts";
import { sceneOn } from "./here.ts";

const run = promisify(execFile);

/** A certificate of one's own for 127.0.0.1, with its key, in one file and in two. */
async function certificate(folder: string): Promise<{ readonly pem: string; readonly ca: string } | undefined> {
  const [key, ca, pem] = ["key.pem", "ca.pem", "both.pem"].map((name) => join(folder, name)) as [string, string, string];
  const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", ca];
  try {
    await run("openssl", args).catch(async () => {
      const trouble = await installOnDebian("openssl");
      if (trouble !== undefined) throw new Error(trouble);
      await run("openssl", args);
    });
  } catch {
    return undefined;
  }
  await writeFile(pem, Buffer.concat([await readFile(key), await readFile(ca)]), { mode: 0o600 });
  return { pem, ca };
}

const programs = await findZookeeper();
const folder = await mkdtemp(join(tmpdir(), "tribune-zookeeper-tls-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const made = await certificate(folder);

if ("missing" in programs || made === undefined) {
  void it("ZooKeeper by TLS", { skip: "missing" in programs ? skipReason("zookeeper", programs.missing) : skipReason("openssl", "there is no openssl to make a certificate with") });
} else {
  void it("ZooKeeper by TLS serves who trusts its certificate, by URL and by options, and nobody else", { timeout: 120_000 }, async (t) => {
    const securePort = await freePort();
    const server = await startZookeeper({
      programs,
      settings: { secureClientPort: securePort, serverCnxnFactory: "org.apache.zookeeper.server.NettyServerCnxnFactory", "ssl.keyStore.location": made.pem, "ssl.keyStore.type": "PEM", "ssl.trustStore.location": made.ca, "ssl.trustStore.type": "PEM", "ssl.clientAuth": "none" },
    });
    t.after(async () => await server.stop());
    const address = `127.0.0.1:${securePort}`;
    const byUrl = await sceneOn(t, zookeeper({ url: `zookeeper://app:secret@${address}?ca=${made.ca}` })).member();
    assert.equal((await byUrl.beat()).accepted, true);
    assert.match(byUrl.session.info.serverVersion, /ZooKeeper \d/, "it is asked for its version by TLS as well");
    const byOptions = zookeeper({ servers: [address], tls: { ca: await readFile(made.ca) }, auth: { user: "app", password: "secret" } });
    const member = await sceneOn(t, byOptions).member();
    const token = await member.lead("e");
    assert.ok(token > 0);
    await assert.rejects(sceneOn(t, zookeeper({ url: `zookeeper://${address}?tls=true` })).session(), (error) => isTribuneError(error, "STORE_UNREACHABLE") && /TLS/.test(error.message));
    await assert.rejects(sceneOn(t, zookeeper({ url: `zookeeper://${address}` })).session({ deadlineMs: 3_000 }), (error) => isTribuneError(error) && ["STORE_UNREACHABLE", "STORE_NOT_A_DATABASE"].includes(error.code));
  });
}
