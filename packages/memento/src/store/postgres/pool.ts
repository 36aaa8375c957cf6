import type { ConnectionOptions } from "node:tls";

import type * as Pg from "pg";

import { loadPeer } from "../optional-peer.ts";
import type { SqlLocation } from "../sql/location.ts";

/** How a pool of connections is made; what is left out has the defaults that a store's options say. */
export interface PostgresPoolOptions {
  /** Replaces what the URL says of TLS. */
  readonly tls?: boolean | ConnectionOptions;
  /** Replaces the URL's password; a function is asked at each new connection, for passwords that expire. */
  readonly password?: string | (() => string | Promise<string>);
  readonly connectionsMax?: number;
  readonly connectTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
}

/** Makes a pool of connections to the server of a URL; `purpose` begins the sentence of PEER_MISSING. */
export async function makePostgresPool(
  location: SqlLocation,
  options: PostgresPoolOptions,
  purpose: string,
): Promise<Pg.Pool> {
  const { connectTimeoutMs = 10_000, statementTimeoutMs = 60_000, lockTimeoutMs = 10_000 } = options;
  const { Pool } = await loadPeer<typeof Pg>("pg", "^8.13.0", purpose);
  const { host, port, database, user } = location;
  const password = options.password ?? location.password;
  const pool = new Pool({
    host,
    port,
    database,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ssl: options.tls ?? tlsOf(location),
    max: options.connectionsMax ?? location.connectionsMax ?? 10,
    application_name: "memento",
    keepAlive: true,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    // Where the server is gone without a word, nothing but the client's own clock ends the wait.
    query_timeout: statementTimeoutMs + Math.min(5_000, statementTimeoutMs),
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
  });
  // An idle connection that ends is replaced by the pool when the next one is asked for.
  pool.on("error", () => undefined);
  return pool;
}

/** Where a pool that was handed in connects to. */
export function placeOfPostgresPool({ options }: Pg.Pool): Pick<SqlLocation, "host" | "port" | "database"> {
  const { host, port, database } = options;
  return { host: host ?? "localhost", port: port ?? 5432, database: database ?? "" };
}

function tlsOf({ tls }: SqlLocation): boolean | ConnectionOptions {
  if (tls === null) return false;
  const { mode, ...options } = tls;
  // The certificate is to be from whom it should be, whatever name it has.
  return mode === "verify-ca" ? { ...options, checkServerIdentity: () => undefined } : options;
}
