import type { KitRow } from "../../../packages/memento/src/testing/sink/kit.ts";

/** Far fewer than the records: every key is written again and again. */
const KEYS = 37;

/** The row that record `number` becomes; where rows are found by key, later records replace earlier ones. */
export function campaignRow(number: number, mode: "append" | "upsert"): KitRow {
  const key = mode === "upsert" ? number % KEYS : number;
  return { id: `row ${key}`, amount: number, note: number % 5 === 0 ? null : `of ${number}` };
}

/** The rows that are there after records 1 to `records`, in no order. */
export function campaignRows(records: number, mode: "append" | "upsert"): KitRow[] {
  const rows = new Map<string, KitRow>();
  for (let number = 1; number <= records; number++) {
    const row = campaignRow(number, mode);
    rows.set(row.id, row);
  }
  return [...rows.values()];
}
