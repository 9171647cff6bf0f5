/**
 * A store in PostgreSQL. The promises are in the README beside this file.
 * @module
 */
export { postgres } from "./provider.ts";
export type { ClientOf, PostgresConfigOptions, PostgresOptions, PostgresPool, PostgresPoolOptions, PostgresTransaction, PostgresUrlOptions } from "./options.ts";
