import type { ConnectionOptions } from "node:tls";

import type * as Mysql from "mysql2";
import type { Pool } from "mysql2/promise";

import { MementoError } from "../../core/errors.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import { loadPeer } from "../optional-peer.ts";
import { checkPlace, readSqlUrl, shownSqlUrl, type SqlLocation, type SqlUrlForm } from "../sql/location.ts";
import { SqlStore } from "../sql/store.ts";
import { MysqlEngine } from "./engine.ts";

const URLS: SqlUrlForm = { schemes: ["mysql", "mariadb"], port: 3306, place: "prefix" };

/** Where a store's tables are, and how to reach them: a URL, or a pool that is handed in. */
export interface MysqlStoreOptions {
  /** `mysql://user:password@host:port/database?prefix=memento_&sslmode=verify-full`; see docs/stores.md. */
  readonly url?: string;
  /** A pool of `mysql2/promise`. It is not closed with the store, and the settings of its sessions stay as they are. */
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
    const pool = options.pool ?? (location === null ? null : await makePool(location, options));
    if (pool === null) throw new MementoError("INVALID_ARGUMENT", "A store on MySQL needs a url or a pool");
    const url = shownSqlUrl(URLS, location ?? placeOf(pool), prefix);
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

function placeOf({ pool }: Pool): Pick<SqlLocation, "host" | "port" | "database"> {
  const { host, port, database } =
    (pool as { config?: { connectionConfig?: Partial<SqlLocation> } }).config?.connectionConfig ?? {};
  return { host: host ?? "localhost", port: port ?? 3306, database: database ?? "" };
}

/** TLS in the client's words: it checks the name only where it is told to. */
function tlsOf({ tls }: SqlLocation): Mysql.SslOptions | undefined {
  if (tls === null) return undefined;
  const { mode, ...options } = tls;
  return { ...(options as Mysql.SslOptions), verifyIdentity: mode === "verify-full" };
}

async function makePool(location: SqlLocation, options: MysqlStoreOptions): Promise<Pool> {
  const { connectTimeoutMs = 10_000, lockTimeoutMs = 10_000 } = options;
  const mysql = await loadPeer<typeof Mysql>("mysql2", "^3.11.0", "A store on MySQL or MariaDB");
  const { host, port, database, user, password } = location;
  const tls = options.tls === undefined ? tlsOf(location) : options.tls === false ? undefined : options.tls;
  const pool = mysql.createPool({
    host,
    port,
    database,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { ssl: tls as Mysql.SslOptions }),
    connectionLimit: options.connectionsMax ?? location.connectionsMax ?? 10,
    connectTimeout: connectTimeoutMs,
    enableKeepAlive: true,
    charset: "utf8mb4",
    supportBigNumbers: true,
  });
  pool.on("connection", (connection) => {
    const seconds = Math.max(1, Math.round(lockTimeoutMs / 1_000));
    connection.query(
      `SET SESSION innodb_lock_wait_timeout = ${seconds}, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'`,
    );
    // A connection that ends while it lies idle is replaced when the next one is asked for.
    connection.on("error", () => undefined);
  });
  return pool.promise();
}
