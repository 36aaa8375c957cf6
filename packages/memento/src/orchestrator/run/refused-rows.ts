import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Sink } from "../sinks/sink.ts";
import type { SourceOffset } from "../sources/source.ts";

/** The batch of a source that is being worked on. */
export interface BatchUnderWay {
  readonly source: string;
  readonly records: number;
  /** Where its partition stood before it, and stands after it. */
  readonly from: SourceOffset | undefined;
  readonly to: SourceOffset;
}

/** True where a sink has looked at rows and did not take them: nothing of that write is in it. */
export function isRefused(error: unknown): boolean {
  return isMementoError(error, "RECORD_INVALID") || isMementoError(error, "UNSUPPORTED_VALUE");
}

/** Adds to a sink's refusal of a row which sink it was and where its batch was read: the row's number counts within that. */
export function namedRefusal(error: unknown, name: string, sink: Sink, batch: BatchUnderWay | null): unknown {
  if (!isMementoError(error) || !isRefused(error)) return error;
  const read = batch === null ? "" : `; it was made of ${placeOf(batch)}`;
  return new MementoError(error.code, `Sink ${name} (${sink.describe()}): ${error.message}${read}`, {
    cause: error,
    ...(error.hint === null ? {} : { hint: error.hint }),
    details: { ...error.details, sink: name, ...(batch === null ? {} : { batch }) },
  });
}

function placeOf({ source, records, from, to }: BatchUnderWay): string {
  const what = records === 1 ? "the one record" : `the ${records} records`;
  return `${what} of source ${source} after ${JSON.stringify(from ?? "its start")}, up to ${JSON.stringify(to)}`;
}
