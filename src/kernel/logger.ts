/** Four methods, in the argument order of pino (fields first), so that a pino logger fits as it is. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** What a line is about. Never a secret: rooms log names, numbers and codes. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A logger that throws is not allowed to stop what it was told of. */
export function guardedLogger(logger: Logger): Logger {
  const guard = (level: keyof Logger) => (fields: LogFields, message: string) => {
    try {
      logger[level](fields, message);
    } catch {
      // There is nobody left to tell.
    }
  };
  return { debug: guard("debug"), info: guard("info"), warn: guard("warn"), error: guard("error") };
}

/** The default: a library does not write to anybody's console unasked. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
