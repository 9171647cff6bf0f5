import type { Pool, PoolClient } from "pg";
import type { StoreProvider } from "../../src/store/index.ts";
import { postgres } from "../../src/store/postgres/index.ts";
import type { ClientOf, PostgresTransaction } from "../../src/store/postgres/index.ts";

/** Checked by the compiler only: this file is never run. */
type IsAny<T> = 0 extends 1 & T ? true : false;
type Same<A, B> = IsAny<A> extends true ? false : [A, B] extends [B, A] ? true : false;
declare function same<A, B>(...differ: Same<A, B> extends true ? [] : ["the types differ"]): void;

declare const pool: Pool;
declare const plain: { connect(): Promise<{ query(text: string): Promise<number> }>; options: object };

// With a pool of @types/pg, whose `connect` also has a form with a callback, the client is the one that its promise gives.
same<ClientOf<Pool>, PoolClient>();
export const ofPool = postgres({ pool }) satisfies StoreProvider<PoolClient>;
same<typeof ofPool, StoreProvider<PoolClient>>();
export const work = ofPool.fenced.transaction(null as never, async (tx) => (await tx.query<{ n: number }>("select 1 as n")).rows[0]?.n);
same<typeof work, Promise<number | undefined>>();

// With one that has no overloads as well.
export const ofPlain = postgres({ pool: plain });
same<typeof ofPlain, StoreProvider<{ query(text: string): Promise<number> }>>();

// Without a pool it is what can be relied on whatever the version of pg.
export const ofUrl = postgres({ url: "postgres://h/d", schema: "tribune", direct: true });
same<typeof ofUrl, StoreProvider<PostgresTransaction>>();
export const ofConfig = postgres({ config: { host: "h" } });
same<typeof ofConfig, StoreProvider<PostgresTransaction>>();

// A client of pg can be used where only that is asked for.
export const small: (client: PoolClient) => PostgresTransaction = (client) => client;

// @ts-expect-error exactly one of them
postgres({ pool, url: "postgres://h/d" });
// @ts-expect-error one of them
postgres({});
// @ts-expect-error no such option
postgres({ url: "postgres://h/d", prefix: "x" });
// @ts-expect-error a pool is no URL
postgres({ url: pool });
