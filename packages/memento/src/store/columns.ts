import { MementoError } from "../core/errors.ts";
import type { Lease, LeaseHolder } from "../core/timeline.ts";

/** A row of a table, by its columns' names. */
export type Columns = Readonly<Record<string, unknown>>;

/** The error of a row whose content cannot be. */
export function damagedRow(problem: string): MementoError {
  return new MementoError("DAMAGED", problem);
}

/** A column's text; DAMAGED when it holds anything else. */
export function textOf(row: Columns, column: string): string {
  const value = row[column];
  if (typeof value === "string") return value;
  throw damagedRow(`The column ${column} of a row holds no text`);
}

/** A column's bytes; DAMAGED when it holds anything else. */
export function bytesOf(row: Columns, column: string): Uint8Array {
  const value = row[column];
  if (value instanceof Uint8Array) return value;
  throw damagedRow(`The column ${column} of a row holds no bytes`);
}

/** A column's content as `read` reads it, or null where the column is NULL. */
export function nullable<Row extends Columns, T>(
  row: Row,
  column: string,
  read: (row: Row, column: string) => T,
): T | null {
  return row[column] === null ? null : read(row, column);
}

/** A lease's holder, from its text. */
export function leaseHolderOf(text: string | null): LeaseHolder | null {
  if (text === null) return null;
  try {
    return JSON.parse(text) as LeaseHolder;
  } catch (cause) {
    throw new MementoError("DAMAGED", "A lease's holder is not readable", { cause });
  }
}

/** The values of a lease's columns. */
export function leaseValues({ epoch, owner, expiresAt, holder, check }: Lease): readonly (string | number | null)[] {
  return [epoch, owner, expiresAt, holder === null ? null : JSON.stringify(holder), check];
}
