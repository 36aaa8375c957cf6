import type { Pool, PoolClient } from "pg";

import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { keyRetired } from "../admit.ts";
import { repeatRolledBack, retryLost } from "../sql/attempts.ts";
import { numberOf } from "../sql/rows.ts";
import type { SqlEngine, SqlSession, SqlSnapshot } from "../sql/session.ts";
import type { SqlStatements } from "../sql/statements.ts";
import type { AppendBatch, StoreSupports } from "../store.ts";
import { appendCall } from "./append-call.ts";
import { postgresStatements } from "./dialect.ts";
import { failureOf, isLost, sqlState } from "./failure.ts";
import { ConnectionLender } from "./lender.ts";
import { migrate, readServer, schemaVersion, type ServerFacts } from "./schema.ts";
import { namedStatement, PostgresSession } from "./session.ts";

/** What an engine is made of. */
export interface PostgresEngineOptions {
  readonly pool: Pool;
  /** True: the pool ends with the engine. */
  readonly owned: boolean;
  readonly schema: string;
  readonly url: string;
  readonly clock: Clock;
}

const PART_BYTES = 8_388_608;
/** Behind the gate a statement must see what others committed while it was waited for, whatever the database's default is. */
const BEGIN =
  "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";
const TABLES = ["commit_log", "body_part", "memento", "timeline", "memento_name", "caretaker", "wrapped_key", "store"];

/** PostgreSQL behind a pool of connections. */
export class PostgresEngine implements SqlEngine {
  readonly url: string;
  readonly supports: StoreSupports;
  readonly partBytesMax = PART_BYTES;
  readonly #options: PostgresEngineOptions;
  readonly #statements: SqlStatements;
  readonly #lender: ConnectionLender;
  readonly #readsCommitted: boolean;

  private constructor(options: PostgresEngineOptions, { durable, readsCommitted }: ServerFacts) {
    const { schema, url } = options;
    this.#options = options;
    this.#statements = postgresStatements(schema);
    this.#lender = new ConnectionLender(options.pool, options.owned, options.clock);
    this.#readsCommitted = readsCommitted;
    this.url = url;
    this.supports = { durable, sharedBy: "network", bodyBytesMax: 2 ** 31 - 1, reclaimsSpace: true };
  }

  /** Connects and looks at the server; changes nothing there. */
  static async open(options: PostgresEngineOptions): Promise<PostgresEngine> {
    const { pool, url } = options;
    try {
      const client = await pool.connect();
      try {
        return new PostgresEngine(options, await readServer(client, url));
      } finally {
        client.release();
      }
    } catch (error) {
      throw failureOf(error, url);
    }
  }

  async isMade(): Promise<boolean> {
    return await retryLost(
      async () => await this.#use(async (client) => (await schemaVersion(client, this.#options.schema, this.url)) > 0),
    );
  }

  async make(first: (session: SqlSession) => Promise<void>): Promise<void> {
    const { schema } = this.#options;
    await this.#transact(async (client) => {
      await migrate(client, schema, this.url);
      await first(new PostgresSession(client, this.#statements, this.url));
    });
  }

  async read<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return await retryLost(async () => await this.single(work));
  }

  async single<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return await this.#alone(async (client) => await work(new PostgresSession(client, this.#statements, this.url)));
  }

  async write<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return await repeatRolledBack(
      this.#options.clock,
      async () =>
        await this.#transact(async (client) => await work(new PostgresSession(client, this.#statements, this.url))),
    );
  }

  async snapshot(): Promise<SqlSnapshot> {
    return await retryLost(async () => {
      const client = await this.#connect();
      let held = true;
      const release = async (): Promise<void> => {
        if (!held) return;
        held = false;
        // A connection on which a statement is still under way is not used again.
        try {
          await client.query("ROLLBACK");
          this.#lender.giveBack(client, false);
        } catch {
          this.#lender.giveBack(client, true);
        }
      };
      try {
        await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        return { session: new PostgresSession(client, this.#statements, this.url), release };
      } catch (error) {
        await release();
        throw failureOf(error, this.url);
      }
    });
  }

  async appendAll(batch: AppendBatch, dataKey: string | null): Promise<boolean> {
    const call = appendCall(batch, dataKey);
    if (call === null) return false;
    try {
      const statement = namedStatement(`CALL "${this.#options.schema}".${call.sql}`);
      await this.#alone(async (client) => await client.query<object>({ ...statement, values: call.values }));
      return true;
    } catch (error) {
      const { cause } = error as Error;
      if (sqlState(cause) === "MM002" && dataKey !== null) throw keyRetired(dataKey);
      // A timeline stands elsewhere, a name is taken, or others went first: nothing was done.
      if (sqlState(cause) === "MM001" || (isMementoError(error) && error.details["repeat"] === true)) return false;
      throw error;
    }
  }

  async settle(): Promise<number> {
    return await this.read(async (session) => {
      const row = await session.get(`SELECT "${this.#options.schema}".settle() AS id`);
      return numberOf(row ?? {}, "id");
    });
  }

  /** VACUUM of the store's tables; gives by how many bytes they are smaller, which is none where only their middle is free. */
  async compact(): Promise<number> {
    const { schema } = this.#options;
    return await this.#use(async (client) => {
      const before = await this.#tableBytes(client);
      // A clean-up may take longer than any other statement.
      await client.query("SET statement_timeout = 0");
      try {
        for (const table of TABLES) {
          const vacuum = { text: `VACUUM (ANALYZE) "${schema}".${table}`, query_timeout: 2 ** 31 - 1 };
          await client.query(vacuum);
        }
      } finally {
        await client.query("RESET statement_timeout");
      }
      return Math.max(0, before - (await this.#tableBytes(client)));
    });
  }

  async close(): Promise<void> {
    await this.#lender.close();
  }

  async #tableBytes(client: PoolClient): Promise<number> {
    const { rows } = await client.query<{ readonly bytes: string }>(
      `SELECT sum(pg_total_relation_size(c.oid)) AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind = 'r'`,
      [this.#options.schema],
    );
    return Number(rows[0]?.bytes ?? 0);
  }

  /** Work of one statement, which is its own transaction: one of ours, where the server would begin it otherwise. */
  async #alone<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.#readsCommitted ? await this.#use(work) : await this.#transact(work);
  }

  async #transact<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return await this.#use(async (client) => {
      await client.query(BEGIN);
      let result: T;
      try {
        result = await work(client);
      } catch (error) {
        if (!isLost(error)) await client.query("ROLLBACK");
        throw error;
      }
      await client.query("COMMIT");
      return result;
    });
  }

  async #use<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    let lost = true;
    try {
      const result = await work(client);
      lost = false;
      return result;
    } catch (error) {
      lost = isLost(error);
      throw failureOf(error, this.url);
    } finally {
      this.#lender.giveBack(client, lost);
    }
  }

  async #connect(): Promise<PoolClient> {
    try {
      return await this.#lender.borrow();
    } catch (error) {
      if (error instanceof Error && /after calling end/u.test(error.message))
        throw new MementoError("STORE_CLOSED", `${this.url} is closed`, { cause: error });
      throw failureOf(error, this.url);
    }
  }
}
