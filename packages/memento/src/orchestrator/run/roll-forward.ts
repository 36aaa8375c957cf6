import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../../core/errors.ts";
import type { Sink, SinkMark } from "../sinks/sink.ts";
import type { Source, SourceBatch, SourceOffset, SourceOffsets } from "../sources/source.ts";
import { flowSegment } from "./flow-run.ts";
import type { Resources } from "./resources.ts";
import type { RunSession } from "./run-session.ts";
import type { StageWork } from "./stage-work.ts";

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

/** How a stage reads. */
export interface ForwardRead {
  /** Where the source stands; asked when reading begins. */
  readonly from: () => SourceOffsets;
  readonly batchRecords: number;
  readonly signal: AbortSignal;
}

/** What rolling forward works with. */
export interface RollForwardParts {
  readonly resources: Pick<Resources, "sinks">;
  readonly run: string;
  readonly generation: number;
  /** The batches that the head has kept, by source. */
  readonly kept: ReadonlyMap<string, BatchRecord>;
  /** The marks of sinks that have taken more than the head knows. */
  readonly ahead: ReadonlyMap<string, SinkMark>;
}

/**
 * True for a sink whose data stays when a run is taken up again: what it cannot take back (or could only answer by sending more) is
 * not written a second time, because it knows the tokens. All others are taken back to the memento, and written anew.
 */
export function rollsForward({ supports }: Pick<Sink, "supports">): boolean {
  return supports.tokens && (supports.revert === "none" || supports.revert === "compensate");
}

/** The last token that a sink which rolls forward has taken, out of its mark: what it is for, and the number of the write. Null where it is no write's. */
export function lastTokenOf(mark: SinkMark): { readonly prefix: string; readonly batch: number } | null {
  const token = typeof mark === "object" && mark !== null && "token" in mark ? mark["token"] : null;
  const [, prefix, batch] = (typeof token === "string" ? /^(.*):(\d+)$/su.exec(token) : null) ?? [];
  return prefix === undefined ? null : { prefix, batch: Number(batch) };
}

/** A batch that no memento has yet. */
interface BatchToKeep {
  readonly pieces: ReadonlyMap<string, BatchRecord>;
  /** To be called once a memento has it. */
  readonly saved: () => void;
}

/** How a run goes on behind sinks that cannot take back what they were given. */
export class RollForward {
  readonly #parts: RollForwardParts;
  readonly #kept: Map<string, BatchRecord>;
  readonly #ahead: Map<string, SinkMark>;

  constructor(parts: RollForwardParts) {
    this.#parts = parts;
    this.#kept = new Map(parts.kept);
    this.#ahead = new Map(parts.ahead);
  }

  /** Reads a source from where it stands: first the batch that was under way when the run was cut short, as it was, then all others. SOURCE_MOVED. */
  async *read(name: string, source: Source, { from, ...rest }: ForwardRead): AsyncGenerator<SourceBatch<unknown>> {
    const again = this.#batchAt(name, from());
    if (again !== null) yield await readBatchAgain(name, source, again, rest.signal);
    yield* source.read({ ...rest, from: from() });
  }

  /** What a memento is to keep of a batch which is about to be worked on; null where no sink needs it, or the last memento has it. */
  toKeep(name: string, from: SourceOffsets, batch: SourceBatch<unknown>): BatchToKeep | null {
    if (![...this.#parts.resources.sinks.values()].some(rollsForward)) return null;
    if (this.#batchAt(name, from) !== null) return null;
    const { run, generation } = this.#parts;
    const { partition, records, offset } = batch;
    const record = { run, generation, from, partition, records: records.length, offset };
    return { pieces: new Map([[batchPiece(name), record]]), saved: () => void this.#kept.set(name, record) };
  }

  /**
   * After a batch or a stage that was done again: where it has written less often than before, its later writes must not come under
   * tokens that the sink has taken, for they would be passed over.
   */
  catchUp(session: RunSession, work: StageWork): void {
    for (const [name, mark] of this.#ahead) {
      if (session.parallel && !session.claims.holds(work.owner, `sink ${name}`)) continue;
      const [last, known] = [lastTokenOf(mark), session.sinkRecord(name, work)];
      if (last === null || !tokenPrefixes(session, work).includes(last.prefix)) continue;
      this.#ahead.delete(name);
      if (last.batch > known.batches) work.setSink(name, { ...known, batches: last.batch });
    }
  }

  /** An attempt was given up, after which the sink holds writes up to this mark. */
  isAhead(name: string, mark: SinkMark): void {
    this.#ahead.set(name, mark);
  }

  #batchAt(name: string, from: SourceOffsets): BatchRecord | null {
    const { run, generation } = this.#parts;
    const record = this.#kept.get(name);
    const isOurs = record?.run === run && record.generation === generation;
    return isOurs && isDeepStrictEqual(record.from, from) ? record : null;
  }
}

/** What the tokens of a work's writes begin with: those of a flow are of its several stages. */
function tokenPrefixes({ pipeline, timeline, generation }: RunSession, { owner, stage }: StageWork): string[] {
  const names = stage.type === "read" ? flowSegment(stage, pipeline.stages).stages.map(({ name }) => name) : [owner];
  return names.map((name) => `${timeline}:${generation}:${name}`);
}

/** The key of a source's batch record among a memento's pieces. */
const batchPiece = (source: string): string => `batch/${source}`;

async function readBatchAgain(
  name: string,
  source: Source,
  record: BatchRecord,
  signal: AbortSignal,
): Promise<SourceBatch<unknown>> {
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
