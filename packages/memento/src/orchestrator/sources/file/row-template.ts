/**
 * An empty row with these columns, to be copied by spreading and then filled: all rows are made in one shape, and a
 * column named `__proto__` is a column like any other.
 */
export function rowTemplate(columns: readonly string[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(columns.map((column) => [column, null]));
}
