import { runningSha256 } from "../../../core/digest.ts";
import type { ForeignChange } from "../sink.ts";
import { forEachSlice } from "./net.ts";
import { itemColumns, type Workspace } from "./workspace.ts";

/** The most foreign changes that are named one by one. */
const FOREIGN_NAMED_MAX = 100;

/** What others did to the rows of a net. */
export interface ForeignChanges {
  /** The first 100, in the net's order. */
  readonly named: readonly ForeignChange[];
  readonly total: number;
  /** Over all of them: what was done to which row, and the check of what stands there now. */
  readonly digest: string;
}

/** Reads the foreign changes of the net that was found last. */
export async function readForeign(work: Workspace): Promise<ForeignChanges> {
  const items = itemColumns(work.target).net;
  const rows = work.database.prepare(
    `SELECT ${items.join(", ")}, alien, actual FROM temp.memento_net
     WHERE n BETWEEN ? AND ? AND alien IS NOT NULL ORDER BY n`,
  );
  const named: ForeignChange[] = [];
  const digest = runningSha256();
  let total = 0;
  await forEachSlice(work, (from, to) => {
    for (const row of rows.iterate(from, to)) {
      const item = nameItem(
        work,
        items.map((name) => row[name]),
      );
      const change = row["alien"] as ForeignChange["change"];
      digest.update(`${item} ${change} ${String(row["actual"])}\n`);
      total += 1;
      if (named.length < FOREIGN_NAMED_MAX) named.push({ item, change });
    }
  });
  return { named, total, digest: digest.current() };
}

/** `flights[rowid=17]`, `flights[id="x"]`. */
function nameItem(work: Workspace, values: readonly unknown[]): string {
  const { identity, table } = work.target;
  const labels = identity.kind === "rowid" ? [identity.label] : identity.columns.map(({ name }) => name);
  return `${table}[${labels.map((label, index) => `${label}=${nameValue(values[index])}`).join(", ")}]`;
}

function nameValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  return String(value);
}
