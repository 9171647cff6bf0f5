import { once } from "node:events";
import { createServer } from "node:net";
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket";
import * as PgClient from "@effect/sql-pg/PgClient";
import * as RunnerAddress from "effect/cluster/RunnerAddress";
import * as Singleton from "effect/cluster/Singleton";
import * as Duration from "effect/Duration";
import * as Effect from "effect/Effect";
import * as Fiber from "effect/Fiber";
import * as Layer from "effect/Layer";
import * as Logger from "effect/Logger";
import * as Option from "effect/Option";
import * as Redacted from "effect/Redacted";

export async function contend({ url, options }, { announced, ended, failed }) {
  const lease =
    options.leaseMs === undefined
      ? {}
      : { shardLockExpiration: Duration.millis(options.leaseMs), shardLockRefreshInterval: Duration.millis(options.leaseMs / 4), refreshAssignmentsInterval: Duration.millis(options.leaseMs / 4), runnerHealthCheckInterval: Duration.millis(options.leaseMs / 4) };
  const work = Effect.sync(announced).pipe(Effect.andThen(Effect.never), Effect.ensuring(Effect.sync(ended)));
  const cluster = NodeClusterSocket.layer({
    storage: "sql",
    shardingConfig: { runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", await freePort())), ...lease },
  });
  const program = Singleton.make("work", work).pipe(Layer.provide(cluster), Layer.provide(PgClient.layer({ url: Redacted.make(url) })), Layer.launch, Effect.provide(Logger.layer([])));
  const fiber = Effect.runFork(program);
  fiber.addObserver((exit) => {
    if (exit._tag === "Failure" && !String(exit.cause).includes("Interrupt")) failed(exit.cause);
  });
  return { resign: () => Effect.runPromise(Fiber.interrupt(fiber)) };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
