import type { Row } from "../../../store/sql/rows.ts";

/** A value of a statement. */
export type SqlValue = string | number | null;

/** One connection in one transaction. Values stand as `?`. Errors are MementoErrors in our words. */
export interface SinkSession {
  /** The rows that a statement gives. */
  all(sql: string, ...values: readonly SqlValue[]): Promise<readonly Row[]>;
  /** How many rows a statement has changed. */
  run(sql: string, ...values: readonly SqlValue[]): Promise<number>;
}

/** The first row that a statement gives. */
export async function firstRow(
  session: SinkSession,
  sql: string,
  ...values: readonly SqlValue[]
): Promise<Row | undefined> {
  return (await session.all(sql, ...values))[0];
}
