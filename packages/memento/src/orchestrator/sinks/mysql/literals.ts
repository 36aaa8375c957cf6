import { jsonText, nameOf } from "../json-text.ts";
import type { SqlValue } from "../sql/session.ts";
import type { TargetColumn } from "../sql/target.ts";

type Problem = (text: string) => never;

const ESCAPES: Readonly<Record<string, string>> = {
  "\u0000": "\\0",
  "\b": "\\b",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\u001A": "\\Z",
  "\\": "\\\\",
  "'": "\\'",
};
const ESCAPED = new RegExp(String.raw`[\0\b\n\r\t\x1a\\']`, "u");
const ALL_ESCAPED = new RegExp(ESCAPED.source, "gu");

/** A text as the server reads it, in the sessions that the sink opens: backslashes escape there. */
function textLiteral(text: string): string {
  if (!ESCAPED.test(text)) return `'${text}'`;
  return `'${text.replaceAll(ALL_ESCAPED, (character) => ESCAPES[character] ?? character)}'`;
}

/** The statement with its values written in; marks inside of names and texts are left alone. */
export function writtenIn(sql: string, values: readonly SqlValue[]): string {
  // Rows are written into their statements by themselves, which may be long.
  if (values.length === 0) return sql;
  let next = 0;
  return sql.replaceAll(/`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|\?/gsu, (part) => {
    if (part !== "?") return part;
    const value = values[next++] ?? null;
    return typeof value === "string" ? textLiteral(value) : String(value ?? "NULL");
  });
}

/** A value of a row as the server reads it. */
export function mysqlLiteral(value: unknown, column: TargetColumn, problem: Problem): string {
  if (column.kind === "json") return checkedText(jsonText(value, problem), problem);
  switch (typeof value) {
    case "string":
      return checkedText(value, problem);
    case "number":
      if (!Number.isFinite(value)) problem(`is ${value}, which MySQL has no number for`);
      return Object.is(value, -0) ? "-0e0" : String(value);
    case "bigint":
      return String(value);
    case "boolean":
      return value ? "1" : "0";
    default:
      return objectLiteral(value, column, problem);
  }
}

function objectLiteral(value: unknown, column: TargetColumn, problem: Problem): string {
  if (value instanceof Date) return dateLiteral(value, problem);
  if (value instanceof Uint8Array && column.kind === "bytes")
    return `x'${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}'`;
  return problem(`is ${nameOf(value)}, and the column is ${column.declared}`);
}

function checkedText(text: string, problem: Problem): string {
  if (!text.isWellFormed()) problem("holds a lone surrogate, which the server's text cannot hold");
  return textLiteral(text);
}

/** The wall clock of UTC, which is the session's zone. */
function dateLiteral(date: Date, problem: Problem): string {
  if (Number.isNaN(date.getTime())) problem("is an invalid date");
  const text = date.toISOString();
  if (!/^\d{4}-/u.test(text)) problem("is a date that is not of the years 0 to 9999");
  return `'${text.slice(0, 10)} ${text.slice(11, 23)}'`;
}
