import { shortSet } from "../stories/short-set.ts";

shortSet("farm", {
  seeds: 10,
  happens: ["changes", "committed", "rolledBack", "waves", "refusals", "faults", "deaths", "deathsAtDecision", "freezesAtDecision", "slowVotes", "newcomers", "activations"],
  caught: [["no-vote-counted", 1], ["commit-before-stored", 1], ["newcomer-skipped", 3], ["discarded-stays-unpacked", 1]],
});
