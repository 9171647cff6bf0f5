import { TribuneError } from "../kernel/index.ts";
import { SCHEMA_VERSION } from "./limits.ts";

/** What opening a store does about the schema version it found. Throws where a person has to act. */
export function schemaStep(installed: number, options: { readonly label: string; readonly createSchema: boolean }): "ready" | "migrate" {
  if (installed === SCHEMA_VERSION) return "ready";
  if (installed > SCHEMA_VERSION) {
    throw new TribuneError("SCHEMA_TOO_NEW", `the schema in ${options.label} has version ${installed}; this code knows ${SCHEMA_VERSION}`, {
      about: options.label,
      next: "upgrade tribune in this program",
    });
  }
  if (options.createSchema) return "migrate";
  if (installed === 0) {
    throw new TribuneError("SCHEMA_MISSING", `there is no schema in ${options.label}`, { about: options.label, next: "run 'tribune migrate', or allow createSchema" });
  }
  throw new TribuneError("SCHEMA_OUTDATED", `the schema in ${options.label} has version ${installed}; this code needs ${SCHEMA_VERSION}`, {
    about: options.label,
    next: "run 'tribune migrate'",
  });
}
