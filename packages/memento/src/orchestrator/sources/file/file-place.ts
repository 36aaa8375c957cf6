import { MementoError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import type { SourceOffset } from "../source.ts";

/** A place in a text file: just after `record` records, `byte` bytes into the file whose fingerprint is `file`. */
export type BytePlace = {
  readonly file: string;
  readonly byte: number;
  readonly record: number;
};

/** A place in a table file: just after `row` rows of the file whose fingerprint is `file`. */
export type RowPlace = {
  readonly file: string;
  readonly row: number;
};

/** Reads a place in a text file out of an offset; SOURCE_MOVED where another kind of source has made it. */
export function bytePlace(path: string, offset: SourceOffset): BytePlace {
  const { file, byte, record } = members(offset);
  if (typeof file === "string" && isCount(byte) && isCount(record)) return { file, byte, record };
  throw foreignOffset(path, "{ file, byte, record }");
}

/** Reads a place in a table file out of an offset; SOURCE_MOVED where another kind of source has made it. */
export function rowPlace(path: string, offset: SourceOffset): RowPlace {
  const { file, row } = members(offset);
  if (typeof file === "string" && isCount(row)) return { file, row };
  throw foreignOffset(path, "{ file, row }");
}

/** The error for a file that is another one than the offset points into. */
export function replacedFile(path: string): MementoError {
  const message = `${path} is not the file that was read before: another one is in its place, or this run names another one`;
  const hint =
    "Bring the old input back, or roll back to before it was read. Where each run has a file of its own, give each a partition (--partition), or read their folder by folderFiles.";
  return new MementoError("SOURCE_MOVED", message, { details: { path }, hint });
}

function foreignOffset(path: string, form: string): MementoError {
  const message = `the offset is not one into ${path}, which is ${form}: another kind of source has made it, or a hand`;
  return new MementoError("SOURCE_MOVED", message, { details: { path } });
}

function members(offset: SourceOffset): Readonly<Record<string, unknown>> {
  return typeof offset === "object" && offset !== null && !Array.isArray(offset) ? (offset as JsonObject) : {};
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
