import { shortSet } from "../stories/short-set.ts";

shortSet("contexts", {
  seeds: 24,
  happens: ["flushes", "faults", "joins", "deaths", "rejoins", "removals", "remade", "removedUnderWrite", "floors", "decided", "undecided", "sent"],
  caught: [["no-tombstones", 2], ["clock-follows-nobody", 2], ["untouched-on-the-wire", 1], ["removal-spares-what-was-made-anew", 8]],
});
