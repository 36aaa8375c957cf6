import type { FieldPacket, RowDataPacket, TypeCastField } from "mysql2";
import type { PoolConnection } from "mysql2/promise";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { errorNumber, failureOf, isLost } from "../../../store/mysql/failure.ts";
import { makeMysqlPool, type MysqlPoolOptions } from "../../../store/mysql/pool.ts";
import type { SqlLocation } from "../../../store/sql/location.ts";
import { throwIfCancelled } from "../cancellation.ts";
import type { RowsEngine, Statement } from "./engine.ts";
import { jsonValue, plainSelect, wholeNumber } from "./engine.ts";

const WHOLE = new Set(["TINY", "SHORT", "INT24", "LONG", "LONGLONG", "YEAR"]);
const DECIMALS = new Set(["DECIMAL", "NEWDECIMAL"]);
const TIMES = new Set(["DATE", "NEWDATE", "TIME", "DATETIME", "TIMESTAMP"]);

/** Types by the numbers of the protocol, where a column is described before it is read. */
const FLOAT = 4;
/** Numbers that are exact, dates and times: their order is that of their values. */
const ORDERED = new Set([0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 246]);
/** Texts, and what is sent as one. */
const TEXTS = new Set([252, 253, 254]);
/** The character set of bytes; the flags of ENUM and SET, which are sorted by numbers and compared as texts. */
const [BYTES, LISTED] = [63, 256 | 2048];

/** No such table, column or function, or no SQL at all. */
const STATEMENT_ERRORS = new Set([1054, 1060, 1064, 1146, 1149, 1305]);

/** Connects to a MySQL or MariaDB server for reading alone. `url` is for people, and holds no secret. */
export async function openMysqlRows(
  location: SqlLocation,
  options: Pick<MysqlPoolOptions, "tls" | "password">,
  url: string,
): Promise<RowsEngine> {
  const pool = await makeMysqlPool(location, { ...options, connectionsMax: 1 }, "A source of rows of MySQL");
  pool.pool.on("connection", (connection) => {
    connection.query("SET SESSION time_zone = '+00:00'");
    connection.query("SET SESSION TRANSACTION READ ONLY");
  });
  async function query({ sql, values }: Statement, signal?: AbortSignal): Promise<[RowDataPacket[], FieldPacket[]]> {
    const typeCast = (field: TypeCastField, next: () => unknown): unknown =>
      field.name.startsWith("memento_key_") ? keyOf(field) : valueOf(field, next, url);
    let connection: PoolConnection | null = null;
    const end = (): void => {
      connection?.destroy();
      connection = null;
    };
    try {
      connection = await pool.getConnection();
      if (signal !== undefined) throwIfCancelled(signal, url);
      signal?.addEventListener("abort", end);
      return await connection.query<RowDataPacket[]>({ sql, values: [...values] as never, typeCast });
    } catch (error) {
      if (isLost(error)) end();
      throw rowsFailure(error, url);
    } finally {
      signal?.removeEventListener("abort", end);
      connection?.release();
    }
  }
  return {
    quote,
    select: async (shape, signal) => {
      const { place, order } = shape;
      const plain = plainSelect(quote, shape);
      const ordered = order.map((name) => `m.${quote(name)}`);
      // The server describes the columns without reading a row.
      const sql = `SELECT ${[plain, ...ordered].join(", ")} FROM ${place} AS m LIMIT 0`;
      const [, fields] = await query({ sql, values: [] }, signal);
      for (const field of fields.splice(-order.length)) demandOrder(field, url);
      // As text, a FLOAT has but six digits.
      return fields.some(({ columnType }) => columnType === FLOAT) ? fields.map(exactly).join(", ") : plain;
    },
    selectKey: (column, alias) => `${column} AS ${alias}`,
    isKey: (value) => literal(value) !== null,
    bind: (value) => ({ text: literal(value) ?? "NULL", values: [] }),
    rows: async (statement, keys, signal) =>
      (await query(statement, signal))[0].map((found) => {
        const row: Record<string, unknown> = { ...found };
        const key = keys.map((name) => row[name] as Json);
        for (const name of keys) delete row[name];
        return { row, key };
      }),
    count: async (statement) => Number((await query(statement))[0][0]?.["count"]),
    close: async () => await pool.end(),
  };
}

const quote = (name: string): string => `\`${name.replaceAll("`", "``")}\``;

function exactly({ name, columnType }: FieldPacket): string {
  const column = `m.${quote(name)}`;
  return columnType === FLOAT ? `CAST(${column} AS DOUBLE) AS ${quote(name)}` : column;
}

/** INVALID_ARGUMENT for a column whose values are not sorted as they are compared, or not had exactly. */
function demandOrder({ name, columnType, characterSet, flags }: FieldPacket, url: string): void {
  if (columnType !== undefined && ORDERED.has(columnType)) return;
  const isText = columnType !== undefined && TEXTS.has(columnType) && characterSet !== BYTES;
  if (isText && (Number(flags) & LISTED) === 0) return;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `${url}: rows are read in the order of whole numbers, decimals, times and texts, not of the column ${name}`,
    {
      hint: "Floating-point numbers, ENUM, SET, BIT, JSON and bytes cannot order rows: choose another key or watermark.",
    },
  );
}

/** Numbers stand as `{ "number": "..." }`, so that they are compared as numbers. */
function keyOf(field: TypeCastField): Json {
  const text = field.string();
  if (text === null) return null;
  return WHOLE.has(field.type) || DECIMALS.has(field.type) ? { number: text } : text;
}

function valueOf(field: TypeCastField, next: () => unknown, url: string): unknown {
  if (WHOLE.has(field.type)) {
    const text = field.string();
    return text === null ? null : wholeNumber(text);
  }
  if (DECIMALS.has(field.type) || TIMES.has(field.type)) return field.string();
  if (field.type === "JSON") {
    const text = field.string();
    return text === null ? null : jsonValue(text, url);
  }
  return next();
}

/** Values stand in the text, because a comparison goes by the type of the literal; strings as hexadecimal UTF-8, whatever the session's modes are. Null for what is no value of a key. */
function literal(value: Json): string | null {
  if (typeof value === "string") return `_utf8mb4 X'${Buffer.from(value, "utf8").toString("hex")}'`;
  // A number that was set by hand says the same.
  const { number = value } = (value ?? {}) as { readonly number?: Json };
  const text = typeof number === "number" ? String(number) : number;
  return typeof text === "string" && /^-?\d+(?:\.\d+)?$/u.test(text) ? text : null;
}

function rowsFailure(error: unknown, url: string): MementoError {
  if (isMementoError(error)) return error;
  const number = errorNumber(error);
  if (!STATEMENT_ERRORS.has(number)) return failureOf(error, url);
  const { message } = error as Error;
  return new MementoError("INVALID_ARGUMENT", `${url}: ${message}`, { cause: error, details: { errno: number } });
}
