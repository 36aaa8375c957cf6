import type { RepairItem, RepairPlan } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

import { styleOf } from "../terminal/style.ts";
import { repairPlanText } from "./repair-text.ts";

const item = (name: string, action: RepairItem["action"]): RepairItem => ({
  name,
  action,
  problem: `what is wrong with ${name}`,
  mementos: [],
  from: null,
  refused: [],
  nearestGood: {},
  needsConsent: false,
});

function said(...items: readonly RepairItem[]): string {
  const plan = { sound: false, items, before: { damages: items, mementos: 3 }, hash: "abc" } as unknown as RepairPlan;
  const style = styleOf({ colours: false });
  return repairPlanText(plan, { style, url: "sqlite:x", apply: "memento repair", takeOut: "memento copy --to new" });
}

describe("repairPlanText()", () => {
  test("says how to take out what can be read where nothing can be repaired", () => {
    expect(said(item("other:1", "none"))).toMatch(/nothing can be done.*taken out by memento copy --to new$/su);
  });

  test("does not say of what others may mend that nothing can be done", () => {
    const text = said(item("pack:1", "quarantine"), item("other:1", "none"));
    expect(text).toMatch(/other:1 {2}nothing of its own; looked at again after the others/u);
    expect(text).toMatch(/memento repair --apply --plan abc$/u);
  });
});
