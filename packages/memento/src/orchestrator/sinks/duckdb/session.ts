import type { DuckDBValue } from "@duckdb/node-api";

import type { DuckdbConnection, DuckdbModule } from "./engine.ts";
import { quoteName, quoteText } from "./names.ts";

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

  /** Runs a statement for what it does; `$1`, `$2` and so on stand for the values. */
  async run(sql: string, values: readonly Parameter[] = []): Promise<void> {
    await this.raw.run(withValues(sql, values));
  }

  /** Runs a statement for its rows. */
  async all(sql: string, values: readonly Parameter[] = []): Promise<AnswerRow[]> {
    const reader = await this.raw.runAndReadAll(withValues(sql, values));
    return reader.getRowObjects();
  }

  /** Runs a statement for its first row. */
  async get(sql: string, values: readonly Parameter[] = []): Promise<AnswerRow | null> {
    return (await this.all(sql, values))[0] ?? null;
  }
}

/** Values are written into the text: preparing a statement for one use takes twice the time of running it. */
function withValues(sql: string, values: readonly Parameter[]): string {
  if (values.length === 0) return sql;
  return sql.replaceAll(/"[^"]*"|\$(\d+)/g, (found: string, place: string | undefined) => {
    return place === undefined ? found : literal(values[Number(place) - 1] ?? null);
  });
}

function literal(value: Parameter): string {
  if (typeof value !== "string") return value === null ? "NULL" : String(value);
  // No text of SQL can hold the character 0.
  return value.includes("\0") ? `(${value.split("\0").map(quoteText).join(" || chr(0) || ")})` : quoteText(value);
}
