import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** As a script uses it: whoever has been elected is told on standard output, and leads until the program ends. It goes with this process, as with the script's. */
export async function contend({ url, group, node }, { announced, ended, failed }) {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "etcdctl", `--endpoints=${url}`, "elect", group, node], { env: { ...process.env, ETCDCTL_API: "3" }, stdio: ["ignore", "pipe", "inherit"] });
  let leads = false;
  const stop = () => {
    if (leads) ended();
    leads = false;
  };
  // The key of the election, and then the proposal that has won.
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line !== node || leads) return;
    leads = true;
    announced();
  });
  child.once("error", failed);
  child.once("exit", stop);
  return {
    async resign() {
      stop();
      child.kill("SIGINT");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}
