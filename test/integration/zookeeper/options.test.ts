import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { isTribuneError } from "../../../src/kernel/index.ts";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import type { ZookeeperOptions } from "../../../src/store/zookeeper/index.ts";
import { checkOptions } from "../../../src/store/zookeeper/options.ts";

const make = (options: unknown) => () => zookeeper(options as ZookeeperOptions);

describe("options of the ZooKeeper store", () => {
  it("are complained about all at once", () => {
    assert.throws(make({ url: "postgres://x", servers: [], root: "tribune", auth: { user: "a:b" }, tls: 5, sessionTimeoutMs: 1, roots: 1 }), (error) => {
      assert.ok(isTribuneError(error, "INVALID_OPTIONS"));
      for (const part of ["did you mean root", "exactly one of url and servers", "url must be like zookeeper://", "root must be a path", "auth.user must be", "auth.password must be", "tls must be", "sessionTimeoutMs must be"]) {
        assert.ok(error.message.includes(part), `${part} in ${error.message}`);
      }
      return true;
    });
  });

  for (const [what, options, complaint] of [
    ["nothing", {}, /exactly one .* not none/],
    ["no object", undefined, /must be an object/],
    ["no server", { servers: [] }, /servers must be a list/],
    ["a server with a port that is none", { servers: ["zk:99999"] }, /a server is a host/],
    ["a server that is a URL", { servers: ["zookeeper://zk"] }, /a server is a host/],
    ["a chroot beside a url", { url: "zookeeper://h/a", chroot: "/b" }, /chroot goes with servers/],
    ["a root that ends with a slash", { url: "zookeeper://h", root: "/a/" }, /root must be a path/],
    ["a root that climbs", { url: "zookeeper://h", root: "/a/../b" }, /root must be a path/],
    ["the root of ZooKeeper itself", { url: "zookeeper://h", root: "/zookeeper/x" }, /not below \/zookeeper/],
    ["a user without a password", { url: "zookeeper://u@h" }, /needs a user and a password/],
    ["an auth without anybody", { url: "zookeeper://h?auth=sasl" }, /needs a user and a password/],
    ["a setting that there is not", { url: "zookeeper://h?tsl=true" }, /unknown setting "tsl"/],
    ["files for TLS with TLS switched off", { url: "zookeeper://h?tls=false&ca=x.pem" }, /tls=false/],
  ] as const) {
    it(`refuse ${what}`, () => {
      assert.throws(make(options), (error) => isTribuneError(error, "INVALID_OPTIONS") && complaint.test(error.message));
    });
  }

  it("never repeat a URL in a complaint, since it may hold a password", () => {
    for (const url of ["zookeeper://u:hunter2@h:port", "zk://u:hunter2@h", "hunter2", "zookeeper://u:hunter2@", "zookeeper://u:hunter2%@h", "zookeeper://u:hunt@hunter2@h", "zookeeper://u:1/hunter2@h", "zookeeper://u:hunter2/1@h", "zookeeper://u:hunter2/1?2@h", "zookeeper://u:hunter2"]) {
      assert.throws(make({ url }), (error) => isTribuneError(error, "INVALID_OPTIONS") && !inspect(error).includes("hunter2"), url);
    }
  });

  for (const [options, label] of [
    [{ url: "zookeeper://h" }, "zookeeper://h:2181"],
    [{ url: "zookeeper://ops:hunter2@zk1:2182,zk2/apps/billing" }, "zookeeper://ops@zk1:2182,zk2:2181/apps/billing"],
    [{ url: "zookeeper://ops:hunter2@zk1?auth=sasl&root=/t&tls=true" }, "zookeeper://ops@zk1:2181?root=/t"],
    [{ servers: ["zk1", "[::1]:5"], chroot: "/a", auth: { user: "ops", password: "hunter2" } }, "zookeeper://ops@zk1:2181,[::1]:5/a"],
  ] as const) {
    it(`are shown as ${label}, without a password`, () => {
      const { label: shown } = zookeeper(options);
      assert.equal(shown, label);
    });
  }

  it("read what a URL says: user, password, scheme, servers, chroot, root and TLS", () => {
    const checked = checkOptions({ url: "zookeeper://o%40ps:p%3Ass@zk1:2182,zk2/apps/billing?auth=sasl&root=/here&ca=ca.pem" });
    assert.deepEqual(checked.proof, { scheme: "sasl", user: "o@ps", password: "p:ss" });
    assert.deepEqual(checked.servers, [{ host: "zk1", port: 2182 }, { host: "zk2", port: 2181 }]);
    assert.deepEqual([checked.root, checked.chroot, checked.tls, [...checked.tlsFiles]], ["/apps/billing/here", "/apps/billing", {}, [["ca", "ca.pem"]]]);
  });

  it("a file for TLS that cannot be read is INVALID_OPTIONS when it is needed, naming it", async () => {
    const provider = zookeeper({ url: "zookeeper://127.0.0.1:1?ca=/nowhere/ca.pem" });
    await assert.rejects(provider.begin(), (error) => isTribuneError(error, "INVALID_OPTIONS") && error.message.includes("/nowhere/ca.pem"));
  });
});
