/**
 * A store in a SQLite file, for the processes of one host. The promises are in the README beside this file.
 * @module
 */
export { sqlite } from "./provider.ts";
export type { SqliteOptions } from "./options.ts";
