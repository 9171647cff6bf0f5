/**
 * What every other room stands on: time, chance, errors, events, options. No I/O beyond reading the process's clocks.
 * @module
 */
export { backoffMs } from "./backoff.ts";
export type { BackoffOptions } from "./backoff.ts";
export { isoTime, sleep, systemClock } from "./clock.ts";
export type { Clock, Timer } from "./clock.ts";
export { abortError, withDeadline } from "./deadline.ts";
export type { DeadlineOptions } from "./deadline.ts";
export { Elapsed } from "./elapsed.ts";
export { ERROR_CODES, isTribuneError, toTribuneError, TribuneError } from "./errors.ts";
export type { ErrorCode, TribuneErrorOptions } from "./errors.ts";
export { Events } from "./events.ts";
export type { ListenerErrorHandler } from "./events.ts";
export { Lifecycle } from "./lifecycle.ts";
export type { LifecycleState } from "./lifecycle.ts";
export { guardedLogger, silentLogger } from "./logger.ts";
export type { LogFields, Logger } from "./logger.ts";
export { measureLoopDelay } from "./loop-delay.ts";
export type { LoopDelay } from "./loop-delay.ts";
export { checkName, LONGEST_NAME, nodeNameFrom } from "./names.ts";
export { Complaints, nearest, shown } from "./options.ts";
export { jitter, seededRandom, systemRandom } from "./random.ts";
export type { Random } from "./random.ts";
