import fc from "fast-check";
import { FIRST_SEED } from "./seed.ts";

fc.configureGlobal({ seed: FIRST_SEED });

/** fast-check, drawing the same cases for the same sources. */
export { fc };
