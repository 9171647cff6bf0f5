import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { etcd, fenceComparison } from "../../../src/store/etcd/index.ts";
import type { EtcdOptions } from "../../../src/store/etcd/index.ts";
import { checkOptions } from "../../../src/store/etcd/options.ts";

describe("options of the etcd store", () => {
  it("come from a URL: user and password decoded, several hosts, ports and prefix by default, files for TLS", () => {
    const all = checkOptions({ url: "etcd://a%40b:p%3A%2F@h1:1,[::1]:2,h3/apps/x?ca=/c.pem&cert=c&key=k" });
    assert.deepEqual(all.endpoints, [{ host: "h1", port: 1, secure: true }, { host: "[::1]", port: 2, secure: true }, { host: "h3", port: 2379, secure: true }]);
    assert.deepEqual([all.user, all.prefix, all.tls], [{ name: "a@b", password: "p:/" }, "apps/x/", { caFile: "/c.pem", certFile: "c", keyFile: "k" }]);
    const least = checkOptions({ url: "etcd://h" });
    assert.deepEqual([least.endpoints, least.user, least.prefix], [[{ host: "h", port: 2379, secure: false }], undefined, "tribune/"]);
    assert.equal(checkOptions({ url: "ETCD://h/?tls=true" }).endpoints[0]?.secure, true);
  });

  it("come as endpoints, each with TLS or without", () => {
    const { endpoints, prefix } = checkOptions({ endpoints: ["h1:1", "http://h2", "https://h3:3"], prefix: "p" });
    assert.deepEqual(endpoints.map((endpoint) => endpoint.secure), [false, false, true]);
    assert.equal(prefix, "p/");
    assert.deepEqual(checkOptions({ endpoints: ["h"], tls: true }).endpoints.map((endpoint) => endpoint.secure), [true]);
  });

  it("have a label that can be printed", () => {
    const { label } = etcd({ url: "etcd://user:geheim@h1,h2:5/p" });
    assert.equal(label, "etcd://user@h1:2379,h2:5/p/");
  });

  it("are refused with every complaint at once, and no complaint repeats a password", () => {
    const bad: readonly (readonly [unknown, RegExp])[] = [
      [undefined, /options must be an object/],
      [{}, /give either a url or endpoints, not none/],
      [{ url: "etcd://h", endpoints: ["h"] }, /not both/],
      [{ url: "etcd://h", prefix: "x" }, /prefix/],
      [{ url: "mysql://u:geheim@h/d" }, /url must be etcd:/],
      [{ url: "etcd://u:ge@heim@h" }, /encode what is special/],
      [{ url: "etcd://u:1/geheim@h" }, /encode what is special/],
      [{ url: "etcd://u:geheim/1@h" }, /encode what is special/],
      [{ url: "etcd://u:1?geheim@h" }, /encode what is special/],
      [{ url: "etcd://u:1?geheim=2@h" }, /encode what is special/],
      [{ url: "etcd://u:geheim" }, /endpoint 1 must be/],
      [{ url: "etcd://u:%zz@h" }, /'%'/],
      [{ url: "etcd://h:99999" }, /endpoint 1 must be/],
      [{ url: "etcd://h?tls=maybe" }, /tls must be true or false/],
      [{ url: "etcd://h?tls=false&ca=x" }, /tls is false, and files/],
      [{ url: "etcd://h?password=geheim" }, /there is no setting/],
      [{ endpoints: [] }, /at least one/],
      [{ endpoints: ["ftp://h", 3] }, /endpoint 1 must be[^]*endpoint 2 must be/],
      [{ endpoints: ["http://h"], tls: true }, /http:\/\/, and tls is asked for/],
      [{ endpoints: ["h"], tls: { cert: "c" } }, /needs its key/],
      [{ endpoints: ["h"], tls: { ca: "c", caFile: "f" } }, /ca or caFile, not both/],
      [{ endpoints: ["h"], username: "u" }, /password must be a text/],
      [{ endpoints: ["h"], password: "geheim" }, /username must be a text/],
      [{ endpoints: ["h"], prefix: "with space" }, /prefix must be/],
      [{ endpoints: ["h"], prefix: "" }, /prefix must be/],
      [{ endpoints: ["h"], tsl: true }, /tsl/],
    ];
    for (const [options, complaint] of bad) {
      assert.throws(
        () => etcd(options as EtcdOptions),
        (error: { code?: string; message?: string }) => {
          assert.equal(error.code, "INVALID_OPTIONS");
          assert.match(error.message ?? "", complaint);
          assert.ok(!/geheim|heim/.test(error.message ?? ""), error.message);
          return true;
        },
      );
    }
  });

  it("say where the fence of an election is, for transactions of other clients", () => {
    assert.deepEqual(fenceComparison({ group: "billing", election: "scheduler", token: 4_294_967_296 }), { key: "tribune/groups/billing/fence/scheduler", value: "0000004294967296" });
    assert.equal(fenceComparison({ prefix: "apps/x", group: "g", election: "e", token: 1 }).key, "apps/x/groups/g/fence/e");
  });
});
