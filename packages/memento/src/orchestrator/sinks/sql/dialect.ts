import type { TargetColumn } from "./target.ts";

/** A statement that changes rows of `table` by rows that are joined to it. */
export interface JoinedUpdate {
  readonly table: string;
  readonly alias: string;
  /** `[column, expression]`. */
  readonly set: readonly (readonly [string, string])[];
  /** The other tables with their aliases; each with the condition that joins it to those before it. */
  readonly joins: readonly { readonly from: string; readonly on: string }[];
  readonly where: string;
}

/** What the sinks' statements say differently from engine to engine. */
export interface SinkDialect {
  /** A name as SQL writes it. */
  quote(name: string): string;
  /** A table of the sink's books, as SQL writes it. */
  books(name: string): string;
  /** Statements that make the books' tables. */
  readonly tables: readonly string[];
  /** Statement that makes the table of a shape's images, unless it is there. */
  imageTable(name: string, columns: readonly string[]): string;
  /** `INSERT` that does nothing for a row whose key is there. */
  insertOrNothing(rest: string): string;
  /** Comes after the column list of an INSERT that gives the values of columns that the server makes otherwise. */
  readonly givingAll: string;
  /** True where both are equal, or both NULL. */
  same(left: string, right: string): string;
  /** A value as text. */
  text(value: string, column: TargetColumn | null): string;
  /** The check of a row: of 64 bits, never NULL. */
  check(columns: readonly TargetColumn[], alias: string): string;
  /** A check as text. */
  checkText(value: string): string;
  update(update: JoinedUpdate): string;
  /** Deletes the rows of `table AS t` that are joined to `from` where the condition holds. */
  deleteJoined(table: string, from: string, on: string, where: string): string;
  /** Makes a temporary table of what a query gives; it is gone with the transaction, or by `dropTemporary`. */
  temporary(name: string, query: string): readonly string[];
  readonly dropTemporary: (name: string) => string;
  /** Waits for, and holds, the rows of `table AS t` that are joined to `from`. */
  lockJoined(table: string, from: string, on: string): string;
}
