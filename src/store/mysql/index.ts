/**
 * A store in MySQL or MariaDB. The promises are in the README beside this file.
 * @module
 */
export { mysql } from "./provider.ts";
export type { ConnectionOf, MysqlConfigOptions, MysqlOptions, MysqlPool, MysqlPoolOptions, MysqlTransaction, MysqlUrlOptions } from "./options.ts";
