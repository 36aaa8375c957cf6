import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";

import { MementoError } from "../../../core/errors.ts";
import { jsonProblem, NOT_JSON, parseJson } from "../json/parse-json.ts";
import { textOf } from "./parquet-values.ts";

/** Milliseconds since 1970; the text of a moment that is finer, or that no `Date` holds, in UTC and with all its digits. */
export type ParquetMoment = number | string;

/** How values are made of what a column stores. `moment` takes each moment, and gives what is to stand for it. */
export function parquetParsers(
  place: { readonly path: string; readonly column: string },
  moment: (moment: ParquetMoment) => unknown,
): typeof DEFAULT_PARSERS {
  return {
    ...DEFAULT_PARSERS,
    stringFromBytes: textOf,
    jsonFromBytes: (bytes) => jsonOf(textOf(bytes), place),
    timestampFromMilliseconds: (value) => moment(momentOf(value, 0)),
    timestampFromMicroseconds: (value) => moment(momentOf(value, 3)),
    timestampFromNanoseconds: (value) => moment(momentOf(value, 6)),
    dateFromDays: (value) =>
      moment(Math.abs(value) <= DATE_DAYS_MAX ? value * DAY_MS : farText(BigInt(value) * BigInt(DAY_MS))),
  };
}

/** What a `Date` holds; some writers have moments far beyond it, such as what stands for infinity. */
const DATE_MS_MAX = 8_640_000_000_000_000;
const DAY_MS = 86_400_000;
const DATE_DAYS_MAX = DATE_MS_MAX / DAY_MS;
/** 400 years, after which the calendar begins anew. */
const CYCLE_MS = 12_622_780_800_000n;

/** A moment that is counted in parts of a millisecond, of which `digits` stand behind it. */
function momentOf(counted: bigint, digits: 0 | 3 | 6): ParquetMoment {
  const parts = BigInt(10 ** digits);
  const rest = ((counted % parts) + parts) % parts;
  const milliseconds = (counted - rest) / parts;
  const isDate = milliseconds >= -DATE_MS_MAX && milliseconds <= DATE_MS_MAX;
  if (rest === 0n && isDate) return Number(milliseconds);
  const text = isDate ? new Date(Number(milliseconds)).toISOString() : farText(milliseconds);
  return rest === 0n ? text : `${text.slice(0, -1)}${String(rest).padStart(digits, "0")}Z`;
}

/** The same text as a `Date` would give, of a moment that none holds. */
function farText(milliseconds: bigint): string {
  const cycles = milliseconds / CYCLE_MS;
  const date = new Date(Number(milliseconds % CYCLE_MS));
  const year = date.getUTCFullYear() + 400 * Number(cycles);
  return `${year < 0 ? "-" : "+"}${String(Math.abs(year)).padStart(6, "0")}${date.toISOString().slice(4)}`;
}

function jsonOf(text: string, { path, column }: { readonly path: string; readonly column: string }): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    const problem = jsonProblem(error);
    if (problem === NOT_JSON) throw error;
    throw new MementoError("RECORD_INVALID", `${path}: the JSON of column ${JSON.stringify(column)} ${problem}`, {
      details: { path },
    });
  }
}
