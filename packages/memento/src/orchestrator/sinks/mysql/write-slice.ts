import { numberOf } from "../../../store/sql/rows.ts";
import type { Slice } from "../sql/engine.ts";
import { keepChecks } from "../sql/revert.ts";
import { RowReader } from "../sql/row-reader.ts";
import { firstRow } from "../sql/session.ts";
import { imageColumns, imageTable } from "../sql/shapes.ts";
import { keySql, matching, prefixed, type Workspace } from "../sql/workspace.ts";
import { quoteName } from "./dialect.ts";
import { mysqlLiteral } from "./literals.ts";

/** Where the rows of an upsert wait, gone with the transaction. */
const BATCH = "memento_batch";

/** About the most characters of one statement: well below the smallest `max_allowed_packet` that servers come with. */
const STATEMENT_CHARACTERS = 1_000_000;

/** Writes a slice: rows are added by multi-row INSERTs of about a megabyte, and what the journal needs of them is read back in the server. */
export async function writeMysqlSlice(work: Workspace, slice: Slice): Promise<number> {
  const staged = slice.mode === "upsert" || work.target.key.length > 1;
  if (staged) await makeBatch(work);
  const from = { row: slice.from };
  while (from.row < slice.to) {
    const part = readPart(work, { ...slice, from: from.row });
    const last = { ...slice, from: from.row, to: part.end };
    if (staged) await stage(work, last, part.rows);
    else await append(work, last, part);
    from.row = part.end;
  }
  if (staged) await storeStaged(work, slice);
  return slice.to - slice.from;
}

/** Rows that go into one statement. */
interface Part {
  /** Each as a list of literals in parentheses, without the closing one. */
  readonly rows: readonly string[];
  /** The literals of the key, where it has one column and is given. */
  readonly keys: readonly string[];
  /** The first row that is not among them. */
  readonly end: number;
}

function readPart({ target, written }: Workspace, { rows, from, to, mode }: Slice): Part {
  const isDrawn = mode === "append" && target.makesKey;
  const reader = new RowReader(written, isDrawn ? [] : target.key, mysqlLiteral, "NULL");
  const keyPlace = written.findIndex(({ name }) => name === target.key[0]);
  const [texts, keys]: [string[], string[]] = [[], []];
  let length = 0;
  let end = from;
  for (; end < to && length < STATEMENT_CHARACTERS; end++) {
    const literals: string[] = [];
    reader.read(rows, end, (literal) => void literals.push(literal));
    if (keyPlace >= 0) keys.push(literals[keyPlace] ?? "NULL");
    const text = literals.join(",");
    length += text.length;
    texts.push(text);
  }
  return { rows: texts, keys, end };
}

function writtenNames({ written }: Workspace): readonly string[] {
  return written.map(({ name }) => quoteName(name));
}

/** Rows whose key the server draws follow each other without gaps: it knows their number before it begins. */
async function append(work: Workspace, { stream, position, from, to }: Slice, { rows, keys }: Part): Promise<void> {
  const { session, dialect, target, shape } = work;
  const [key = ""] = keySql(work);
  await session.run(
    `INSERT INTO ${target.sql} (${writtenNames(work).join(", ")}) VALUES ${rows.map((row) => `(${row})`).join(",")}`,
  );
  let where = `t.${key} IN (${keys.join(",")})`;
  if (target.makesKey) {
    const row = (await firstRow(session, "SELECT LAST_INSERT_ID() AS first, @@auto_increment_increment AS step")) ?? {};
    const [first, step] = [numberOf(row, "first"), numberOf(row, "step")];
    where = `t.${key} BETWEEN ${first} AND ${first + (to - from - 1) * step} AND (t.${key} - ${first}) % ${step} = 0`;
  }
  await session.run(
    `INSERT INTO ${imageTable(dialect, shape)} (stream, position, n, existed, after, ${imageColumns(shape, target.key).join(", ")})
      SELECT ${stream.id}, ${position}, ${from} + ROW_NUMBER() OVER (), 0, ${dialect.check(target.columns, "t")}, t.${key}
      FROM ${target.sql} AS t WHERE ${where}`,
  );
}

async function makeBatch(work: Workspace): Promise<void> {
  const { session, dialect, target, written } = work;
  const declared = written.map(({ declared: type }, index) => {
    const isKey = target.key.includes(written[index]?.name ?? "");
    return `v${index} ${isKey ? type.replace(/ NULL$/u, " NOT NULL") : type}`;
  });
  const keys = batchKeys(work).join(", ");
  await session.run(dialect.dropTemporary(BATCH));
  await session.run(
    `CREATE TEMPORARY TABLE ${BATCH} (n BIGINT NOT NULL PRIMARY KEY, ${declared.join(", ")}, UNIQUE KEY of_key (${keys})) ENGINE=InnoDB`,
  );
}

function batchKeys({ target, written }: Workspace): readonly string[] {
  return target.key.map((name) => `v${written.findIndex((column) => column.name === name)}`);
}

/** Of rows with the same key the last counts in an upsert. */
async function stage({ session, written }: Workspace, { from, mode }: Slice, rows: readonly string[]): Promise<void> {
  const columns = ["n", ...written.map((_, index) => `v${index}`)];
  const values = rows.map((row, index) => `(${from + index},${row})`).join(",");
  const replacing = columns.map((column) => `${column} = VALUES(${column})`).join(", ");
  await session.run(
    `INSERT INTO ${BATCH} (${columns.join(", ")}) VALUES ${values}${mode === "upsert" ? ` ON DUPLICATE KEY UPDATE ${replacing}` : ""}`,
  );
}

/**
 * The rows that are there are locked and their images taken first, then they are updated and the others added. Where somebody
 * else adds one of those meanwhile, the key refuses it, and all is done again row by row.
 */
async function storeStaged(work: Workspace, { stream, position, from, to, mode }: Slice): Promise<void> {
  const { session, dialect, target, shape, written } = work;
  const images = imageTable(dialect, shape);
  const [keys, batch] = [keySql(work), batchKeys(work)];
  const taken = `r.stream = ${stream.id} AND r.position = ${position} AND r.n = b.n`;
  const columns = shape.columns.map((name) => quoteName(name));
  const found =
    mode === "append"
      ? 0
      : await session.run(
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
  const isNew = `FROM ${BATCH} AS b LEFT JOIN ${images} AS r ON ${taken}`;
  await session.run(
    `INSERT INTO ${target.sql} (${writtenNames(work).join(", ")})
      SELECT ${written.map((_, index) => `b.v${index}`).join(", ")} ${isNew} WHERE r.n IS NULL ORDER BY b.n`,
  );
  await session.run(
    `INSERT INTO ${images} (stream, position, n, existed, after, ${imageColumns(shape, target.key).join(", ")})
      SELECT ${stream.id}, ${position}, b.n, 0, ${dialect.check(target.columns, "t")}, ${prefixed("t", keys)}
      ${isNew} JOIN ${target.sql} AS t ON ${matching("t", keys, "b", batch)} WHERE r.n IS NULL`,
  );
  if (found > 0) await keepChecks(work, stream, position, ` AND r.n >= ${from} AND r.n < ${to} AND r.existed = 1`);
}
