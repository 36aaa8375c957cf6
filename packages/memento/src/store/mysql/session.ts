import type { PoolConnection, ResultSetHeader, RowDataPacket } from "mysql2/promise";

import type { Row } from "../sql/rows.ts";
import type { SqlSession, SqlValue } from "../sql/session.ts";
import type { SqlStatements } from "../sql/statements.ts";
import { bounded, type Bound } from "./bounded.ts";
import { errorNumber, failureOf } from "./failure.ts";
import { writtenOut } from "./written-out.ts";

const DUPLICATE_KEY = 1062;

/** One connection of MySQL or MariaDB, lent for a piece of work. Statements are prepared once by each connection. */
export class MysqlSession implements SqlSession {
  readonly statements: SqlStatements;
  readonly #connection: PoolConnection;
  readonly #bound: Bound;

  constructor(connection: PoolConnection, statements: SqlStatements, bound: Bound) {
    this.#connection = connection;
    this.statements = statements;
    this.#bound = bound;
  }

  async all(sql: string, ...values: readonly SqlValue[]): Promise<readonly Row[]> {
    const [rows] = await this.#execute<RowDataPacket[]>(sql, values);
    return rows;
  }

  async get(sql: string, ...values: readonly SqlValue[]): Promise<Row | undefined> {
    return (await this.all(sql, ...values))[0];
  }

  async run(sql: string, ...values: readonly SqlValue[]): Promise<number> {
    const [{ affectedRows }] = await this.#execute<ResultSetHeader>(sql, values);
    return affectedRows;
  }

  async add(sql: string, ...values: readonly SqlValue[]): Promise<boolean> {
    try {
      return (await this.run(sql, ...values)) > 0;
    } catch (error) {
      if (error instanceof Error && errorNumber(error.cause) === DUPLICATE_KEY) return false;
      throw error;
    }
  }

  async insert(sql: string, ...values: readonly SqlValue[]): Promise<number> {
    const [{ insertId }] = await this.#execute<ResultSetHeader>(sql, values);
    return insertId;
  }

  async #execute<Result extends RowDataPacket[] | ResultSetHeader>(
    sql: string,
    values: readonly SqlValue[],
  ): Promise<[Result, unknown]> {
    try {
      const answer = this.#connection.execute<Result>(writtenOut(sql, values));
      return await bounded(answer, this.#bound, () => this.#connection.destroy());
    } catch (error) {
      throw failureOf(error, this.#bound.url);
    }
  }
}
