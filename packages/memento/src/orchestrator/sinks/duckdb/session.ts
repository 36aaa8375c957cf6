import type { DuckDBValue } from "@duckdb/node-api";

import type { DuckdbConnection, DuckdbModule } from "./engine.ts";
import { quoteName } from "./names.ts";

/** A row of an answer: BIGINT comes as bigint, VARCHAR as string. */
export type AnswerRow = Readonly<Record<string, DuckDBValue>>;

/** A value that a statement is given. */
export type Parameter = string | number | boolean | null;

/** A connection to a database whose statements the sink runs, one after the other. */
export class DuckdbSession {
  readonly duckdb: DuckdbModule;
  readonly raw: DuckdbConnection;
  /** The database's name among those of its instance. */
  readonly catalog: string;
  /** For messages. */
  readonly path: string;

  constructor(duckdb: DuckdbModule, raw: DuckdbConnection, catalog: string, path: string) {
    this.duckdb = duckdb;
    this.raw = raw;
    this.catalog = catalog;
    this.path = path;
  }

  /** A table of the sink's books, as SQL writes it. */
  books(table: string): string {
    return `${quoteName(this.catalog)}.memento_sink.${table}`;
  }

  /** Runs a statement for what it does. Whole numbers are given as BIGINT. */
  async run(sql: string, values: readonly Parameter[] = []): Promise<void> {
    if (values.length === 0) await this.raw.run(sql);
    else await this.raw.run(sql, values.map(bound));
  }

  /** Runs a statement for its rows. */
  async all(sql: string, values: readonly Parameter[] = []): Promise<AnswerRow[]> {
    const reader = await this.raw.runAndReadAll(sql, values.map(bound));
    return reader.getRowObjects();
  }

  /** Runs a statement for its first row. */
  async get(sql: string, values: readonly Parameter[] = []): Promise<AnswerRow | null> {
    return (await this.all(sql, values))[0] ?? null;
  }
}

function bound(value: Parameter): DuckDBValue {
  return typeof value === "number" ? BigInt(value) : value;
}
