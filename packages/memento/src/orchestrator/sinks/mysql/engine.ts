import type { Pool, PoolConnection, ResultSetHeader, RowDataPacket } from "mysql2/promise";

import { sha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { bounded } from "../../../store/mysql/bounded.ts";
import { isLost } from "../../../store/mysql/failure.ts";
import { readServer } from "../../../store/mysql/schema.ts";
import { numberOf, type Row } from "../../../store/sql/rows.ts";
import { lostError } from "../sql/attempts.ts";
import type { SinkDialect } from "../sql/dialect.ts";
import type { Slice, SqlTableEngine } from "../sql/engine.ts";
import { declaredTable, invalid, type SqlTableOptions } from "../sql/options.ts";
import { firstRow, type SinkSession, type SqlValue } from "../sql/session.ts";
import type { Target } from "../sql/target.ts";
import type { Workspace } from "../sql/workspace.ts";
import { readSignature, readTable } from "./catalog.ts";
import { mysqlDialect, quoteName } from "./dialect.ts";
import { sinkFailure } from "./failure.ts";
import { writtenIn } from "./literals.ts";
import { writeMysqlSlice } from "./write-slice.ts";

/** What the engine is made of. */
export interface MysqlTableParts {
  readonly options: SqlTableOptions;
  readonly pool: Pool;
  /** True: the pool ends with the engine. */
  readonly owned: boolean;
  readonly url: string;
  readonly database: string | null;
  readonly booksDatabase: string | null;
  readonly lockTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly clock: Clock;
  /** Called before each new connection is asked for. */
  readonly refresh: () => Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** A statement works on a whole batch, or on all that is taken back. */
const STATEMENT_TIMEOUT_MS = 3_600_000;
/** How long another process is given to make tables, in seconds. */
const MAKING_SECONDS = 60;
const TEMPORARY = ["memento_batch", "memento_steps", "memento_touched", "memento_net"];

/** One table of a MySQL or MariaDB database. */
export class MysqlTableEngine implements SqlTableEngine {
  readonly dialect: SinkDialect;
  readonly clock: Clock;
  readonly #parts: MysqlTableParts;
  readonly #database: string;

  private constructor(parts: MysqlTableParts, database: string, collation: string) {
    this.#parts = parts;
    this.#database = database;
    this.dialect = mysqlDialect(parts.booksDatabase ?? database, collation);
    this.clock = parts.clock;
  }

  /** Connects, looks at the server, and finds out which database the table is in, or will be. */
  static async open(parts: MysqlTableParts): Promise<MysqlTableEngine> {
    const { pool, owned, url } = parts;
    try {
      const connection = await lend(parts);
      try {
        const { collation } = await readServer(connection, url);
        const [rows] = await connection.query<RowDataPacket[]>("SELECT DATABASE() AS current_name");
        const database = parts.database ?? (rows[0]?.["current_name"] as string | null);
        if (database === null) throw invalid("mysqlTable needs a database: the pool has none");
        return new MysqlTableEngine(parts, database, collation);
      } catch (error) {
        throw sinkFailure(error, url);
      } finally {
        connection.release();
      }
    } catch (error) {
      if (owned) await pool.end();
      throw error;
    }
  }

  async making<T>(work: (session: SinkSession) => Promise<T>): Promise<T> {
    const { booksDatabase, url } = this.#parts;
    const books = booksDatabase ?? this.#database;
    const lock = `memento sink ${sha256(books).slice(0, 40)}`;
    return await this.#use(async (session) => {
      const row = await firstRow(session, "SELECT GET_LOCK(?, ?) AS locked", lock, MAKING_SECONDS);
      if (Number(row?.["locked"]) !== 1)
        throw new MementoError("LOCKED", `${url}: another process is making the tables`);
      try {
        if (booksDatabase !== null) await session.run(`CREATE DATABASE IF NOT EXISTS ${quoteName(books)}`);
        return await work(session);
      } finally {
        await session.all("SELECT RELEASE_LOCK(?)", lock);
      }
    });
  }

  async transaction<T>(work: (session: SinkSession) => Promise<T>): Promise<T> {
    return await this.#use(async (session) => {
      // After a lock was waited for, a statement must see what others have committed meanwhile.
      await session.run("SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
      await session.run("START TRANSACTION");
      let result: T;
      try {
        result = await work(session);
      } catch (error) {
        if (!isGone(error)) await session.run("ROLLBACK");
        throw error;
      }
      await session.run("COMMIT");
      return result;
    });
  }

  async readTarget(session: SinkSession): Promise<Target | null> {
    return await readTable(session, this.#database, this.#parts.options);
  }

  async createTarget(session: SinkSession): Promise<void> {
    const { options } = this.#parts;
    const declared = declaredTable(options, quoteName, "BIGINT AUTO_INCREMENT PRIMARY KEY");
    const table = `${quoteName(this.#database)}.${quoteName(options.table)}`;
    await session.run(`CREATE TABLE ${table} (${declared}) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4`);
  }

  async signature(session: SinkSession): Promise<string> {
    return await readSignature(session, this.#database, this.#parts.options.table);
  }

  async writeSlice(work: Workspace, slice: Slice): Promise<number> {
    return await writeMysqlSlice(work, slice);
  }

  async close(): Promise<void> {
    const { pool, owned } = this.#parts;
    if (owned) await pool.end();
  }

  /** Work on one connection, whose settings are afterwards what they were. */
  async #use<T>(work: (session: SinkSession) => Promise<T>): Promise<T> {
    const connection = await lend(this.#parts);
    let lost = true;
    try {
      const session = this.#session(connection);
      const before = (await firstRow(session, SETTINGS)) ?? {};
      await session.run(this.#settings());
      try {
        const result = await work(session);
        lost = false;
        return result;
      } catch (error) {
        lost = isGone(error);
        throw error;
      } finally {
        if (!lost) await restore(session, before);
      }
    } catch (error) {
      throw sinkFailure(error, this.#parts.url);
    } finally {
      if (lost) connection.destroy();
      else connection.release();
    }
  }

  /** Checks are taken of rows as texts, whose form these settings fix; an idle transaction is ended by the server. */
  #settings(): string {
    const { lockTimeoutMs, idleTimeoutMs } = this.#parts;
    const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));
    return `SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO',
      innodb_lock_wait_timeout = ${seconds(lockTimeoutMs)}, wait_timeout = ${seconds(idleTimeoutMs)}`;
  }

  #session(connection: PoolConnection): SinkSession {
    const { clock, url } = this.#parts;
    const query = async <Result extends RowDataPacket[] | ResultSetHeader>(
      sql: string,
      values: readonly SqlValue[],
    ): Promise<Result> => {
      try {
        const answer = connection.query<Result>(writtenIn(sql, values));
        const [result] = await bounded(answer, { clock, url, timeoutMs: STATEMENT_TIMEOUT_MS }, () =>
          connection.destroy(),
        );
        return result;
      } catch (error) {
        throw sinkFailure(error, url);
      }
    };
    return {
      all: async (sql, ...values) => await query<RowDataPacket[]>(sql, values),
      run: async (sql, ...values) => (await query<ResultSetHeader>(sql, values)).affectedRows,
    };
  }
}

const SETTINGS =
  "SELECT @@time_zone AS time_zone, @@sql_mode AS sql_mode, @@innodb_lock_wait_timeout AS lock_seconds, @@wait_timeout AS idle_seconds";

async function restore(session: SinkSession, before: Row): Promise<void> {
  for (const name of TEMPORARY) await session.run(`DROP TEMPORARY TABLE IF EXISTS ${name}`);
  await session.run(
    `SET SESSION time_zone = ?, sql_mode = ?, innodb_lock_wait_timeout = ${numberOf(before, "lock_seconds")}, wait_timeout = ${numberOf(before, "idle_seconds")}`,
    String(before["time_zone"]),
    String(before["sql_mode"]),
  );
}

/** True where the connection cannot be used any more. */
function isGone(error: unknown): boolean {
  return error instanceof MementoError ? error.details["lost"] === true : isLost(error);
}

/** A connection of the pool; one that comes too late goes back to it. */
async function lend({ pool, clock, url, refresh }: MysqlTableParts): Promise<PoolConnection> {
  try {
    await refresh();
    const coming = pool.getConnection();
    return await bounded(coming, { clock, url, timeoutMs: CONNECT_TIMEOUT_MS }, () => {
      coming.then(
        (connection) => connection.release(),
        () => undefined,
      );
    });
  } catch (error) {
    if (error instanceof Error && /Pool is closed/u.test(error.message))
      throw new MementoError("STORE_CLOSED", `${url} is closed`, { cause: error });
    const failure = sinkFailure(error, url);
    throw failure.code === "STORE_UNREACHABLE" ? lostError(failure) : failure;
  }
}
