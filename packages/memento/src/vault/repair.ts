export { applyRepair, type ApplyRepairOptions, type RepairResult } from "./repair/apply-repair.ts";
export { planRepair, shownPlan, type RepairOptions } from "./repair/plan-repair.ts";
export type { RepairAction, RepairItem, RepairPlan } from "./repair/repair-plan.ts";
export type { Replica } from "./repair/replica.ts";
