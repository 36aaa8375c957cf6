import { quoteName } from "../sqlite/names.ts";

export { listNames, numbered, quoteName } from "../sqlite/names.ts";

/** Text as SQL writes it. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** `a.x = b.y AND ...`, column by column. */
export function matching(
  left: string,
  leftColumns: readonly string[],
  right: string,
  rightColumns: readonly string[],
): string {
  return leftColumns
    .map((column, index) => `${left}.${quoteName(column)} = ${right}.${quoteName(rightColumns[index] ?? "")}`)
    .join(" AND ");
}
