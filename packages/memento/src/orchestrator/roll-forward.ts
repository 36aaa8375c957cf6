import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../core/errors.ts";
import type { Sink, SinkMark } from "./sinks/sink.ts";
import type { Source, SourceBatch, SourceOffset, SourceOffsets } from "./sources/source.ts";

/**
 * A batch as it was read before anything of it was written to a sink that cannot take it back. When the run is taken up again the
 * same batch is read again, gives the same writes under the same tokens, and those that the sink has are skipped by it.
 */
export interface BatchRecord {
  readonly run: string;
  readonly generation: number;
  /** Where the source stood before the batch; a record with another place is of a batch that is done. */
  readonly from: SourceOffsets;
  readonly partition: string;
  readonly records: number;
  /** The place after the batch. */
  readonly offset: SourceOffset;
}

/** The key of a source's batch record among a memento's pieces. */
export const batchPiece = (source: string): string => `batch/${source}`;

/**
 * True for a sink whose data stays when a run is taken up again: what it cannot take back (or could only answer by sending more) is
 * not written a second time, because it knows the tokens. All others are taken back to the memento, and written anew.
 */
export function rollsForward({ supports }: Pick<Sink, "supports">): boolean {
  return supports.tokens && (supports.revert === "none" || supports.revert === "compensate");
}

/** The number of the last write that a mark tells of, among the tokens of this timeline and generation; 0 where there is none. */
export function lastBatchOf(mark: SinkMark, timeline: string, generation: number): number {
  const token = typeof mark === "object" && mark !== null && "token" in mark ? mark["token"] : null;
  if (typeof token !== "string" || !token.startsWith(`${timeline}:${generation}:`)) return 0;
  const number = Number(token.slice(token.lastIndexOf(":") + 1));
  return Number.isSafeInteger(number) ? number : 0;
}

/** Reads a recorded batch again. SOURCE_MOVED where the source no longer gives the same one. */
export async function readBatchAgain<Row>(
  name: string,
  source: Source<Row>,
  record: BatchRecord,
  signal: AbortSignal,
): Promise<SourceBatch<Row>> {
  const { from, partition, records, offset } = record;
  for await (const batch of source.read({ from, batchRecords: records, only: partition, signal })) {
    const isSame = batch.partition === partition && batch.records.length === records;
    if (isSame && isDeepStrictEqual(batch.offset, offset)) return batch;
    const found = `${batch.records.length} records of partition ${batch.partition} to ${JSON.stringify(batch.offset)}`;
    throw moved(name, record, found);
  }
  throw moved(name, record, "nothing");
}

function moved(name: string, { records, partition, offset }: BatchRecord, found: string): MementoError {
  const wanted = `${records} records of partition ${partition} to ${JSON.stringify(offset)}`;
  return new MementoError(
    "SOURCE_MOVED",
    `The source ${name} gave ${wanted} before the run was cut short, part of which may be in a sink that cannot take it back; now it gives ${found}`,
    { details: { source: name, partition, records } },
  );
}
