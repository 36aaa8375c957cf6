import type { ConnectionOptions } from "node:tls";

import { MementoError } from "../../../core/errors.ts";
import { readSqlUrl, shownSqlUrl, type SqlUrlForm } from "../../../store/sql/location.ts";
import { KeysetSource } from "../keyset/keyset-source.ts";
import type { Source } from "../source.ts";
import type { RowsEngine } from "./engine.ts";
import { openMysqlRows } from "./mysql-rows.ts";
import { openPostgresRows } from "./postgres-rows.ts";
import { RowsReader } from "./rows-reader.ts";
import { openSqliteRows } from "./sqlite-rows.ts";

/** How to read rows of an SQL database. */
export interface SqlRowsOptions {
  /** `sqlite:PATH`, `postgres://user:password@host:port/database` or `mysql://...` (`mariadb://...`), with a store's parameters. */
  readonly url: string;
  /** Replaces the URL's password. */
  readonly password?: string;
  /** Replaces what the URL says of TLS; false for none. */
  readonly tls?: false | ConnectionOptions;
  /** A table, or `schema.table`. */
  readonly table?: string;
  /** In place of a table: a SELECT, which stands in the statement as it is. Its rows must be the same each time. */
  readonly query?: string;
  /** The columns of the records; all by default. */
  readonly columns?: readonly string[];
  /** A condition on the rows, which stands in the statement as it is: `status <> 'draft'`. */
  readonly where?: string;
  /** One or more columns that no two rows have alike, and no row without: the order of the rows, behind the watermark. An index on all of these columns keeps it fast. */
  readonly key: string | readonly string[];
  /** A column that grows with each change of a row, such as `updated_at`: a row that is changed is read again. */
  readonly watermark?: string;
  /**
   * False by default. True: the rows up to an offset are counted before a read goes on from it, and where there are more or fewer than
   * were read, some came late or were removed, and it is SOURCE_MOVED. For tables whose rows are never changed nor removed.
   */
  readonly onlyGrows?: boolean;
  /** `1` by default. */
  readonly schemaVersion?: string;
}

const POSTGRES: SqlUrlForm = {
  schemes: ["postgres", "postgresql"],
  port: 5432,
  place: "schema",
  said: "The source's URL",
};
const MYSQL: SqlUrlForm = { schemes: ["mysql", "mariadb"], port: 3306, place: "prefix", said: "The source's URL" };

/**
 * A source of the rows of a table or query on SQLite, PostgreSQL, MySQL or MariaDB, in the order of a watermark and a key, a page of
 * at least 1,000 at a time. Offsets are `{ after, records, of }`: the exact watermark and key of the last row, and the table and columns that it is a place in. Rows with the same watermark are told
 * apart by the key, so none is left out or read twice; rows in which one of these columns is NULL are left out.
 *
 * A row that comes to stand before the offset later (a lower key, or a transaction that was committed late) is not seen: leave out what
 * is too young by `where`, or have it detected by `onlyGrows`.
 *
 * Records: whole numbers are numbers, or bigints where a number does not hold them; decimals are texts, exactly; dates, times and intervals are
 * the texts of the database, in UTC and with all their digits; bytes are `Uint8Array`; all else is what the client makes of it.
 */
export function sqlRows<Row = Record<string, unknown>>(options: SqlRowsOptions): Source<Row> {
  const { table = null, query = null, columns = null, where = null, key, watermark } = options;
  if ((table === null) === (query === null)) throw invalid("sqlRows takes a table or a query");
  const keys = typeof key === "string" ? [key] : key;
  const order = watermark === undefined ? keys : [watermark, ...keys.filter((column) => column !== watermark)];
  if (keys.length === 0 || new Set(keys).size < keys.length)
    throw invalid("key takes at least one column, and none twice");
  if (columns?.length === 0) throw invalid("columns takes at least one column");
  const { open, shown } = placeOf(options);
  return new KeysetSource<Record<string, unknown>>({
    kind: "sql-rows",
    schemaVersion: options.schemaVersion ?? "1",
    describe: () => `rows of ${table ?? "a query"} in ${shown}`,
    what: table ?? "a query",
    open: async () => new RowsReader(await open(), { table, query, columns, where, order }),
    columns: order,
    moves: watermark !== undefined,
    onlyGrows: options.onlyGrows ?? false,
  }) as Source as Source<Row>;
}

interface RowsPlace {
  readonly open: () => Promise<RowsEngine>;
  /** For people, without secrets. */
  readonly shown: string;
}

function placeOf({ url, password, tls }: SqlRowsOptions): RowsPlace {
  const account = { ...(password === undefined ? {} : { password }), ...(tls === undefined ? {} : { tls }) };
  const scheme = /^[a-z]+(?=:)/u.exec(url)?.[0] ?? "";
  if (scheme === "sqlite") {
    const path = url.slice("sqlite:".length);
    return { open: async () => await openSqliteRows(path), shown: path };
  }
  const isPostgres = POSTGRES.schemes.includes(scheme);
  const form = isPostgres ? POSTGRES : MYSQL;
  if (!form.schemes.includes(scheme))
    throw invalid("The source's URL begins with sqlite:, postgres://, mysql:// or mariadb://");
  const location = readSqlUrl(url, form);
  const shown = shownSqlUrl(form, location, "").replace(/\?[a-z]+=$/u, "");
  const open = isPostgres ? openPostgresRows : openMysqlRows;
  return { open: async () => await open(location, account, shown), shown };
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
