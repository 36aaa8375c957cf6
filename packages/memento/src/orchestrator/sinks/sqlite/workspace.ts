import type { SinkDatabase } from "./database.ts";
import { BLOCK_ROWS, type CheckFunctions } from "./functions.ts";
import { imageColumn, type Shape } from "./journal.ts";
import { listNames, numbered, quoteName } from "./names.ts";
import type { Target, TargetColumn } from "./target.ts";

/** What the sink's statements work with. */
export interface Workspace {
  readonly database: SinkDatabase;
  readonly functions: CheckFunctions;
  readonly target: Target;
  /** The columns that rows are given in. */
  readonly written: readonly TargetColumn[];
  /** Lets the event loop turn; throws the signal's reason when the work was stopped. */
  readonly pace: () => Promise<void>;
}

/** Rows that one statement handles before the event loop turns. */
export const SLICE_ROWS = 8_192;

/** The columns that name a row, in each of the tables that know it. */
export interface ItemColumns {
  readonly target: readonly string[];
  /** In `temp.memento_net` and `temp.memento_touched`. */
  readonly net: readonly string[];
  /** In the image table of `shape`. */
  image(shape: Shape): readonly string[];
}

/** The columns that name a row of the target. */
export function itemColumns(target: Target): ItemColumns {
  const { identity, rowid } = target;
  if (identity.kind === "rowid") return { target: [rowid ?? "rowid"], net: ["n"], image: () => ["item"] };
  const names = identity.columns.map(({ name }) => name);
  return {
    target: names.map(quoteName),
    net: numbered("k", names.length),
    image: (shape) => names.map((name) => imageColumn(shape, name)),
  };
}

/** `a.x = b.y AND ...`; the collation and affinity are those of the left side. */
export function matching(
  left: string,
  leftColumns: readonly string[],
  right: string,
  rightColumns: readonly string[],
): string {
  return leftColumns.map((column, index) => `${left}.${column} = ${right}.${rightColumns[index]}`).join(" AND ");
}

/** `t.a, t.b, ...`: what the check of a row of `shape` is made of; all columns of now where one of its own has gone. */
export function checkedColumns(target: Target, shape: Shape): string {
  const now = target.columns.map(({ name }) => name);
  return listNames(shape.columns.every((name) => now.includes(name)) ? shape.columns : now, "t.");
}

/**
 * Makes the temporary tables: `memento_numbers` counts from 0; `memento_batch` takes a batch's rows, and `memento_touched` its
 * keys; `memento_net` is what lies between now and a mark, row by row. In it, `before_*` is where the row's image at the mark
 * is (NULL: there was none), `after` the check of what was last written (NULL: it was taken out), `actual` the check of what
 * stands there now, `same` whether the image is what stands there. `alien` says what somebody else did; `op` what going back
 * does: 0 nothing, 1 take out, 2 put in, 3 replace.
 */
export function createWorkspace(database: SinkDatabase, target: Target, written: readonly TargetColumn[]): void {
  const keys = target.identity.kind === "key" ? target.identity.columns : [];
  const declared = keys.map((key, index) => `k${index} ${key.affinity} COLLATE ${quoteName(key.collation)}`);
  const unique = keys.length === 0 ? "" : `, UNIQUE (${numbered("k", keys.length).join(", ")})`;
  const batch = written.map((column, index) => {
    const key = keys.find(({ name }) => name === column.name);
    return key === undefined ? `v${index}` : `v${index} ${key.affinity} COLLATE ${quoteName(key.collation)}`;
  });
  database.raw.exec(`
    CREATE TEMP TABLE IF NOT EXISTS memento_numbers (i INTEGER PRIMARY KEY);
    INSERT OR IGNORE INTO temp.memento_numbers
      WITH RECURSIVE counted (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM counted WHERE i < ${BLOCK_ROWS - 1})
      SELECT i FROM counted;
    DROP TABLE IF EXISTS temp.memento_batch;
    CREATE TEMP TABLE memento_batch (${["i INTEGER PRIMARY KEY", ...batch].join(", ")});
    DROP TABLE IF EXISTS temp.memento_touched;
    CREATE TEMP TABLE memento_touched (${["n INTEGER PRIMARY KEY", ...declared].join(", ")}${unique});
    DROP TABLE IF EXISTS temp.memento_net;
    CREATE TEMP TABLE memento_net (
      ${["n INTEGER PRIMARY KEY", ...declared].join(", ")},
      before_shape INTEGER, before_row INTEGER, after INTEGER, after_shape INTEGER, actual INTEGER, same INTEGER,
      alien TEXT AS (CASE WHEN actual IS after THEN NULL WHEN after IS NULL THEN 'taken'
                          WHEN actual IS NULL THEN 'deleted' ELSE 'changed' END),
      op INTEGER AS (CASE WHEN before_row IS NULL THEN actual IS NOT NULL WHEN actual IS NULL THEN 2
                          WHEN actual IS after AND same THEN 0 ELSE 3 END)${unique}
    );
  `);
}
