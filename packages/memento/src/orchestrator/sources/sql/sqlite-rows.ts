import process from "node:process";
import type { SQLInputValue } from "node:sqlite";

import { MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { failureOf } from "../../../store/sqlite/failure.ts";
import { openInputFile } from "../file/input-file.ts";
import type { RowsEngine } from "./engine.ts";
import { plainSelect, wholeNumber } from "./engine.ts";

const BUSY_TIMEOUT_MS = 5_000;

/** Opens a SQLite database for reading alone. INPUT_MISSING where there is none. */
export async function openSqliteRows(path: string): Promise<RowsEngine> {
  await (await openInputFile(path)).close();
  const sqlite = process.getBuiltinModule("node:sqlite");
  if (sqlite === undefined) throw new MementoError("NODE_TOO_OLD", "This Node.js has no SQLite of its own");
  const attempt = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (error) {
      throw sqliteFailure(error, path);
    }
  };
  const database = attempt(() => new sqlite.DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS }));
  const all = (sql: string, values: readonly unknown[]): readonly Record<string, unknown>[] =>
    attempt(() => {
      const statement = database.prepare(sql);
      statement.setReadBigInts(true);
      return statement.all(...(values as SQLInputValue[]));
    });
  return {
    quote,
    select: async (shape) => await Promise.resolve(plainSelect(quote, shape)),
    selectKey: (column, alias) => `${column} AS ${alias}`,
    isKey: (value) => parameterOf(value) !== null,
    bind: (value) => ({ text: "?", values: [parameterOf(value)] }),
    rows: async ({ sql, values }, keys) => {
      let columns: readonly string[] | null = null;
      return await Promise.resolve(
        all(sql, values).map((found) => {
          const key = keys.map((name) => keyOf(found[name], path));
          const row: Record<string, unknown> = {};
          for (const name of (columns ??= Object.keys(found).filter((column) => !keys.includes(column)))) {
            const value = found[name];
            row[name] = typeof value === "bigint" ? wholeNumber(value) : value;
          }
          return { row, key };
        }),
      );
    },
    count: async ({ sql, values }) => await Promise.resolve(Number(all(sql, values)[0]?.["count"])),
    close: async () => await Promise.resolve(database.close()),
  };
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** What a JSON number cannot hold stands as a text: whole numbers as `{ "integer": "..." }`, infinities as `{ "real": "..." }`. */
function keyOf(value: unknown, path: string): Json {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : { real: String(value) };
  if (typeof value === "bigint") {
    const whole = wholeNumber(value);
    return typeof whole === "number" ? whole : { integer: String(value) };
  }
  throw new MementoError("INVALID_ARGUMENT", `${path}: rows are read in the order of numbers and texts, not of blobs`);
}

/** Null for what is no value of a key. */
function parameterOf(value: Json): string | number | bigint | null {
  if (typeof value === "string") return value;
  // A whole number is bound as one, so that it is compared exactly.
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  const { integer, real } = (value ?? {}) as { readonly integer?: Json; readonly real?: Json };
  if (typeof real === "string" && /^-?Infinity$/u.test(real)) return Number(real);
  if (typeof integer !== "string" || !/^-?\d{1,19}$/u.test(integer)) return null;
  const whole = BigInt(integer);
  return BigInt.asIntN(64, whole) === whole ? whole : null;
}

function sqliteFailure(error: unknown, path: string): MementoError {
  const { code, errcode, message } = error as Error & { readonly code?: string; readonly errcode?: number };
  if (code === "ERR_SQLITE_ERROR" && errcode === 1)
    return new MementoError("INVALID_ARGUMENT", `${path}: ${message}`, { cause: error, details: { path } });
  return failureOf(error, path);
}
