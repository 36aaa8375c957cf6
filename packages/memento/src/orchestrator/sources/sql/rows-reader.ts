import type { KeysetPage, KeysetReader, KeyValues } from "../keyset/keyset-source.ts";
import type { Bound, RowsEngine, Statement } from "./engine.ts";

/** Which rows are read, in which order. */
export interface RowsQuery {
  /** A table, `schema.table`, or null where a query takes its place. */
  readonly table: string | null;
  readonly query: string | null;
  readonly columns: readonly string[] | null;
  /** A condition that stands in the statement as it is. */
  readonly where: string | null;
  /** What rows are ordered by. */
  readonly order: readonly string[];
}

/** Reads rows behind a key, page by page. */
export class RowsReader implements KeysetReader<Record<string, unknown>> {
  readonly #engine: RowsEngine;
  readonly #query: RowsQuery;
  #selected: string | null = null;

  constructor(engine: RowsEngine, query: RowsQuery) {
    this.#engine = engine;
    this.#query = query;
  }

  fits(key: KeyValues): boolean {
    return key.every((value) => this.#engine.isKey(value));
  }

  async page(
    after: KeyValues | null,
    limit: number,
    signal: AbortSignal,
  ): Promise<KeysetPage<Record<string, unknown>>> {
    const { columns, order } = this.#query;
    this.#selected ??= await this.#engine.select({ place: this.#place(), columns, order }, signal);
    const aliases = order.map((_, index) => `memento_key_${index}`);
    const keys = order.map((column, index) => this.#engine.selectKey(this.#column(column), aliases[index] ?? ""));
    const { sql, values } = this.#from(after, null);
    const ordered = order.map((column) => this.#column(column)).join(", ");
    const text = `SELECT ${[this.#selected, ...keys].join(", ")} ${sql} ORDER BY ${ordered} LIMIT ${limit}`;
    const rows = await this.#engine.rows({ sql: text, values }, aliases, signal);
    return { records: rows.map(({ row }) => row), keys: rows.map(({ key }) => key) };
  }

  async count(after: KeyValues | null, upTo: KeyValues | null): Promise<number> {
    const { sql, values } = this.#from(after, upTo);
    return await this.#engine.count({ sql: `SELECT count(*) AS count ${sql}`, values });
  }

  async alike(key: KeyValues): Promise<number> {
    const { sql, values } = this.#from(null, null);
    const equal = key.map((_, index) => this.#compared(index, "=", key));
    const condition = equal.map(({ text }) => text).join(" AND ");
    const statement = {
      sql: `SELECT count(*) AS count ${sql} AND ${condition}`,
      values: [...values, ...equal.flatMap((bound) => bound.values)],
    };
    return await this.#engine.count(statement);
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  #column(name: string): string {
    return `m.${this.#engine.quote(name)}`;
  }

  #place(): string {
    const { table, query } = this.#query;
    if (query !== null) return `(${query})`;
    const names = (table ?? "").split(".");
    return names.map((name) => this.#engine.quote(name)).join(".");
  }

  #from(after: KeyValues | null, upTo: KeyValues | null): Statement {
    const { where, order } = this.#query;
    const conditions: Bound[] = order.map((column) => plain(`${this.#column(column)} IS NOT NULL`));
    if (where !== null) conditions.push(plain(`(${where})`));
    if (after !== null) conditions.push(this.#least(after), this.#behind(after, ">"));
    if (upTo !== null) conditions.push(this.#behind(upTo, "<="));
    const texts = conditions.map(({ text }) => text);
    return {
      sql: `FROM ${this.#place()} AS m WHERE ${texts.join(" AND ")}`,
      values: conditions.flatMap(({ values }) => values),
    };
  }

  /** A condition on the first column alone, by which an index is entered where it is not by the whole one. */
  #least(key: KeyValues): Bound {
    return this.#compared(0, ">=", key);
  }

  /** `(a, b) > (x, y)`, or `<=`, written out: not every engine uses an index for the short form. */
  #behind(key: KeyValues, operator: ">" | "<="): Bound {
    const last = key.length - 1;
    let condition = this.#compared(last, operator, key);
    for (let index = last - 1; index >= 0; index -= 1) {
      const beyond = this.#compared(index, operator === ">" ? ">" : "<", key);
      const equal = this.#compared(index, "=", key);
      condition = {
        text: `(${beyond.text} OR (${equal.text} AND ${condition.text}))`,
        values: [...beyond.values, ...equal.values, ...condition.values],
      };
    }
    return condition;
  }

  #compared(index: number, operator: string, key: KeyValues): Bound {
    const { text, values } = this.#engine.bind(key[index] ?? null);
    return { text: `${this.#column(this.#query.order[index] ?? "")} ${operator} ${text}`, values };
  }
}

const plain = (text: string): Bound => ({ text, values: [] });
