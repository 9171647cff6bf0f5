import type { Pool as CallbackPool, PoolConnection as CallbackConnection } from "mysql2";
import type { Pool, PoolConnection } from "mysql2/promise";
import type { StoreProvider } from "../../src/store/index.ts";
import { mysql } from "../../src/store/mysql/index.ts";
import type { ConnectionOf, MysqlTransaction } from "../../src/store/mysql/index.ts";

/** Checked by the compiler only: this file is never run. */
type IsAny<T> = 0 extends 1 & T ? true : false;
type Same<A, B> = IsAny<A> extends true ? false : [A, B] extends [B, A] ? true : false;
declare function same<A, B>(...differ: Same<A, B> extends true ? [] : ["the types differ"]): void;

declare const pool: Pool;
declare const callbackPool: CallbackPool;
declare const plain: { getConnection(): Promise<{ query(text: string): Promise<number> }> };

// With a pool of mysql2/promise the connection is the one that its promise gives.
same<ConnectionOf<Pool>, PoolConnection>();
export const ofPool = mysql({ pool }) satisfies StoreProvider<PoolConnection>;
same<typeof ofPool, StoreProvider<PoolConnection>>();

// With one of mysql2 it is the one that its callback gets.
same<ConnectionOf<CallbackPool>, CallbackConnection>();
export const ofCallbackPool = mysql({ pool: callbackPool, prefix: "t_" });
same<typeof ofCallbackPool, StoreProvider<CallbackConnection>>();

export const ofPlain = mysql({ pool: plain });
same<typeof ofPlain, StoreProvider<{ query(text: string): Promise<number> }>>();

// Without a pool it is what can be relied on whatever the version of mysql2.
export const ofUrl = mysql({ url: "mysql://h/d", database: "d", direct: true });
same<typeof ofUrl, StoreProvider<MysqlTransaction>>();
export const ofConfig = mysql({ config: { host: "h" } });
same<typeof ofConfig, StoreProvider<MysqlTransaction>>();

// A connection of mysql2/promise can be used where only that is asked for.
export const small: (connection: PoolConnection) => MysqlTransaction = (connection) => connection;

// @ts-expect-error exactly one of them
mysql({ pool, url: "mysql://h/d" });
// @ts-expect-error one of them
mysql({});
// @ts-expect-error no such option
mysql({ url: "mysql://h/d", schema: "x" });
// @ts-expect-error a pool is no URL
mysql({ url: pool });
