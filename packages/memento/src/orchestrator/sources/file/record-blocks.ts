import { isMementoError } from "../../../core/errors.ts";

/** Records in a row, and for each of them the byte of the file just after it. */
export interface RecordBlock<Row> {
  readonly records: readonly Row[];
  readonly ends: readonly number[];
}

/** Records of one batch, and the byte just after the last of them. */
export interface RecordBatch<Row> {
  readonly records: readonly Row[];
  readonly end: number;
}

/**
 * Cuts blocks into batches of exactly `batchRecords`, the last one smaller. Where the blocks end in an error, what came
 * before it is given first; a stop is passed on at once.
 */
export async function* inBatches<Row>(
  blocks: AsyncIterable<RecordBlock<Row>>,
  batchRecords: number,
): AsyncGenerator<RecordBatch<Row>> {
  let pending: Row[] = [];
  let end = 0;
  let failure: { readonly error: unknown } | null = null;
  const iterator = blocks[Symbol.asyncIterator]();
  try {
    while (failure === null) {
      const next = await iterator.next().catch((error: unknown) => ({ error }));
      if ("error" in next) {
        if (isMementoError(next.error, "CANCELLED")) throw next.error;
        failure = next;
        break;
      }
      if (next.done === true) break;
      const { records, ends } = next.value;
      for (let taken = 0; taken < records.length;) {
        const until = Math.min(records.length, taken + batchRecords - pending.length);
        const part = records.slice(taken, until);
        pending = pending.length === 0 ? part : pending.concat(part);
        end = ends[until - 1] ?? end;
        taken = until;
        if (pending.length < batchRecords) break;
        yield { records: pending, end };
        pending = [];
      }
    }
    if (pending.length > 0) yield { records: pending, end };
    if (failure !== null) throw failure.error;
  } finally {
    await iterator.return?.();
  }
}
