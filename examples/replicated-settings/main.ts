/** Three processes share settings. One changes a setting, one is killed, one comes. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Said {
  readonly started?: Readonly<Record<string, unknown>>;
  readonly changed?: string;
}

const folder = mkdtempSync(join(tmpdir(), "replicated-settings-"));
const services: ChildProcess[] = [];

try {
  const [one] = await start("shop-1");
  const [two] = await start("shop-2");
  const [three] = await start("shop-3");

  let changed = [one, two, three].map((each) => said(each, ({ changed: key }) => key === "prices"));
  one.send({ set: "prices", value: { coffee: 250, tea: 200 } });
  await Promise.all(changed);

  one.kill("SIGKILL");
  await once(one, "exit");
  console.log("shop-1 was killed");
  changed = [two, three].map((each) => said(each, ({ changed: key }) => key === "closed"));
  two.send({ set: "closed", value: true });
  await Promise.all(changed);

  const [four, settings] = await start("shop-4");
  console.log(`shop-4 began with ${Object.keys(settings).join(", ")}`);
  if (JSON.stringify(settings) !== '{"closed":true,"prices":{"coffee":250,"tea":200}}') throw new Error("a newcomer did not get the settings");
  console.log("all have the same settings");

  for (const service of [two, three, four]) {
    service.send({});
    await once(service, "exit");
  }
} finally {
  for (const service of services) service.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

/** A service, and the settings that it began with. */
async function start(name: string): Promise<[service: ChildProcess, settings: Readonly<Record<string, unknown>>]> {
  const service = fork(join(import.meta.dirname, "service.ts"), [name, `sqlite:${join(folder, "cluster.db")}`]);
  services.push(service);
  const { started = {} } = await said(service, (each) => each.started !== undefined);
  return [service, started];
}

/** What a service says next that is meant. */
function said(service: ChildProcess, isMeant: (said: Said) => boolean): Promise<Said> {
  return new Promise((resolve) => {
    const heard = (each: Said) => {
      if (!isMeant(each)) return;
      service.off("message", heard);
      resolve(each);
    };
    service.on("message", heard);
  });
}
