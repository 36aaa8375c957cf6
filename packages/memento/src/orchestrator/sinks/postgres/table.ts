import type { ConnectionOptions } from "node:tls";

import type { Pool } from "pg";

import { makePostgresPool, placeOfPostgresPool } from "../../../store/postgres/pool.ts";
import { checkPlace, readSqlUrl, shownSqlUrl, type SqlUrlForm } from "../../../store/sql/location.ts";
import type { Sink } from "../sink.ts";
import { checkOptions, invalid, type SqlTableOptions } from "../sql/options.ts";
import { sqlTableSink } from "../sql/table-sink.ts";
import { PostgresTableEngine } from "./engine.ts";

const URLS: SqlUrlForm = { schemes: ["postgres", "postgresql"], port: 5432, place: "schema", said: "The sink's URL" };

/** What `postgresTable` takes. */
export interface PostgresTableOptions extends SqlTableOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full`; the same parameters as a store's. */
  readonly url?: string;
  /** A pool of `pg`. It is not closed with the sink. */
  readonly pool?: Pool;
  /** Replaces the URL's password; a function is asked at each new connection, for passwords that expire. */
  readonly password?: string | (() => string | Promise<string>);
  /** The schema that the table is in; the URL's, or the first of the connection's search path that has it. */
  readonly schema?: string;
  /** The schema that holds the sink's books, made where it is missing; the table's by default. */
  readonly booksSchema?: string;
  /** Replaces what the URL says of TLS. */
  readonly tls?: boolean | ConnectionOptions;
}

/**
 * A sink into a table of a PostgreSQL database (13 or newer). Data, token, epoch and what is needed to go back are one
 * transaction in that database; its books are the tables `memento_sink_*`, see books.ts. A commit is acknowledged once the server's log is on
 * its disk.
 *
 * A batch is an array of objects of columns; docs/sinks.md says which values each type takes. A property that is missing is
 * NULL. What a column cannot hold is UNSUPPORTED_VALUE, what the server refuses RECORD_INVALID, each naming the row; nothing of the batch is
 * then written, and the sink stays usable.
 *
 * A row is found again by its key, and known again by a 64-bit check of its stored values. One that somebody else has `changed`
 * or `deleted`, or whose place was `taken` after it was reverted, is named and kept; so is one that another timeline wrote
 * since, even if it wrote the same (as far back as that one's journal reaches). Kept for going back is one row beside each row written:
 * its key, or the image before the change.
 *
 * LOCKED after `lockTimeoutMs`; STORE_UNREACHABLE once a lost connection could not be replaced: whether a write was done is found
 * out by its token. NOT_REVERTIBLE where a constraint or a lost column forbids going back.
 */
export function postgresTable<Row = Readonly<Record<string, unknown>>>(options: PostgresTableOptions): Sink<Row> {
  checkOptions(options);
  const { url, pool: given, booksSchema, lockTimeoutMs = 30_000, idleTimeoutMs = 60_000 } = options;
  const location = url === undefined ? null : readSqlUrl(url, URLS);
  if ((location === null) === (given === undefined)) throw invalid("postgresTable takes a url or a pool");
  if (booksSchema !== undefined) checkPlace("schema", booksSchema, 50);
  const schema = options.schema ?? location?.place ?? null;
  const shown = shownSqlUrl(URLS, location ?? placeOfPostgresPool(given as Pool), schema ?? "").replace(
    /\?schema=$/u,
    "",
  );
  return sqlTableSink<Row>({
    kind: "postgres-table",
    mode: options.mode,
    columns: options.columns === undefined ? null : Object.keys(options.columns),
    describe: () => `postgres table ${options.table} at ${shown}`,
    open: async ({ clock }) => {
      const { tls, password } = options;
      const made = {
        connectionsMax: location?.connectionsMax ?? 1,
        statementTimeoutMs: STATEMENT_TIMEOUT_MS,
        ...(tls === undefined ? {} : { tls }),
        ...(password === undefined ? {} : { password }),
      };
      const pool =
        given ?? (location === null ? null : await makePostgresPool(location, made, "A sink into PostgreSQL"));
      if (pool === null) throw invalid("postgresTable takes a url or a pool");
      const place = { schema, booksSchema: booksSchema ?? null };
      const limits = { lockTimeoutMs, idleTimeoutMs };
      return await PostgresTableEngine.open({
        options,
        pool,
        owned: given === undefined,
        url: shown,
        clock,
        ...place,
        ...limits,
      });
    },
  });
}

/** A sink's statements work on whole batches, and on all that is taken back. */
const STATEMENT_TIMEOUT_MS = 3_600_000;
