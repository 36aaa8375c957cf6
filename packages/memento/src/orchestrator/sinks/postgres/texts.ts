import { jsonText, nameOf } from "../json-text.ts";
import type { TargetColumn } from "../sql/target.ts";

type Problem = (text: string) => never;

const YEAR_MAX = 9_999;

/** A value as PostgreSQL reads it from text. */
export function postgresText(value: unknown, column: TargetColumn, problem: Problem): string {
  if (column.kind === "json") return checkedText(jsonText(value, problem), problem);
  return scalarText(value, column, problem);
}

function scalarText(value: unknown, column: TargetColumn, problem: Problem): string {
  switch (typeof value) {
    case "string":
      return checkedText(value, problem);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return String(value);
    case "boolean":
      return column.kind === "integer" || column.kind === "number" ? (value ? "1" : "0") : String(value);
    default:
      return objectText(value, column, problem);
  }
}

function objectText(value: unknown, column: TargetColumn, problem: Problem): string {
  if (value instanceof Date) return dateText(value, problem);
  if (value instanceof Uint8Array && (column.kind === "bytes" || column.kind === "array"))
    return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`;
  if (Array.isArray(value) && column.kind === "array") return arrayText(value, column, problem);
  return problem(`is ${nameOf(value)}, and the column is ${column.declared}`);
}

/** An array literal, of as many dimensions as the value has. Objects in it are JSON. */
function arrayText(list: readonly unknown[], column: TargetColumn, problem: Problem): string {
  const items = list.map((item: unknown) => {
    if (item === null || item === undefined) return "NULL";
    if (Array.isArray(item)) return arrayText(item, column, problem);
    const isJson = /^jsonb?\[/u.test(column.declared);
    return quoteElement(isJson ? checkedText(jsonText(item, problem), problem) : scalarText(item, column, problem));
  });
  return `{${items.join(",")}}`;
}

/** An element of an array literal. */
export function quoteElement(text: string): string {
  return `"${/["\\]/u.test(text) ? text.replaceAll(/["\\]/gu, "\\$&") : text}"`;
}

function checkedText(text: string, problem: Problem): string {
  if (!text.isWellFormed()) problem("holds a lone surrogate, which PostgreSQL's text cannot hold");
  if (text.includes("\u0000")) problem("holds the character U+0000, which PostgreSQL's text cannot hold");
  return text;
}

/** ISO 8601 in UTC. A column without a zone takes the wall clock of UTC. */
function dateText(date: Date, problem: Problem): string {
  if (Number.isNaN(date.getTime())) problem("is an invalid date");
  const year = date.getUTCFullYear();
  if (year < 1) problem("is a date before the year 1");
  return year > YEAR_MAX ? date.toISOString().slice(1).replace(/^0+/u, "") : date.toISOString();
}
