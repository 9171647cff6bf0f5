/**
 * Numbered views of who is in the group, the same for everybody.
 * @module
 */
export { Membership } from "./membership.ts";
export type { MembershipEvents, MembershipPorts } from "./membership.ts";
export { buildView, diffViews, mustWait, planDeaths, planView, presentView } from "./view.ts";
export type { DeathPlan, Member, View, ViewChange, ViewPlan } from "./view.ts";
