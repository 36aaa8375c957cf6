import type { ConnectionOptions } from "node:tls";

import type { Pool } from "mysql2/promise";

import { MementoError } from "../../core/errors.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import { checkPlace, readSqlUrl, shownSqlUrl, type SqlUrlForm } from "../sql/location.ts";
import { SqlStore } from "../sql/store.ts";
import { MysqlEngine } from "./engine.ts";
import { makeMysqlPool, placeOfMysqlPool } from "./pool.ts";

const URLS: SqlUrlForm = { schemes: ["mysql", "mariadb"], port: 3306, place: "prefix" };

/** Where a store's tables are, and how to reach them: a URL, or a pool that is handed in. */
export interface MysqlStoreOptions {
  /** `mysql://user:password@host:port/database?prefix=memento_&sslmode=verify-full`; see docs/stores.md. */
  readonly url?: string;
  /**
   * A pool of `mysql2/promise`. It is not closed with the store, and the settings of its sessions stay as they are:
   * ENGINE_UNSUITABLE for some of those that a store cannot be kept by.
   */
  readonly pool?: Pool;
  /** What the names of the store's tables begin with; the URL's, or `memento_`. */
  readonly prefix?: string;
  /** Replaces what the URL says of TLS; false for none. */
  readonly tls?: false | ConnectionOptions;
  /** Connections at once; 10 by default. */
  readonly connectionsMax?: number;
  /** How long a connection is waited for, in milliseconds, before STORE_UNREACHABLE; 10,000 by default. */
  readonly connectTimeoutMs?: number;
  /** How long one statement may take, in milliseconds, before STORE_UNREACHABLE; 60,000 by default. */
  readonly statementTimeoutMs?: number;
  /** How long another transaction's lock is waited for, in milliseconds (whole seconds count), before LOCKED; 10,000 by default. */
  readonly lockTimeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * Keeps a store in the tables of a MySQL (8.0.17 or newer) or MariaDB (10.6 or newer) database, whose names begin with a
 * prefix; several stores may share a database. `supports.durable` is true where the server waits for its disk at each
 * commit (`innodb_flush_log_at_trx_commit = 1`, and `sync_binlog = 1` where it keeps a binary log). The tables are made by
 * `create`, not by `open`; with them two procedures, by which an append is one round trip, where the account may make those.
 */
export class MysqlStore extends SqlStore {
  /**
   * Connects; the database must be there, the tables need not. ACCESS_DENIED, PLACE_MISSING, STORE_UNREACHABLE,
   * ENGINE_UNSUITABLE, PEER_MISSING.
   */
  static async open(options: MysqlStoreOptions): Promise<MysqlStore> {
    const {
      clock = systemClock,
      random = systemRandom,
      connectTimeoutMs = 10_000,
      statementTimeoutMs = 60_000,
    } = options;
    const location = options.url === undefined ? null : readSqlUrl(options.url, URLS);
    const prefix = checkPlace("prefix of tables", options.prefix ?? location?.place ?? "memento_", 40);
    const pool =
      options.pool ??
      (location === null ? null : await makeMysqlPool(location, options, "A store on MySQL or MariaDB"));
    if (pool === null) throw new MementoError("INVALID_ARGUMENT", "A store on MySQL needs a url or a pool");
    const url = shownSqlUrl(URLS, location ?? placeOfMysqlPool(pool), prefix);
    const owned = options.pool === undefined;
    try {
      const engine = await MysqlEngine.open({
        pool,
        owned,
        prefix,
        url,
        connectTimeoutMs,
        statementTimeoutMs,
        clock,
      });
      return new MysqlStore(engine, random);
    } catch (error) {
      if (owned) await pool.end();
      throw error;
    }
  }

  /** Opens the store that a URL names. */
  static async openUrl(url: string): Promise<MysqlStore> {
    return await MysqlStore.open({ url });
  }
}
