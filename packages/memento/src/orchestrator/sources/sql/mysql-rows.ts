import { isUtf8 } from "node:buffer";

import type { RowDataPacket, TypeCastField } from "mysql2";
import type { PoolConnection } from "mysql2/promise";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { errorNumber, failureOf, isLost } from "../../../store/mysql/failure.ts";
import { makeMysqlPool, type MysqlPoolOptions } from "../../../store/mysql/pool.ts";
import type { SqlLocation } from "../../../store/sql/location.ts";
import { throwIfCancelled } from "../cancellation.ts";
import type { RowsEngine, Statement } from "./engine.ts";
import { wholeNumber } from "./engine.ts";

const WHOLE = new Set(["TINY", "SHORT", "INT24", "LONG", "LONGLONG", "YEAR"]);
const DECIMALS = new Set(["DECIMAL", "NEWDECIMAL"]);
const FLOATS = new Set(["FLOAT", "DOUBLE"]);
const TIMES = new Set(["DATE", "NEWDATE", "TIME", "DATETIME", "TIMESTAMP"]);

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
  async function query({ sql, values }: Statement, signal?: AbortSignal): Promise<readonly RowDataPacket[]> {
    const typeCast = (field: TypeCastField, next: () => unknown): unknown =>
      field.name.startsWith("memento_key_") ? keyOf(field, url) : valueOf(field, next);
    let connection: PoolConnection | null = null;
    const end = (): void => {
      connection?.destroy();
      connection = null;
    };
    try {
      connection = await pool.getConnection();
      if (signal !== undefined) throwIfCancelled(signal, url);
      signal?.addEventListener("abort", end);
      const [rows] = await connection.query<RowDataPacket[]>({ sql, values: [...values] as never, typeCast });
      return rows;
    } catch (error) {
      if (isLost(error)) end();
      throw rowsFailure(error, url);
    } finally {
      signal?.removeEventListener("abort", end);
      connection?.release();
    }
  }
  return {
    quote: (name) => `\`${name.replaceAll("`", "``")}\``,
    selectKey: (column, alias) => `${column} AS ${alias}`,
    isKey: (value) => literal(value) !== null,
    bind: (value) => ({ text: literal(value) ?? "NULL", values: [] }),
    rows: async (statement, keys, signal) =>
      (await query(statement, signal)).map((found) => {
        const row: Record<string, unknown> = { ...found };
        const key = keys.map((name) => row[name] as Json);
        for (const name of keys) delete row[name];
        return { row, key };
      }),
    count: async (statement) => Number((await query(statement))[0]?.["count"]),
    close: async () => await pool.end(),
  };
}

/** Numbers stand as `{ "number": "..." }`, so that they are compared as numbers. */
function keyOf(field: TypeCastField, url: string): Json {
  const name = JSON.stringify(field.name);
  if (FLOATS.has(field.type))
    throw new MementoError(
      "INVALID_ARGUMENT",
      `${url}: rows cannot be read in the order of floating-point numbers (${name})`,
    );
  const bytes = field.buffer();
  if (bytes === null) return null;
  if (!isUtf8(bytes))
    throw new MementoError(
      "INVALID_ARGUMENT",
      `${url}: rows are read in the order of numbers, times and texts, not of bytes (${name})`,
    );
  const text = bytes.toString("utf8");
  return WHOLE.has(field.type) || DECIMALS.has(field.type) ? { number: text } : text;
}

function valueOf(field: TypeCastField, next: () => unknown): unknown {
  if (WHOLE.has(field.type)) {
    const text = field.string();
    return text === null ? null : wholeNumber(text);
  }
  if (DECIMALS.has(field.type) || TIMES.has(field.type)) return field.string();
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
