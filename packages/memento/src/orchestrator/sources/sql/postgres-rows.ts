import type * as Pg from "pg";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import { loadPeer } from "../../../store/optional-peer.ts";
import { failureOf, isLost, sqlState } from "../../../store/postgres/failure.ts";
import { makePostgresPool, type PostgresPoolOptions } from "../../../store/postgres/pool.ts";
import type { SqlLocation } from "../../../store/sql/location.ts";
import { throwIfCancelled } from "../cancellation.ts";
import type { RowsEngine, Statement } from "./engine.ts";
import { jsonValue, plainSelect, wholeNumber } from "./engine.ts";

const STATEMENT_TIMEOUT_MS = 3_600_000;

/** Dates, times with and without zone, and intervals; of lists of them, the list of texts. */
const TIMES = new Set([1082, 1083, 1114, 1184, 1186, 1266]);
const TIME_LISTS = new Set([1115, 1182, 1183, 1185, 1187, 1270]);
const [BIGINT, TEXT, TEXT_LIST, NUMERIC, NUMERIC_LIST] = [20, 25, 1009, 1700, 1231];
const JSONS = new Set([114, 3802]);
const JSON_LISTS = new Set([199, 3807]);

/** A session that says every value in one form, and writes nothing. */
const SESSION = [
  "SET timezone = 'UTC'",
  "SET datestyle = 'ISO, YMD'",
  "SET intervalstyle = 'postgres'",
  "SET extra_float_digits = 1",
  "SET bytea_output = 'hex'",
  "SET default_transaction_read_only = on",
].join("; ");

/** Connects to a PostgreSQL server for reading alone. `url` is for people, and holds no secret. */
export async function openPostgresRows(
  location: SqlLocation,
  options: Pick<PostgresPoolOptions, "tls" | "password">,
  url: string,
): Promise<RowsEngine> {
  const limits = { connectionsMax: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS };
  const pool = await makePostgresPool(location, { ...options, ...limits }, "A source of rows of PostgreSQL");
  const { types } = await loadPeer<typeof Pg>("pg", "^8.13.0", "A source of rows of PostgreSQL");
  const told = new WeakSet<Pg.PoolClient>();
  const listOf = types.getTypeParser(TEXT_LIST) as (text: string) => unknown;
  const parserOf = (oid: number): unknown => {
    if (oid === BIGINT) return wholeNumber;
    if (JSONS.has(oid)) return (text: string) => jsonValue(text, url);
    if (JSON_LISTS.has(oid)) return (text: string) => jsonValues(listOf(text), url);
    if (TIMES.has(oid) || oid === NUMERIC) return types.getTypeParser(TEXT);
    return types.getTypeParser(TIME_LISTS.has(oid) || oid === NUMERIC_LIST ? TEXT_LIST : oid);
  };
  async function query({ sql, values }: Statement, signal?: AbortSignal): Promise<readonly Record<string, unknown>[]> {
    let count = 0;
    // User texts have no `?` of ours in them: it is written as a character that no SQL text holds.
    const text = sql.replaceAll(MARK, () => `$${(count += 1)}`);
    let client: Pg.PoolClient | null = null;
    let lost = true;
    const end = (): void => {
      client?.release(true);
      client = null;
    };
    try {
      client = await pool.connect();
      if (signal !== undefined) throwIfCancelled(signal, url);
      signal?.addEventListener("abort", end);
      // A connection that ends while it is lent tells its statement so; the event beside that has no more to say.
      if (!told.has(client)) client.on("error", () => undefined);
      if (!told.has(client)) await client.query(SESSION);
      told.add(client);
      const statement = { text, values: [...values], types: { getTypeParser: parserOf } };
      const { rows } = await client.query<Record<string, unknown>>(statement as Pg.QueryConfig);
      lost = false;
      return rows;
    } catch (error) {
      lost = isLost(error);
      throw rowsFailure(error, url);
    } finally {
      signal?.removeEventListener("abort", end);
      client?.release(lost);
    }
  }
  return {
    quote,
    select: async (shape) => await Promise.resolve(plainSelect(quote, shape)),
    selectKey: (column, alias) => `${column}::text AS ${alias}`,
    // Each is had as text; a number that was set by hand says the same.
    isKey: (value) => typeof value === "string" || typeof value === "number",
    bind: (value) => ({ text: MARK, values: [value] }),
    rows: async (statement, keys, signal) =>
      (await query(statement, signal)).map((row) => {
        const key = keys.map((name) => row[name] as string);
        for (const name of keys) delete row[name];
        return { row, key };
      }),
    count: async (statement) => Number((await query(statement))[0]?.["count"]),
    close: async () => await pool.end(),
  };
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const MARK = "\u0001";

/** Lists of JSON texts, of as many dimensions as they have. */
function jsonValues(list: unknown, url: string): unknown {
  if (Array.isArray(list)) return list.map((item) => jsonValues(item, url));
  return typeof list === "string" ? jsonValue(list, url) : null;
}

function rowsFailure(error: unknown, url: string): MementoError {
  if (isMementoError(error)) return error;
  const state = sqlState(error);
  const { message } = error as Error;
  if (/^(?:22|42|0A)/u.test(state) && state !== "42501")
    return new MementoError("INVALID_ARGUMENT", `${url}: ${message}`, { cause: error, details: { sqlState: state } });
  return failureOf(error, url);
}
