import { TribuneError } from "../kernel/index.ts";
import { SCHEMA_VERSION } from "./limits.ts";
import type { InstalledSchema } from "./provider.ts";

/**
 * What opening a store does about the schema that it found. Throws where a person has to act. A newer schema is no trouble as long as it says that it works with this
 * code: so a group moves to another version by migrating first and restarting its nodes one after the other then.
 */
export function schemaStep(installed: InstalledSchema, options: { readonly label: string; readonly createSchema: boolean }): "ready" | "migrate" {
  const { version, worksWith } = installed;
  if (version >= SCHEMA_VERSION) {
    if (worksWith <= SCHEMA_VERSION) return "ready";
    throw new TribuneError("SCHEMA_TOO_NEW", `the schema in ${options.label} has version ${version}, which works with code of version ${worksWith} or newer; this code has ${SCHEMA_VERSION}`, {
      about: options.label,
      next: "upgrade tribune in this program",
    });
  }
  if (options.createSchema) return "migrate";
  if (version === 0) {
    throw new TribuneError("SCHEMA_MISSING", `there is no schema in ${options.label}`, { about: options.label, next: "run 'tribune migrate', or allow createSchema" });
  }
  throw new TribuneError("SCHEMA_OUTDATED", `the schema in ${options.label} has version ${version}; this code needs ${SCHEMA_VERSION}`, {
    about: options.label,
    next: "run 'tribune migrate'",
  });
}
