import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";

import { MementoError } from "../../../core/errors.ts";
import { jsonProblem, NOT_JSON, parseJson } from "../json/parse-json.ts";
import { textOf } from "./parquet-values.ts";

/** Milliseconds since 1970; the text of a moment that is finer, in UTC and with all its digits. */
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
    timestampFromMilliseconds: (value) => moment(Number(value)),
    timestampFromMicroseconds: (value) => moment(momentOf(value, 3)),
    timestampFromNanoseconds: (value) => moment(momentOf(value, 6)),
    dateFromDays: (value) => moment(value * 86_400_000),
  };
}

/** A moment that is counted in parts of a millisecond, of which `digits` stand behind it. */
function momentOf(counted: bigint, digits: 3 | 6): ParquetMoment {
  const parts = BigInt(10 ** digits);
  const rest = ((counted % parts) + parts) % parts;
  const milliseconds = Number((counted - rest) / parts);
  if (rest === 0n) return milliseconds;
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${String(rest).padStart(digits, "0")}Z`;
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
