import { isMementoError, MementoError } from "../../../core/errors.ts";
import { failureOf, isLost, sqlState } from "../../../store/postgres/failure.ts";
import { lostError } from "../sql/attempts.ts";

/** Codes, or their classes, by which the server refuses the data itself: values, constraints, two rows for one key, and what triggers raise. */
const REFUSED = /^(?:21000|22|23|44|P0001|42804|428C9)/u;
/** The table, or a column of it, is not what it was a moment ago. */
const CHANGED = new Set(["42P01", "42703", "0A000"]);

/**
 * Says in our words what the client or the server threw. Refused data is RECORD_INVALID with `details.refused`; the message names
 * columns and constraints, never values, and the server's own error, which holds some, is left out.
 */
export function sinkFailure(error: unknown, url: string): MementoError {
  if (isMementoError(error)) return error;
  const state = sqlState(error);
  if (REFUSED.test(state)) {
    const { message, constraint, column } = error as Error & { constraint?: string; column?: string };
    // Of values that a type does not take the server says what they were, quotes in them as they are; elsewhere it quotes names.
    const said = state.startsWith("22") ? message.replace(/:? ".*"/su, "") : message;
    const names = { ...(constraint === undefined ? {} : { constraint }), ...(column === undefined ? {} : { column }) };
    return new MementoError("RECORD_INVALID", said, { details: { refused: true, sqlState: state, ...names } });
  }
  if (CHANGED.has(state)) {
    const { message } = error as Error;
    return new MementoError("INVALID_ARGUMENT", `${url}: ${message}`, {
      details: { tableChanged: true, sqlState: state },
    });
  }
  const failure = failureOf(error, url);
  return isLost(error) && failure.code === "STORE_UNREACHABLE" ? lostError(failure) : failure;
}
