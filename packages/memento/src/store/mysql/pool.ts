import type { ConnectionOptions } from "node:tls";

import type * as Mysql from "mysql2";
import type { Pool } from "mysql2/promise";

import { loadPeer } from "../optional-peer.ts";
import type { SqlLocation } from "../sql/location.ts";

/** How a pool of connections is made; what is left out has the defaults that a store's options say. */
export interface MysqlPoolOptions {
  /** Replaces what the URL says of TLS; false for none. */
  readonly tls?: false | ConnectionOptions;
  /** Replaces the URL's password. */
  readonly password?: string;
  readonly connectionsMax?: number;
  readonly connectTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
}

/**
 * What a server may have otherwise for all sessions: each statement is a transaction of its own, the end of one begins no
 * other, and no answer or change is cut short or refused for its size.
 */
const SESSION =
  "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, completion_type = 0, sql_safe_updates = 0, sql_big_selects = 1, sql_select_limit = 18446744073709551615";

/** Makes a pool of connections to the server of a URL; `purpose` begins the sentence of PEER_MISSING. */
export async function makeMysqlPool(location: SqlLocation, options: MysqlPoolOptions, purpose: string): Promise<Pool> {
  const { connectTimeoutMs = 10_000, lockTimeoutMs = 10_000 } = options;
  const mysql = await loadPeer<typeof Mysql>("mysql2", "^3.11.0", purpose);
  const { host, port, database, user } = location;
  const password = options.password ?? location.password;
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
    connection.query(`SET SESSION innodb_lock_wait_timeout = ${seconds}, ${SESSION}`);
    // The variable has another name on each engine. Nobody is to read what may still be rolled back.
    connection.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    // A connection that ends while it lies idle is replaced when the next one is asked for.
    connection.on("error", () => undefined);
  });
  return pool.promise();
}

/** Where a pool that was handed in connects to. */
export function placeOfMysqlPool({ pool }: Pool): Pick<SqlLocation, "host" | "port" | "database"> {
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
