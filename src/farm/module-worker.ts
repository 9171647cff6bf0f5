import { parentPort, workerData } from "node:worker_threads";
import { pathToFileURL } from "node:url";

/** What is called in the worker. */
export interface WorkerCall {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** What comes back: first that the module is loaded, then an answer to each call. */
export type WorkerAnswer = { readonly kind: "loaded"; readonly methods: readonly string[] } | { readonly kind: "value"; readonly id: number; readonly value: unknown } | { readonly kind: "error"; readonly id: number; readonly message: string };

// The other side is module-service.ts. What a module throws while it loads ends the worker, which tells that side.
const { entry } = workerData as { readonly entry: string };
const exported = (await import(pathToFileURL(entry).href)) as Readonly<Record<string, unknown>>;
const answer = (message: WorkerAnswer) => parentPort?.postMessage(message, []);

parentPort?.on("message", ({ id, method, args }: WorkerCall) => {
  void (async () => {
    try {
      const called = Object.hasOwn(exported, method) ? exported[method] : undefined;
      if (typeof called !== "function") throw new TypeError(`the module exports no function ${method}`);
      answer({ kind: "value", id, value: await (called as (...args: readonly unknown[]) => unknown)(...args) });
    } catch (error) {
      answer({ kind: "error", id, message: error instanceof Error ? error.message : String(error) });
    }
  })();
});
answer({ kind: "loaded", methods: Object.keys(exported).filter((name) => typeof exported[name] === "function") });
