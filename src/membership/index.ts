/**
 * Numbered views of who is in the group, the same for everybody.
 * @module
 */
export { ANNEX, annexOf, LARGEST_ANNEX_BYTES, withAnnex, withoutAnnex } from "./annex.ts";
export { Membership } from "./membership.ts";
export type { MembershipEvents, MembershipPorts } from "./membership.ts";
export { attendance, buildView, diffViews, mustWait, planDeaths, planView, presentMember, presentView } from "./view.ts";
export type { DeathPlan, EvidenceOfMembers, Member, View, ViewChange, ViewPlan } from "./view.ts";
