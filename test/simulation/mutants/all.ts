import { channelMutants } from "./channel.ts";
import { electionMutants } from "./election.ts";
import { evidenceMutants } from "./evidence.ts";
import { handoverMutants } from "./handover.ts";
import { kernelMutants } from "./kernel.ts";
import { membershipMutants } from "./membership.ts";
import type { Mutant } from "./mutant.ts";
import { presenceMutants } from "./presence.ts";
import { storeMutants } from "./store.ts";

/** All mutants, in the order in which they are run. */
export const MUTANTS: readonly Mutant[] = [...kernelMutants, ...presenceMutants, ...evidenceMutants, ...electionMutants, ...handoverMutants, ...membershipMutants, ...storeMutants, ...channelMutants];
