import { inspect } from "node:util";

/** How much of a value is shown. */
export interface ValueLimits {
  /** Columns of a line, where the value can be broken. */
  readonly columns: number;
  /** Lines at most; the rest is counted. Null: all of them. */
  readonly lines: number | null;
}

/** A value as JavaScript writes it, broken into lines where it is long. */
export function valueText(value: unknown, { columns, lines }: ValueLimits): string {
  const full = lines === null;
  const text = inspect(value, {
    depth: full ? null : 6,
    maxArrayLength: full ? null : 20,
    maxStringLength: full ? null : 400,
    breakLength: columns,
    compact: 3,
    sorted: false,
  });
  const all = text.split("\n");
  if (lines === null || all.length <= lines) return text;
  return [...all.slice(0, lines), `… ${all.length - lines} more lines`].join("\n");
}

/** A value in one line, cut where it is longer than `columns`. */
export function shortValueText(value: unknown, columns: number): string {
  const text = inspect(value, {
    depth: 4,
    maxArrayLength: 6,
    maxStringLength: columns,
    breakLength: Number.POSITIVE_INFINITY,
    compact: true,
  });
  return text.length <= columns ? text : `${text.slice(0, Math.max(1, columns - 1))}…`;
}
