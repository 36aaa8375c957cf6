import { MementoError } from "../../../core/errors.ts";
import { numberOf } from "../../../store/sql/rows.ts";
import { wayBack } from "../way-back.ts";
import { type Claim, readClaims } from "./claims.ts";
import { type Entry, readEntries } from "./journal.ts";
import { firstRow } from "./session.ts";
import { type Shape, imageColumns, imageTable } from "./shapes.ts";
import type { Stream } from "./stream.ts";
import type { TargetColumn } from "./target.ts";
import { keySql, matching, netKeys, prefixed, type Workspace } from "./workspace.ts";

/** The temporary tables, in the order in which they are made. */
const STEPS = "memento_steps";
const TOUCHED = "memento_touched";
/** The rows between now and a mark; see `findNet`. */
export const NET = "memento_net";

/** What lies between now and a mark. */
export interface Net {
  /** What going back does, and would do with force. */
  readonly gentle: NetCounts;
  readonly forced: NetCounts;
  /** Rows that others changed. */
  readonly foreign: number;
  /** The shapes that images at the mark have. */
  readonly kept: readonly Shape[];
}

/** How many rows go out, and how many come back. */
export interface NetCounts {
  readonly removed: number;
  readonly restored: number;
}

/**
 * Finds every row that the positions after `mark` touched, in `memento_net`: where its image at the mark is (`first_*`, its check
 * NULL where there was none) and the one that our writes found after somebody else's last one in between (`before_*`), the
 * check of what was last written there (`after`) and of what stands there now (`actual`), what somebody else did to it
 * (`alien`), and what going back does: `op`, and `forced` with force: 0 nothing, 1 take out, 2 put in, 3 replace. Changes no
 * data. With `hold` the rows stay as they are until the transaction ends. Works in the database alone: memory stays flat.
 */
export async function findNet(work: Workspace, stream: Stream, mark: number, hold: boolean): Promise<Net> {
  const { session, dialect, target } = work;
  const way = wayBack(await readEntries(work, stream.id, mark), mark, stream.position);
  if (way === null)
    throw new MementoError("DAMAGED", `The journal of the sink into ${target.name} lacks a position after ${mark}`);
  const claims = way[0] === undefined ? [] : await readClaims(work, stream, way[0].commit);
  await collectSteps(work, [...way, ...claims]);
  for (const statement of dialect.temporary(TOUCHED, touchedQuery(work))) await session.run(statement);
  if (hold) {
    const on = matching("t", keySql(work), "m", netKeys(work));
    await session.all(dialect.lockJoined(target.sql, `${TOUCHED} AS m`, on));
  }
  for (const statement of dialect.temporary(NET, netQuery(work, way))) await session.run(statement);
  const row = (await firstRow(session, COUNTS)) ?? {};
  return {
    gentle: { removed: numberOf(row, "removed"), restored: numberOf(row, "restored") },
    forced: { removed: numberOf(row, "forced_removed"), restored: numberOf(row, "forced_restored") },
    foreign: numberOf(row, "aliens"),
    kept: [...new Set(way.map(({ shape }) => shape))].map((id) => shapeOf(work, id)),
  };
}

/** Forgets what `findNet` found. */
export async function clearNet({ session, dialect }: Workspace): Promise<void> {
  for (const name of [STEPS, TOUCHED, NET]) await session.run(dialect.dropTemporary(name));
}

const COUNTS = `SELECT count(CASE WHEN op = 1 THEN 1 END) AS removed, count(CASE WHEN op IN (2, 3) THEN 1 END) AS restored,
  count(CASE WHEN forced = 1 THEN 1 END) AS forced_removed, count(CASE WHEN forced IN (2, 3) THEN 1 END) AS forced_restored,
  count(alien) AS aliens FROM ${NET}`;

/** The columns that the checks of a shape's rows are made of, now: all, where one of its own has gone. */
export function checkedColumns({ target: { columns } }: Workspace, shape: Shape): readonly TargetColumn[] {
  const found = shape.columns.flatMap((name) => columns.find((column) => column.name === name) ?? []);
  return found.length === shape.columns.length ? found : columns;
}

function shapeOf({ shapes, target }: Workspace, id: number): Shape {
  const shape = shapes.get(id);
  if (shape !== undefined) return shape;
  throw new MementoError("DAMAGED", `The journal of the sink into ${target.name} lacks the columns ${id}`);
}

/** Puts what each entry and claim did to each row into `memento_steps`. */
async function collectSteps(work: Workspace, entries: readonly (Entry | Claim)[]): Promise<void> {
  const { session, dialect, target, shape } = work;
  const own = imageColumns(shape, target.key);
  const empty = stepsQuery(work, { shape, keys: own, from: "", where: "1 = 0", commit: 0, isClaim: false });
  for (const statement of dialect.temporary(STEPS, empty)) await session.run(statement);
  for (const entry of entries) {
    work.pace();
    const entryShape = shapeOf(work, entry.shape);
    const where = `r.stream = ${entry.stream} AND r.position = ${entry.position}`;
    const facts = { shape: entryShape, where, commit: entry.commit, isClaim: "key" in entry };
    const theirs = "key" in entry ? entry.key : target.key;
    const sameKey = JSON.stringify(theirs) === JSON.stringify(target.key);
    // Where they find their rows by other columns, a row is known only as long as it is there.
    const images = imageColumns(entryShape, theirs);
    const quoted = theirs.map((name) => dialect.quote(name));
    const from = sameKey ? "" : ` JOIN ${target.sql} AS t ON ${matching("t", quoted, "r", images)}`;
    const keys = sameKey ? images : null;
    await session.run(`INSERT INTO ${STEPS} ${stepsQuery(work, { ...facts, keys, from })}`);
  }
}

function stepsQuery(
  work: Workspace,
  facts: {
    readonly shape: Shape;
    /** The key in the image table; null: in the target. */
    readonly keys: readonly string[] | null;
    readonly from: string;
    readonly where: string;
    readonly commit: number;
    readonly isClaim: boolean;
  },
): string {
  const { dialect } = work;
  const { shape, keys, from, where, commit, isClaim } = facts;
  const names = netKeys(work);
  const values = keys === null ? keySql(work).map((name) => `t.${name}`) : keys.map((name) => `r.${name}`);
  const check = dialect.check(imageChecked(work, shape), "r");
  return `SELECT ${values.map((value, index) => `${value} AS ${names[index] ?? ""}`).join(", ")},
      CAST(${commit} AS DECIMAL(20)) AS commit_number, ${isClaim ? 1 : 0} AS claim, ${shape.id} AS shape, r.position AS position, r.n AS n,
      CASE WHEN r.existed = 1 THEN ${check} END AS image, r.after AS after
    FROM ${imageTable(dialect, shape)} AS r${from} WHERE ${where}`;
}

/** The columns of a shape's image table, as the check of an image is made of them. */
function imageChecked({ target }: Workspace, shape: Shape): readonly TargetColumn[] {
  return shape.columns.flatMap((name, index) => {
    const column = target.columns.find((each) => each.name === name);
    return column === undefined ? [] : [{ ...column, name: `c${index}` }];
  });
}

/**
 * One row for each key that our own steps touched; what happened to it in between is folded, in the order of commits. A large batch may have
 * stored a row of its own again, in a later slice.
 */
function touchedQuery(work: Workspace): string {
  const { dialect } = work;
  const keys = netKeys(work).join(", ");
  const order = `PARTITION BY ${keys} ORDER BY commit_number`;
  const last = `PARTITION BY ${keys} ORDER BY commit_number DESC, n DESC`;
  const at = (condition: string, column: string): string => `max(CASE WHEN ${condition} THEN ${column} END)`;
  const image = (name: string, condition: string): string =>
    `${at(condition, "shape")} AS ${name}_shape, ${at(condition, "position")} AS ${name}_position,
     ${at(condition, "n")} AS ${name}_n, ${at(condition, "image")} AS ${name}_check`;
  // An entry goes on from where the one before had left the row: nobody else has been there in between. Checks over
  // different columns cannot be compared; the row is then taken for what it was left as.
  const goesOn = `commit_before = commit_number OR claims = claims_before AND (${dialect.same("after_before", "image")}
    OR (after_before IS NOT NULL AND image IS NOT NULL AND shape_before <> shape))`;
  const counted = `SELECT s.*, sum(claim) OVER (${order}) AS claims, sum(claim) OVER (PARTITION BY ${keys}) AS claims_in_all FROM ${STEPS} AS s`;
  const own = `SELECT a.*, row_number() OVER (${order}, n) AS nth, row_number() OVER (${last}) AS nth_last, lag(after) OVER (${order}, n) AS after_before,
      lag(shape) OVER (${order}, n) AS shape_before, lag(claims) OVER (${order}, n) AS claims_before, lag(commit_number) OVER (${order}, n) AS commit_before
    FROM (${counted}) AS a WHERE claim = 0`;
  const marked = `SELECT b.*, CASE WHEN nth = 1 OR NOT (${goesOn}) THEN nth END AS start FROM (${own}) AS b`;
  const folded = `SELECT c.*, max(start) OVER (PARTITION BY ${keys}) AS last_start, count(start) OVER (PARTITION BY ${keys}) AS starts FROM (${marked}) AS c`;
  return `SELECT ${keys}, ${image("first", "nth = 1")}, ${image("before", "nth = last_start")},
      ${at("nth_last = 1", "after")} AS after, ${at("nth_last = 1", "shape")} AS after_shape,
      CASE WHEN max(starts) > 1 THEN 1 ELSE 0 END AS broken,
      CASE WHEN max(claims_in_all) > ${at("nth_last = 1", "claims")} THEN 1 ELSE 0 END AS claimed,
      min(commit_number) AS first_commit
    FROM (${folded}) AS d GROUP BY ${keys}`;
}

/** What going back to an image of a net's row does. */
function operation(image: "before" | "first"): string {
  return `CASE WHEN ${image}_check IS NULL THEN CASE WHEN actual IS NULL THEN 0 ELSE 1 END WHEN actual IS NULL THEN 2
    WHEN actual = ${image}_check AND ${image}_shape = after_shape THEN 0 ELSE 3 END`;
}

function netQuery(work: Workspace, way: readonly Entry[]): string {
  const { dialect, target } = work;
  const keys = keySql(work);
  const checks = [...new Set(way.map(({ shape }) => shape))].map(
    (id) => `WHEN ${id} THEN ${dialect.check(checkedColumns(work, shapeOf(work, id)), "t")}`,
  );
  const actual =
    checks.length === 0
      ? "m.after"
      : `CASE WHEN t.${keys[0] ?? ""} IS NOT NULL THEN CASE m.after_shape ${checks.join(" ")} END END`;
  const compared = `SELECT m.*, ${actual} AS actual
    FROM ${TOUCHED} AS m LEFT JOIN ${target.sql} AS t ON ${matching("t", keys, "m", netKeys(work))}`;
  const known = `SELECT a.*, CASE WHEN ${dialect.same("actual", "after")} AND (actual IS NULL OR claimed = 0) THEN 1 ELSE 0 END AS ours
    FROM (${compared}) AS a`;
  return `SELECT ${prefixed("b", netKeys(work))}, first_shape, first_position, first_n, before_shape, before_position, before_n, actual,
      row_number() OVER (ORDER BY first_commit, first_n, ${prefixed("b", netKeys(work))}) AS id,
      CASE WHEN ours = 0 THEN CASE WHEN after IS NULL THEN 'taken' WHEN actual IS NULL THEN 'deleted' ELSE 'changed' END
        WHEN broken = 1 AND NOT (${dialect.same("first_check", "before_check")}) THEN
          CASE WHEN before_check IS NULL THEN 'deleted' ELSE 'changed' END END AS alien,
      CASE WHEN ours = 1 THEN ${operation("before")} ELSE 0 END AS op,
      ${operation("first")} AS forced
    FROM (${known}) AS b`;
}
