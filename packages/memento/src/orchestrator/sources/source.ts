import type { Json } from "../../core/json.ts";
import type { Clock } from "../../core/ports.ts";

/** A place in one partition of a source: just after the last record that was taken. Opaque to everyone else. */
export type SourceOffset = Json;

/** Places in a source, by partition; a partition that is missing starts at its beginning. Sources without partitions use the one named "0". */
export type SourceOffsets = Readonly<Record<string, SourceOffset>>;

/** What a source is told when it is opened. */
export interface SourceContext {
  /** The source's name in its pipeline. */
  readonly name: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** How to read. */
export interface ReadOptions {
  readonly from: SourceOffsets;
  /** The most records of one batch. */
  readonly batchRecords: number;
  /**
   * Only this partition; all by default. Asked for when a batch that was read before is read again, so that it is the same one
   * whatever has come into other partitions since. A source that has but one partition need not look at it.
   */
  readonly only?: string;
  readonly signal: AbortSignal;
}

/** Some records of one partition, in order, and the place after them. Without records it is a place alone, which is kept, and which no stage sees. */
export interface SourceBatch<Row> {
  readonly records: readonly Row[];
  readonly partition: string;
  readonly offset: SourceOffset;
  /** How much of the source is read with this batch, from 0 to 1, where that can be told; for showing progress alone. */
  readonly share?: number;
}

/** What a plan needs to know about reading from an offset again. */
export interface SourceInspection {
  /** True: the source still has every record from there on. */
  readonly available: boolean;
  /** Why not, in one sentence; empty where it has them. */
  readonly problem: string;
  /** Records between the two offsets, where the source can tell. */
  readonly recordsBetween: number | null;
}

/**
 * Where a pipeline's records come from. `read` gives each record exactly once from `from` on, in a stable order; reading again
 * from a batch's offset gives the records after it. A source that has changed under its offsets is refused with SOURCE_MOVED,
 * never read from a wrong place; a cut or unreadable input is INPUT_CUT with file and place; a missing one INPUT_MISSING.
 * Memory stays flat whatever the size.
 */
export interface Source<Row = unknown> {
  /** For example `csv-file`. */
  readonly kind: string;
  /** The version of the records' shape, for the memento's schema versions; `1` when nothing else is said. */
  readonly schemaVersion: string;
  /** What it reads, for people; without secrets. */
  describe(): string;
  open(context: SourceContext): Promise<void>;
  read(options: ReadOptions): AsyncIterable<SourceBatch<Row>>;
  /** Says whether `from` can still be read, and how many records lie between `from` and `to`; changes nothing. */
  inspect(from: SourceOffsets, to: SourceOffsets): Promise<SourceInspection>;
  close(): Promise<void>;
}
