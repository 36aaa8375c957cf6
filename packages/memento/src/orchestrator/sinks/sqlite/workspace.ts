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

/** What going back to an image of a net's row does: 0 nothing, 1 take out, 2 put in, 3 replace, 4 replace at another rowid. */
function operation(image: "before" | "first"): string {
  return `CASE WHEN ${image}_row IS NULL THEN actual IS NOT NULL WHEN actual IS NULL THEN 2
    WHEN here IS NOT ${image}_item THEN 4 WHEN actual IS ${image}_check AND ${image}_shape = after_shape THEN 0 ELSE 3 END`;
}

/** `actual` is what was last written, and nobody else has written it again. */
const AS_WRITTEN = "actual IS after AND (actual IS NULL OR claimed = 0)";

/**
 * The rows between now and a mark. `first_*` is where the image of the row at the mark is, its check (NULL: there was none),
 * and its rowid where that is hidden; `here` is the hidden rowid of what stands there now; `after` the check of what was last written (NULL: it was taken out); `actual` the check of what stands there now.
 * `broken` says that somebody else wrote the row between two of our writes: `before_*` is then the image that the later ones
 * found, else the same as `first_*`. `claimed` says that another timeline wrote the row after our last write.
 *
 * `alien` is what somebody else did to it; `op` what going back does, and `forced` what it does with force.
 */
const NET_COLUMNS = `
  first_shape INTEGER, first_row INTEGER, first_check INTEGER, first_item INTEGER,
  before_shape INTEGER, before_row INTEGER, before_check INTEGER, before_item INTEGER,
  after INTEGER, after_shape INTEGER, actual INTEGER, here INTEGER, broken INTEGER DEFAULT 0, claimed INTEGER DEFAULT 0,
  alien TEXT AS (
    CASE WHEN NOT (${AS_WRITTEN}) THEN
      CASE WHEN after IS NULL THEN 'taken' WHEN actual IS NULL THEN 'deleted' ELSE 'changed' END
    WHEN broken AND first_check IS NOT before_check THEN
      CASE WHEN before_check IS NULL THEN 'deleted' ELSE 'changed' END
    END),
  op INTEGER AS (CASE WHEN ${AS_WRITTEN} THEN ${operation("before")} ELSE 0 END),
  forced INTEGER AS (${operation("first")})`;

/**
 * Makes the temporary tables: `memento_numbers` counts from 0; `memento_batch` takes a batch's rows, and `memento_touched` its
 * keys; `memento_net` is what lies between now and a mark.
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
      ${NET_COLUMNS}${unique}
    );
  `);
}
