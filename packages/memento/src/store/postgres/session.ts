import type { ClientBase } from "pg";

import { numberOf, type Row } from "../sql/rows.ts";
import type { SqlSession, SqlValue } from "../sql/session.ts";
import type { SqlStatements } from "../sql/statements.ts";
import { failureOf } from "./failure.ts";

/** A statement as PostgreSQL wants it, under a name by which a connection prepares it once. */
interface NamedStatement {
  readonly name: string;
  readonly text: string;
}

const named = new Map<string, NamedStatement>();

/** The same statement with numbered values. Texts are few, and the same for all connections of a schema. */
export function namedStatement(sql: string): NamedStatement {
  const known = named.get(sql);
  if (known !== undefined) return known;
  let count = 0;
  const statement = { name: `memento_${named.size + 1}`, text: sql.replaceAll("?", () => `$${(count += 1)}`) };
  named.set(sql, statement);
  return statement;
}

/** One connection of PostgreSQL, lent for a piece of work. */
export class PostgresSession implements SqlSession {
  readonly statements: SqlStatements;
  readonly #client: ClientBase;
  readonly #url: string;

  constructor(client: ClientBase, statements: SqlStatements, url: string) {
    this.#client = client;
    this.statements = statements;
    this.#url = url;
  }

  async all(sql: string, ...values: readonly SqlValue[]): Promise<readonly Row[]> {
    return (await this.#query(sql, values)).rows;
  }

  async get(sql: string, ...values: readonly SqlValue[]): Promise<Row | undefined> {
    return (await this.#query(sql, values)).rows[0];
  }

  async run(sql: string, ...values: readonly SqlValue[]): Promise<number> {
    return (await this.#query(sql, values)).rowCount ?? 0;
  }

  async add(sql: string, ...values: readonly SqlValue[]): Promise<boolean> {
    return (await this.run(sql, ...values)) > 0;
  }

  async insert(sql: string, ...values: readonly SqlValue[]): Promise<number> {
    return numberOf((await this.get(sql, ...values)) ?? {}, "id");
  }

  async #query(
    sql: string,
    values: readonly SqlValue[],
  ): Promise<{ readonly rows: readonly Row[]; readonly rowCount: number | null }> {
    try {
      return await this.#client.query<Row>({ ...namedStatement(sql), values: values.map((value) => parameter(value)) });
    } catch (error) {
      throw failureOf(error, this.#url);
    }
  }
}

/** Lists go as arrays, places as JSON. */
function parameter(value: SqlValue): unknown {
  if (!Array.isArray(value)) return value;
  return Array.isArray(value[0]) ? JSON.stringify(value) : value;
}
