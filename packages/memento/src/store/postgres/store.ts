import type { ConnectionOptions } from "node:tls";

import type * as Pg from "pg";

import { MementoError } from "../../core/errors.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import { checkPlace, readSqlUrl, shownSqlUrl, type SqlUrlForm } from "../sql/location.ts";
import { SqlStore } from "../sql/store.ts";
import { PostgresEngine } from "./engine.ts";
import { makePostgresPool, placeOfPostgresPool } from "./pool.ts";

const URLS: SqlUrlForm = { schemes: ["postgres", "postgresql"], port: 5432, place: "schema" };

/** Where a store's tables are, and how to reach them: a URL, or a pool that is handed in. */
export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database?schema=memento&sslmode=verify-full`; see docs/stores.md. */
  readonly url?: string;
  /** A pool of `pg`. It is not closed with the store, and its own timeouts are in force. */
  readonly pool?: Pg.Pool;
  /** The schema that holds the store and nothing else; the URL's, or `memento`. */
  readonly schema?: string;
  /** Replaces what the URL says of TLS. */
  readonly tls?: boolean | ConnectionOptions;
  /** Connections at once; 10 by default. */
  readonly connectionsMax?: number;
  /** How long a connection is waited for, in milliseconds, before STORE_UNREACHABLE; 10,000 by default. */
  readonly connectTimeoutMs?: number;
  /** How long one statement may take, in milliseconds, before STORE_UNREACHABLE; 60,000 by default. */
  readonly statementTimeoutMs?: number;
  /** How long another transaction's lock is waited for, in milliseconds, before LOCKED; 10,000 by default. */
  readonly lockTimeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * Keeps a store in one schema of a PostgreSQL database (13 or newer). A commit is acknowledged once the server's log is
 * on its disk: `synchronous_commit` is turned on for it where it is off, and `supports.durable` is false on a server that
 * runs with `fsync = off`. The schema and its tables are made by `create`, not by `open`.
 */
export class PostgresStore extends SqlStore {
  /**
   * Connects; the schema need not be there, the database must. ACCESS_DENIED, PLACE_MISSING, STORE_UNREACHABLE,
   * ENGINE_UNSUITABLE, PEER_MISSING.
   */
  static async open(options: PostgresStoreOptions): Promise<PostgresStore> {
    const { clock = systemClock, random = systemRandom } = options;
    const location = options.url === undefined ? null : readSqlUrl(options.url, URLS);
    const schema = checkPlace("schema", options.schema ?? location?.place ?? "memento", 50);
    const pool =
      options.pool ?? (location === null ? null : await makePostgresPool(location, options, "A store on PostgreSQL"));
    if (pool === null) throw new MementoError("INVALID_ARGUMENT", "A store on PostgreSQL needs a url or a pool");
    const shown = shownSqlUrl(URLS, location ?? placeOfPostgresPool(pool), schema);
    const owned = options.pool === undefined;
    try {
      const engine = await PostgresEngine.open({ pool, owned, schema, url: shown, clock });
      return new PostgresStore(engine, random);
    } catch (error) {
      if (owned) await pool.end();
      throw error;
    }
  }

  /** Opens the store that a URL names. */
  static async openUrl(url: string): Promise<PostgresStore> {
    return await PostgresStore.open({ url });
  }
}
