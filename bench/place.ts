import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findPostgres, startPostgres } from "../test/support/postgres-server.ts";
import type { NodeConfig } from "./node.ts";

/** A fresh store for one benchmark. */
export interface BenchPlace {
  readonly label: string;
  readonly store: NodeConfig["store"];
  /** Only on PostgreSQL. */
  query(text: string): Promise<readonly Record<string, unknown>[]>;
  close(): Promise<void>;
}

export async function openPlace(kind: string): Promise<BenchPlace> {
  if (kind === "sqlite") {
    const folder = await mkdtemp(join(tmpdir(), "tribune-bench-"));
    return {
      label: `SQLite ${process.versions.sqlite ?? ""} in a temporary file`,
      store: { kind, path: join(folder, "store.db") },
      query: () => Promise.reject(new Error("only on PostgreSQL")),
      close: () => rm(folder, { recursive: true, force: true }),
    };
  }
  if (kind !== "postgres") throw new Error(`--store must be sqlite or postgres, not ${JSON.stringify(kind)}`);
  const programs = await findPostgres();
  if ("missing" in programs) throw new Error(programs.missing);
  const server = await startPostgres({ programs });
  return { label: `PostgreSQL ${server.major}, a server of its own with its default settings`, store: { kind, url: server.url }, query: (text) => server.query(text), close: () => server.stop() };
}
