/**
 * What a row has in a column; undefined for what every object has, such as a column named `constructor` that the row lacks. A getter of a
 * row's class counts.
 */
export function rowValue(row: Readonly<Record<string, unknown>>, column: string): unknown {
  const value = row[column];
  const isEverywhere = typeof value === "function" || column === "__proto__";
  return isEverywhere && !Object.hasOwn(row, column) ? undefined : value;
}
