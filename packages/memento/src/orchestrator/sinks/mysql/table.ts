import type { ConnectionOptions } from "node:tls";

import type { Pool } from "mysql2/promise";

import { makeMysqlPool, placeOfMysqlPool } from "../../../store/mysql/pool.ts";
import { checkPlace, readSqlUrl, shownSqlUrl, type SqlUrlForm } from "../../../store/sql/location.ts";
import type { Sink } from "../sink.ts";
import { checkOptions, invalid, type SqlTableOptions } from "../sql/options.ts";
import { sqlTableSink } from "../sql/table-sink.ts";
import { MysqlTableEngine } from "./engine.ts";

const URLS: SqlUrlForm = { schemes: ["mysql", "mariadb"], port: 3306, place: "prefix", said: "The sink's URL" };

/** What `mysqlTable` takes. */
export interface MysqlTableOptions extends SqlTableOptions {
  /** `mysql://user:password@host:port/database?sslmode=verify-full`, or `mariadb://`. */
  readonly url?: string;
  /** A pool of `mysql2/promise`, with the character set utf8mb4. It is not closed with the sink, and its sessions' settings are restored after each use. */
  readonly pool?: Pool;
  /** Replaces the URL's password; a function is asked before each new connection, for passwords that expire. */
  readonly password?: string | (() => string | Promise<string>);
  /** The database that holds the sink's books, made where it is missing; the table's by default. */
  readonly booksDatabase?: string;
  /** Replaces what the URL says of TLS; false for none. */
  readonly tls?: false | ConnectionOptions;
}

/**
 * A sink into a table of a MySQL (8.0.17 or newer) or MariaDB (10.6 or newer) database that InnoDB keeps. Data, token, epoch and
 * what is needed to go back are one transaction in that database; its books are the tables `memento_sink_*`, see books.ts.
 *
 * Rows, what is refused, how rows are known again and what is kept for going back: as `postgresTable` says; docs/sinks.md says which values
 * each type takes.
 *
 * LOCKED after `lockTimeoutMs` (whole seconds count); STORE_UNREACHABLE once a lost connection could not be replaced: whether a write was done
 * is found out by its token. NOT_REVERTIBLE where a constraint or a lost column forbids going back.
 */
export function mysqlTable<Row = Readonly<Record<string, unknown>>>(options: MysqlTableOptions): Sink<Row> {
  checkOptions(options);
  const { url, pool: given, password, tls, booksDatabase, lockTimeoutMs = 30_000, idleTimeoutMs = 60_000 } = options;
  const location = url === undefined ? null : readSqlUrl(url, URLS);
  if ((location === null) === (given === undefined)) throw invalid("mysqlTable takes a url or a pool");
  if (booksDatabase !== undefined) checkPlace("database", booksDatabase, 60);
  const shown = shownSqlUrl(URLS, location ?? placeOfMysqlPool(given as Pool), "").replace(/\?prefix=$/u, "");
  return sqlTableSink<Row>({
    kind: "mysql-table",
    mode: options.mode,
    columns: options.columns === undefined ? null : Object.keys(options.columns),
    describe: () => `mysql table ${options.table} at ${shown}`,
    open: async ({ clock }) => {
      const made = {
        connectionsMax: location?.connectionsMax ?? 1,
        ...(tls === undefined ? {} : { tls }),
        ...(typeof password === "string" ? { password } : {}),
      };
      const pool =
        given ?? (location === null ? null : await makeMysqlPool(location, made, "A sink into MySQL or MariaDB"));
      if (pool === null) throw invalid("mysqlTable takes a url or a pool");
      return await MysqlTableEngine.open({
        options,
        pool,
        owned: given === undefined,
        url: shown,
        clock,
        database: location?.database ?? null,
        booksDatabase: booksDatabase ?? null,
        lockTimeoutMs,
        idleTimeoutMs,
        refresh: async () => {
          if (typeof password === "function") setPassword(pool, await password());
        },
      });
    },
  });
}

/** The client asks for no password by itself: the pool's next connection takes this one. */
function setPassword({ pool }: Pool, password: string): void {
  const { config } = pool as { config?: { connectionConfig?: { password?: string } } };
  if (config?.connectionConfig !== undefined) config.connectionConfig.password = password;
}
