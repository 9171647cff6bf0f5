/** One process of the farm: an HTTP server whose answers come from what is deployed. Told by its parent what to deploy. */
import { once } from "node:events";
import { createServer } from "node:http";
import { createCluster, isTribuneError } from "tribune";
import { moduleService } from "tribune/farm";

interface Answer {
  readonly status: number;
  readonly body: string;
}

const [name = "web-1", store = "", dir = ""] = process.argv.slice(2);
const shop = moduleService({ entry: "handler.mjs" });
const cluster = createCluster({ group: "shop", node: name, store, channel: true, farm: { dir, handlers: { shop } } });
await cluster.start(); // what is deployed runs when this resolves

const server = createServer((request, response) => {
  shop
    .call("handle", { node: name, url: request.url })
    .then((answer) => response.writeHead((answer as Answer).status).end((answer as Answer).body))
    .catch((error: unknown) => response.writeHead(503).end(String(error)));
});
await once(server.listen(0, "127.0.0.1"), "listening");
process.send?.({ listening: server.address() });

process.on("message", ({ version, directory }: { readonly version: string; readonly directory: string }) => {
  cluster.farm
    .deploy({ name: "shop", version, artifact: { directory }, config: { greeting: "hello" }, rolling: { by: 1, waveMs: 3_000 } })
    .then(({ members }) => process.send?.({ deployed: members.map(({ node, state, version: has }) => `${node} ${state} ${has}`) }))
    .catch((error: unknown) => process.send?.({ refused: isTribuneError(error) ? `${error.code}: ${error.message}` : String(error) }));
});
