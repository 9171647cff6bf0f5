import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "replicated-settings-"));
const store = `sqlite:${join(folder, "cluster.db")}`;
const heard = []; // everything that the services have said
const running = new Set();
let look = () => {};

/** Starts a service; resolves when it has started. */
async function start(node) {
  const service = fork(join(import.meta.dirname, "service.js"), [node, store]);
  running.add(service);
  service.once("exit", () => running.delete(service));
  service.on("message", (message) => {
    console.log(`${message.node}: ${message.event} ${JSON.stringify({ ...message, node: undefined, event: undefined })}`);
    heard.push(message);
    look();
  });
  const { settings } = await told(node, "started");
  return [service, settings];
}

/** Takes what a service has said, once it has. */
function told(node, event) {
  return new Promise((resolve) => {
    const before = look;
    look = () => {
      before();
      const at = heard.findIndex((each) => each.node === node && each.event === event);
      if (at !== -1) resolve(heard.splice(at, 1)[0]);
    };
    look();
  });
}

try {
  const [one] = await start("shop-1");
  const [two] = await start("shop-2");
  const [three] = await start("shop-3");

  one.send({ key: "prices", value: { coffee: 250, tea: 200 } });
  await told("shop-2", "changed");
  await told("shop-3", "changed");

  one.kill("SIGKILL");
  two.send({ key: "closed", value: true });
  await told("shop-3", "changed");

  const [four, settings] = await start("shop-4");
  console.log(`shop-4 began with ${JSON.stringify(settings)}`);
  if (settings.prices?.coffee !== 250 || settings.closed !== true) throw new Error("a newcomer did not get the settings");

  for (const service of [two, three, four]) {
    const ended = new Promise((resolve) => service.once("exit", resolve));
    service.send({});
    await ended;
  }
  console.log("all have the same settings");
} finally {
  for (const service of running) service.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
