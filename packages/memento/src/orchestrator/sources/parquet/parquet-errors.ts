import { isMementoError, MementoError } from "../../../core/errors.ts";

/**
 * The error for a Parquet file that cannot be read from a row on; null for its metadata. CAPABILITY_MISSING where the
 * file is sound but uses something that is not supported, else INPUT_CUT.
 */
export function unreadableParquet(path: string, row: number | null, error: unknown): MementoError {
  if (isMementoError(error)) return error;
  const place = row === null ? "its metadata" : `row ${row}`;
  const details = row === null ? { path } : { path, row };
  // hyparquet's own sentences name formats and lengths; any other error may repeat values of the file, and is left out.
  const own = error instanceof Error && error.message.startsWith("parquet ") ? error : undefined;
  const reason = own === undefined ? "its bytes cannot be decoded" : own.message;
  const options = own === undefined ? { details } : { details, cause: own };
  // Where hyparquet cannot even name what it does not support, there is no such thing: the bytes are damaged.
  if (/\b(?:un|not )supported\b/.test(reason) && !reason.endsWith("undefined")) {
    return new MementoError("CAPABILITY_MISSING", `${path} cannot be read at ${place}: ${reason}`, options);
  }
  return new MementoError("INPUT_CUT", `${path} is cut or damaged at ${place}: ${reason}`, options);
}
