import type { Source, SourceBatch, SourceOffset } from "@mementojs/memento/sources";

/**
 * The first `limit` records of a source, counted from its beginning wherever reading starts; all where there is no limit.
 * The last records are asked for in a batch of just their number, so that its offset is the one after the last of them.
 */
export function limitedSource<Row>(source: Source<Row>, limit: number | undefined): Source<Row> {
  if (limit === undefined) return source;
  return {
    ...source,
    async *read(options): AsyncGenerator<SourceBatch<Row>> {
      const { recordsBetween } = await source.inspect({}, options.from);
      const place: Record<string, SourceOffset> = { ...options.from };
      let left = limit - (recordsBetween ?? 0);
      let ended = false;
      while (left > 0 && !ended) {
        const batchRecords = Math.min(options.batchRecords, left);
        ended = true;
        for await (const batch of source.read({ ...options, from: { ...place }, batchRecords })) {
          ended = false;
          left -= batch.records.length;
          place[batch.partition] = batch.offset;
          yield { ...batch, share: Math.max(batch.share ?? 0, 1 - left / limit) };
          if (left < batchRecords) break;
        }
      }
    },
  };
}
