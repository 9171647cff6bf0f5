import { once } from "node:events";
import { isTribuneError, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import { Scene } from "../../../src/testing/conformance/scene.ts";

/** A member that leads, says so, and is then frozen by whoever started it. When its session has ended it opens another one and goes on. */
const { url, group } = JSON.parse(process.env["FROZEN_MEMBER"] ?? "{}") as { readonly url: string; readonly group: string };
const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`);

const scene = new Scene({ place: { provider: zookeeper({ url, sessionTimeoutMs: 1_000 }) }, clock: systemClock, random: systemRandom });
const member = await scene.member({ group, node: "frozen" });
await member.createElection("e");
const { epoch } = await member.look();
const claimed = await member.claim("e", { expectedToken: 0, epoch });
const token = claimed?.token ?? 0;
await member.passFence("e", token);
say({ said: "leads", token });
const { ended } = member.session;
if (!ended.aborted) await once(ended, "abort");
say({ said: "ended", code: isTribuneError(ended.reason) ? ended.reason.code : String(ended.reason) });
await member.reconnect();
say({ said: "back", accepted: (await member.beat()).accepted, passed: await member.passFence("e", token) });
process.exit(0);
