import { etcd } from "../../src/store/etcd/index.ts";

// Checked by the compiler only: this file is never run.

export const ofUrl = etcd({ url: "etcd://h" });
export const ofEndpoints = etcd({ endpoints: ["h1:2379", "https://h2"], tls: { caFile: "ca.pem" }, username: "u", password: "p", prefix: "apps/x" });

// @ts-expect-error exactly one of them
etcd({ url: "etcd://h", endpoints: ["h"] });
// @ts-expect-error one of them
etcd({});
// @ts-expect-error the rest of a URL's settings is in the URL
etcd({ url: "etcd://h", prefix: "x" });
// @ts-expect-error no such option
etcd({ endpoints: ["h"], timeout: 3 });
