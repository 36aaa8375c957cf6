import type { Pool, PoolConnection, RowDataPacket } from "mysql2/promise";

import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { keyRetired } from "../admit.ts";
import { repeatRolledBack, retryLost } from "../sql/attempts.ts";
import { numberOf } from "../sql/rows.ts";
import type { SqlEngine, SqlSession, SqlSnapshot } from "../sql/session.ts";
import type { SqlStatements } from "../sql/statements.ts";
import type { AppendBatch, StoreSupports } from "../store.ts";
import { appendCall } from "./append-call.ts";
import { bounded, type Bound } from "./bounded.ts";
import { mysqlStatements, quotedName } from "./dialect.ts";
import { failureOf, isLost } from "./failure.ts";
import { hasProcedures, migrate, readServer, schemaVersion, type ServerFacts } from "./schema.ts";
import { MysqlSession } from "./session.ts";

/** What an engine is made of. */
export interface MysqlEngineOptions {
  readonly pool: Pool;
  /** True: the pool ends with the engine. */
  readonly owned: boolean;
  readonly prefix: string;
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly clock: Clock;
}

/** What the procedures of an append answer. */
const ELSEWHERE = 0;
const RETIRED = 2;

/** MySQL or MariaDB behind a pool of connections. */
export class MysqlEngine implements SqlEngine {
  readonly url: string;
  readonly supports: StoreSupports;
  readonly partBytesMax: number;
  readonly #options: MysqlEngineOptions;
  readonly #server: ServerFacts;
  readonly #statements: SqlStatements;
  #hasProcedures = false;

  private constructor(options: MysqlEngineOptions, server: ServerFacts) {
    this.#options = options;
    this.#server = server;
    this.#statements = mysqlStatements(options.prefix);
    this.url = options.url;
    this.partBytesMax = server.partBytesMax;
    this.supports = { durable: server.durable, sharedBy: "network", bodyBytesMax: 2 ** 31 - 1, reclaimsSpace: true };
  }

  /** Connects and looks at the server; changes nothing there. */
  static async open(options: MysqlEngineOptions): Promise<MysqlEngine> {
    const { url, clock, statementTimeoutMs: timeoutMs } = options;
    try {
      const connection = await lend(options);
      try {
        const server = readServer(connection, url);
        return new MysqlEngine(options, await bounded(server, { clock, timeoutMs, url }, () => connection.destroy()));
      } finally {
        connection.release();
      }
    } catch (error) {
      throw failureOf(error, url);
    }
  }

  async isMade(): Promise<boolean> {
    const { prefix } = this.#options;
    return await retryLost(
      async () =>
        await this.#use(async (connection) => {
          if ((await schemaVersion(connection, prefix, this.url)) === 0) return false;
          this.#hasProcedures = await hasProcedures(connection, prefix);
          return true;
        }),
    );
  }

  async make(first: (session: SqlSession) => Promise<void>): Promise<void> {
    const { prefix } = this.#options;
    await this.#use(async (connection) => {
      const { collation } = this.#server;
      await migrate(connection, { prefix, url: this.url, collation }, async () => {
        await this.#say(connection, "START TRANSACTION");
        await first(this.#session(connection));
        await this.#say(connection, "COMMIT");
      });
    });
  }

  async read<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return await retryLost(async () => await this.single(work));
  }

  async single<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return await this.#use(async (connection) => await work(this.#session(connection)));
  }

  async write<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return await repeatRolledBack(
      this.#options.clock,
      async () => await this.#transact(async (connection) => await work(this.#session(connection))),
    );
  }

  async snapshot(): Promise<SqlSnapshot> {
    return await retryLost(async () => {
      const connection = await this.#connect();
      let held = true;
      const release = async (): Promise<void> => {
        if (!held) return;
        held = false;
        // A connection that was lost is not used again.
        try {
          await this.#say(connection, "ROLLBACK");
          connection.release();
        } catch {
          connection.destroy();
        }
      };
      try {
        await this.#say(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
        await this.#say(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
        return { session: this.#session(connection), release };
      } catch (error) {
        await release();
        throw failureOf(error, this.url);
      }
    });
  }

  async appendAll(batch: AppendBatch, dataKey: string | null): Promise<boolean> {
    if (!this.#hasProcedures) return false;
    const call = appendCall(batch, dataKey, this.#options.prefix);
    if (call === null) return false;
    // A deadlock leaves nothing behind: the look at each record comes next.
    const done = await this.single(async (session) => {
      const [rows] = await session.all(call.sql, ...call.values);
      const [row] = rows as unknown as readonly [{ readonly done: number }];
      return row.done;
    }).catch((error: unknown) => {
      if (error instanceof MementoError && error.details["repeat"] === true) return ELSEWHERE;
      throw error;
    });
    if (done === RETIRED && dataKey !== null) throw keyRetired(dataKey);
    return done !== ELSEWHERE;
  }

  async settle(): Promise<number> {
    const gate = quotedName(this.#options.prefix, "gate");
    return await this.write(async (session) => {
      await session.all(`SELECT one FROM ${gate} WHERE one = 1 FOR UPDATE`);
      return numberOf((await session.get(session.statements.lastCommit)) ?? {}, "id");
    });
  }

  /** Writes the tables of the log anew without what is free in them; gives by how many bytes their files are smaller. */
  async compact(): Promise<number> {
    return await this.#use(async (connection) => {
      const before = await this.#tableBytes(connection);
      const tables = ["commit_log", "body_part"].map((name) => quotedName(this.#options.prefix, name));
      await connection.query(`OPTIMIZE TABLE ${tables.join(", ")}`);
      return Math.max(0, before - (await this.#tableBytes(connection)));
    });
  }

  async close(): Promise<void> {
    const { pool, owned } = this.#options;
    if (owned) await endPool(pool, this.#options);
  }

  #bound(): Bound {
    const { clock, statementTimeoutMs } = this.#options;
    return { clock, url: this.url, timeoutMs: statementTimeoutMs };
  }

  async #say(connection: PoolConnection, sql: string): Promise<void> {
    await bounded(connection.query(sql), this.#bound(), () => connection.destroy());
  }

  #session(connection: PoolConnection): MysqlSession {
    return new MysqlSession(connection, this.#statements, this.#bound());
  }

  async #tableBytes(connection: PoolConnection): Promise<number> {
    const [rows] = await connection.query<RowDataPacket[]>(
      `SELECT sum(data_length + index_length + data_free) AS bytes FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_name IN (?)`,
      [["commit_log", "body_part"].map((name) => `${this.#options.prefix}${name}`)],
    );
    return Number(rows[0]?.["bytes"] ?? 0);
  }

  async #transact<T>(work: (connection: PoolConnection) => Promise<T>): Promise<T> {
    return await this.#use(async (connection) => {
      // Behind the gate a statement must see what others committed while it was waited for.
      await this.#say(connection, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
      await this.#say(connection, "START TRANSACTION");
      let result: T;
      try {
        result = await work(connection);
      } catch (error) {
        if (!isLost(error)) await this.#say(connection, "ROLLBACK");
        throw error;
      }
      await this.#say(connection, "COMMIT");
      return result;
    });
  }

  async #use<T>(work: (connection: PoolConnection) => Promise<T>): Promise<T> {
    const connection = await this.#connect();
    let lost = true;
    try {
      const result = await work(connection);
      lost = false;
      return result;
    } catch (error) {
      lost = isLost(error);
      throw failureOf(error, this.url);
    } finally {
      if (lost) connection.destroy();
      else connection.release();
    }
  }

  async #connect(): Promise<PoolConnection> {
    try {
      return await lend(this.#options);
    } catch (error) {
      if (error instanceof Error && /Pool is closed/u.test(error.message))
        throw new MementoError("STORE_CLOSED", `${this.url} is closed`, { cause: error });
      throw failureOf(error, this.url);
    }
  }
}

type Waiting = Pick<MysqlEngineOptions, "pool" | "clock" | "url" | "connectTimeoutMs">;

/** A connection of the pool; one that comes too late goes back to it. */
async function lend({ pool, clock, url, connectTimeoutMs: timeoutMs }: Waiting): Promise<PoolConnection> {
  const coming = pool.getConnection();
  return await bounded(coming, { clock, url, timeoutMs }, () => {
    coming.then(
      (connection) => connection.release(),
      () => undefined,
    );
  });
}

/** Ends a pool; connections on which the server is silent are not waited for. */
async function endPool(pool: Pool, { clock, url, connectTimeoutMs: timeoutMs }: Waiting): Promise<void> {
  try {
    await bounded(pool.end(), { clock, url, timeoutMs }, () => undefined);
  } catch (error) {
    if (!isMementoError(error, "STORE_UNREACHABLE")) throw failureOf(error, url);
  }
}
