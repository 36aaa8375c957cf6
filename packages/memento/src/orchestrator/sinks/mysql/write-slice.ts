import { MementoError } from "../../../core/errors.ts";
import type { Slice } from "../sql/engine.ts";
import { keepChecks } from "../sql/revert.ts";
import { RowReader } from "../sql/row-reader.ts";
import { firstRow } from "../sql/session.ts";
import { imageColumns, imageTable } from "../sql/shapes.ts";
import { otherKey, type Target, type TargetColumn } from "../sql/target.ts";
import { keySql, matching, prefixed, type Workspace } from "../sql/workspace.ts";
import { quoteName } from "./dialect.ts";
import { mysqlLiteral } from "./literals.ts";

/** Where the rows of an upsert wait, and the keys of rows that were added; gone with the transaction. */
const BATCH = "memento_batch";

/** About the most characters of one statement of several rows: well below the smallest `max_allowed_packet` that servers come with. */
const STATEMENT_CHARACTERS = 1_000_000;

/** Writes a slice: rows are sent by multi-row INSERTs of about a megabyte, and what the journal needs of them is read back in the server. */
export async function writeMysqlSlice(work: Workspace, slice: Slice): Promise<number> {
  const waiting = waitingColumns(work, slice);
  if (waiting.length > 0) await makeBatch(work, slice, waiting);
  for (const from = { row: slice.from }; from.row < slice.to;) {
    const part = readPart(work, { ...slice, from: from.row }, waiting);
    const some = { ...slice, from: from.row, to: part.end };
    if (waiting.length > 0) await stage(work, some, waiting, part.waiting);
    if (slice.mode === "append") await add(work, some, waiting, part.rows);
    from.row = part.end;
  }
  if (slice.mode === "upsert") await storeStaged(work, slice, waiting);
  else if (waiting.length > 0) await journalAdded(work, slice, waiting, slice.to - slice.from);
  return slice.to - slice.from;
}

/**
 * The columns that wait in the batch's table: all in an upsert, the key of rows that are added, and none where the server draws it. It has the
 * types of the target: a key may be stored as another value than the one that was sent, and is looked for as it is stored.
 */
function waitingColumns({ target, written }: Workspace, { mode }: Slice): readonly TargetColumn[] {
  if (mode === "upsert") return written;
  return target.makesKey ? [] : written.filter(({ name }) => target.key.includes(name));
}

/** Rows that go into one statement. */
interface Part {
  /** Each as a list of literals. */
  readonly rows: readonly string[];
  /** The same of the columns that wait. */
  readonly waiting: readonly string[];
  /** The first row that is not among them. */
  readonly end: number;
}

function readPart(
  { target, written }: Workspace,
  { rows, from, to, mode }: Slice,
  waiting: readonly TargetColumn[],
): Part {
  const isDrawn = mode === "append" && target.makesKey;
  const reader = new RowReader(written, isDrawn ? [] : target.key, mysqlLiteral, "NULL");
  const places = waiting.map((column) => written.indexOf(column));
  const [texts, waitingTexts]: [string[], string[]] = [[], []];
  let length = 0;
  let end = from;
  for (; end < to; end++) {
    const literals: string[] = [];
    reader.read(rows, end, (literal) => void literals.push(literal));
    const text = literals.join(",");
    length += text.length;
    if (length > STATEMENT_CHARACTERS && end > from) break;
    texts.push(text);
    waitingTexts.push(places.map((place) => literals[place]).join(","));
  }
  return { rows: texts, waiting: waitingTexts, end };
}

function writtenNames({ written }: Workspace): readonly string[] {
  return written.map(({ name }) => quoteName(name));
}

/** Where a key is there already, the server refuses its row; a row that it takes is then stored under another key. */
async function add(
  work: Workspace,
  slice: Slice,
  waiting: readonly TargetColumn[],
  rows: readonly string[],
): Promise<void> {
  const { session, target } = work;
  const keysMatch = matching("t", keySql(work), "b", batchKeys(target, waiting));
  const taken =
    waiting.length === 0
      ? undefined
      : await firstRow(
          session,
          `SELECT 1 AS taken FROM ${BATCH} AS b JOIN ${target.sql} AS t ON ${keysMatch} WHERE b.n >= ${slice.from} LIMIT 1`,
        );
  await sendRows(
    work,
    slice.from,
    `INSERT INTO ${target.sql} (${writtenNames(work).join(", ")}) VALUES ${rows.map((row) => `(${row})`).join(",")}`,
  );
  if (taken !== undefined) throw otherKey(target);
  if (waiting.length === 0) await journalDrawn(work, slice);
}

/** Rows whose key the server draws follow each other without gaps: it knows their number before it begins. */
async function journalDrawn(work: Workspace, { stream, position, from, to }: Slice): Promise<void> {
  const { session, dialect, target, shape } = work;
  const [key = ""] = keySql(work);
  // As text: it may be past the whole numbers of a double.
  const row = await firstRow(
    session,
    "SELECT CAST(LAST_INSERT_ID() AS CHAR) AS first, CAST(@@auto_increment_increment AS CHAR) AS step",
  );
  const [first, step] = [BigInt(String(row?.["first"])), BigInt(String(row?.["step"]))];
  await session.run(
    `INSERT INTO ${imageTable(dialect, shape)} (stream, position, n, existed, after, ${imageColumns(shape, target.key).join(", ")})
      SELECT ${stream.id}, ${position}, ${from} + ROW_NUMBER() OVER (), 0, ${dialect.check(target.columns, "t")}, t.${key}
      FROM ${target.sql} AS t
      WHERE t.${key} BETWEEN ${first} AND ${first + BigInt(to - from - 1) * step} AND (t.${key} - ${first}) % ${step} = 0`,
  );
}

async function makeBatch(
  { session, dialect, target }: Workspace,
  { mode }: Slice,
  waiting: readonly TargetColumn[],
): Promise<void> {
  const declared = waiting.map(
    ({ name, declared: type }, index) =>
      `v${index} ${target.key.includes(name) ? type.replace(/ NULL$/u, " NOT NULL") : type}`,
  );
  // Of two rows that are added with the same key the target refuses the second.
  const ofKey = mode === "upsert" ? `, UNIQUE KEY of_key (${batchKeys(target, waiting).join(", ")})` : "";
  await session.run(dialect.dropTemporary(BATCH));
  await session.run(
    `CREATE TEMPORARY TABLE ${BATCH} (n BIGINT NOT NULL PRIMARY KEY, ${declared.join(", ")}${ofKey}) ENGINE=InnoDB`,
  );
}

function batchKeys({ key }: Target, waiting: readonly TargetColumn[]): readonly string[] {
  return key.map((name) => `v${waiting.findIndex((column) => column.name === name)}`);
}

/** Of rows with the same key the last counts in an upsert. */
async function stage(
  work: Workspace,
  { from, mode }: Slice,
  waiting: readonly TargetColumn[],
  rows: readonly string[],
): Promise<void> {
  const columns = ["n", ...waiting.map((_, index) => `v${index}`)];
  const values = rows.map((row, index) => `(${from + index},${row})`).join(",");
  const replacing = columns.map((column) => `${column} = VALUES(${column})`).join(", ");
  await sendRows(
    work,
    from,
    `INSERT INTO ${BATCH} (${columns.join(", ")}) VALUES ${values}${mode === "upsert" ? ` ON DUPLICATE KEY UPDATE ${replacing}` : ""}`,
  );
}

/** The server ends the connection of a client that sends it too much: RECORD_INVALID names the row `first`, which is then the only one. */
async function sendRows({ session }: Workspace, first: number, statement: string): Promise<void> {
  if (statement.length > STATEMENT_CHARACTERS) {
    const row = await firstRow(session, "SELECT @@max_allowed_packet AS bytes");
    const [taken, most] = [Buffer.byteLength(statement), Number(row?.["bytes"])];
    if (taken >= most)
      throw new MementoError(
        "RECORD_INVALID",
        `rows[${first}] was refused: its statement has ${taken} bytes, and the server's max_allowed_packet is ${most}`,
        { details: { item: `rows[${first}]` } },
      );
  }
  await session.run(statement);
}

/** Records `added` rows, which are found by the keys that wait: those for which the rest of the query has a row. */
async function journalAdded(
  work: Workspace,
  { stream, position }: Slice,
  waiting: readonly TargetColumn[],
  added: number,
  rest = "",
): Promise<void> {
  const { session, dialect, target, shape } = work;
  const keys = keySql(work);
  const found = await session.run(
    `INSERT INTO ${imageTable(dialect, shape)} (stream, position, n, existed, after, ${imageColumns(shape, target.key).join(", ")})
      SELECT ${stream.id}, ${position}, b.n, 0, ${dialect.check(target.columns, "t")}, ${prefixed("t", keys)}
      FROM ${BATCH} AS b JOIN ${target.sql} AS t ON ${matching("t", keys, "b", batchKeys(target, waiting))}${rest}`,
  );
  if (found < added) throw otherKey(target);
}

/**
 * The rows that are there are locked and their images taken first, then they are updated and the others added. Where somebody
 * else adds one of those meanwhile, the key refuses it, and all is done again row by row.
 */
async function storeStaged(work: Workspace, slice: Slice, waiting: readonly TargetColumn[]): Promise<void> {
  const { session, dialect, target, shape, written } = work;
  const { stream, position, from, to } = slice;
  const images = imageTable(dialect, shape);
  const [keys, batch] = [keySql(work), batchKeys(target, waiting)];
  const taken = `r.stream = ${stream.id} AND r.position = ${position} AND r.n = b.n`;
  const columns = shape.columns.map((name) => quoteName(name));
  const found = await session.run(
    `INSERT INTO ${images} (stream, position, n, existed, ${imageColumns(shape).join(", ")})
      SELECT ${stream.id}, ${position}, b.n, 1, ${prefixed("t", columns)}
      FROM ${BATCH} AS b JOIN ${target.sql} AS t ON ${matching("t", keys, "b", batch)} FOR UPDATE`,
  );
  const others = written.flatMap(({ name }, index) =>
    target.key.includes(name) ? [] : [[quoteName(name), `b.v${index}`] as const],
  );
  if (found > 0 && others.length > 0) {
    await session.run(
      dialect.update({
        table: target.sql,
        alias: "t",
        set: others,
        joins: [
          { from: `${BATCH} AS b`, on: matching("t", keys, "b", batch) },
          { from: `${images} AS r`, on: taken },
        ],
        where: "1 = 1",
      }),
    );
  }
  const isNew = ` LEFT JOIN ${images} AS r ON ${taken} WHERE r.n IS NULL`;
  const added = await session.run(
    `INSERT INTO ${target.sql} (${writtenNames(work).join(", ")})
      SELECT ${written.map((_, index) => `b.v${index}`).join(", ")} FROM ${BATCH} AS b${isNew} ORDER BY b.n`,
  );
  await journalAdded(work, slice, waiting, added, isNew);
  if (found > 0) await keepChecks(work, stream, position, ` AND r.n >= ${from} AND r.n < ${to} AND r.existed = 1`);
}
