import { isMementoError, MementoError } from "../../../core/errors.ts";
import { errorNumber, failureOf, isLost } from "../../../store/mysql/failure.ts";
import { lostError } from "../sql/attempts.ts";

/** Numbers by which the server refuses the data itself: values, constraints, and what triggers raise. */
const REFUSED: ReadonlySet<number> = new Set([
  1048, 1062, 1138, 1169, 1216, 1217, 1264, 1265, 1292, 1364, 1366, 1367, 1406, 1411, 1416, 1441, 1451, 1452, 1644,
  1690, 1761, 3140, 3156, 3819, 3903, 4025, 4078,
]);
/** Of these, those that say what the value was, quotes in it as they are; the others quote names. */
const SAY_THE_VALUE: ReadonlySet<number> = new Set([1062, 1292, 1366, 1367, 1411, 1690]);
/** The table, or a column of it, is not what it was a moment ago. */
const CHANGED: ReadonlySet<number> = new Set([1054, 1146, 1412]);

/**
 * Says in our words what the client or the server threw. Refused data is RECORD_INVALID with `details.refused`; the message names
 * columns and keys, never values, and the client's own error, which holds the statement, is left out.
 */
export function sinkFailure(error: unknown, url: string): MementoError {
  if (isMementoError(error)) return error;
  // The client puts the statement, and with it the rows, beside its message.
  if (error instanceof Error && "sql" in error) delete error.sql;
  const number = errorNumber(error);
  if (REFUSED.has(number)) {
    const { message } = error as Error;
    const said = SAY_THE_VALUE.has(number) ? message.replace(/'.*'(?= for (?:key|column) )|'.*/su, "a value") : message;
    return new MementoError("RECORD_INVALID", said, { details: { refused: true, errno: number } });
  }
  if (CHANGED.has(number))
    return new MementoError("INVALID_ARGUMENT", `${url}: ${(error as Error).message}`, {
      details: { tableChanged: true, errno: number },
    });
  const failure = failureOf(error, url);
  return isLost(error) && failure.code === "STORE_UNREACHABLE" ? lostError(failure) : failure;
}
