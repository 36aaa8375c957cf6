import { runningSha256 } from "../../../core/digest.ts";
import { numberOf } from "../../../store/sql/rows.ts";
import type { ForeignChange } from "../sink.ts";
import { NET } from "./net.ts";
import { nameItem } from "./target.ts";
import { netKeys, type Workspace } from "./workspace.ts";

/** The most foreign changes that are named one by one. */
const FOREIGN_NAMED_MAX = 100;
/** Rows that are read at once. */
const PAGE_ROWS = 5_000;

/** What others did to the rows of a net. */
export interface ForeignChanges {
  /** The first 100, in the net's order. */
  readonly named: readonly ForeignChange[];
  /** Over all of them: what was done to which row, and the check of what stands there now. */
  readonly digest: string;
}

/** Reads the foreign changes of the net that was found last. */
export async function readForeign(work: Workspace): Promise<ForeignChanges> {
  const { session, dialect, target } = work;
  const columns = target.key.map((name) => target.columns.find((column) => column.name === name) ?? null);
  const texts = netKeys(work).map((key, index) => `${dialect.text(key, columns[index] ?? null)} AS ${key}_text`);
  const named: ForeignChange[] = [];
  const digest = runningSha256();
  for (let after = 0; ;) {
    const rows = await session.all(
      `SELECT id, alien, ${dialect.checkText("actual")} AS actual_text, ${texts.join(", ")} FROM ${NET}
        WHERE id > ${after} AND alien IS NOT NULL ORDER BY id LIMIT ${PAGE_ROWS}`,
    );
    for (const row of rows) {
      const item = nameItem(
        target,
        netKeys(work).map((key) => String(row[`${key}_text`])),
      );
      const change = row["alien"] as ForeignChange["change"];
      digest.update(`${item} ${change} ${String(row["actual_text"])}\n`);
      if (named.length < FOREIGN_NAMED_MAX) named.push({ item, change });
      after = numberOf(row, "id");
    }
    if (rows.length < PAGE_ROWS) return { named, digest: digest.current() };
    work.pace();
  }
}
