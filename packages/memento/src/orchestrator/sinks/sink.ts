import type { Json } from "../../core/json.ts";
import type { Clock } from "../../core/ports.ts";

/** A sink's word for "my data of this timeline as of now"; null is "nothing was ever written". Opaque to everyone else. */
export type SinkMark = Json;

/** What a sink is able to do, as data. */
export interface SinkSupports {
  /** How data is taken back: row by row, by versions, by the caller's compensation, or not at all. */
  readonly revert: "rows" | "versions" | "compensate" | "none";
  /** True: rows that somebody else changed since are found, named and kept. */
  readonly foreignChanges: boolean;
  /** True: data and token are one transaction, so that a repeated token writes nothing. */
  readonly tokens: boolean;
}

/** What a sink is told when it is opened. */
export interface SinkContext {
  /** Whose data it is: marks and row ownership are kept per timeline. */
  readonly timeline: string;
  /** The sink's name in its pipeline. */
  readonly name: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /**
   * True, as for the sinks of a pipeline: a database file that is not there is made by the first call that writes, so that who
   * only looks, as a plan does, makes no empty one in the place of one that was moved away. Else by `open`.
   */
  readonly madeByWrites?: boolean;
}

/** The right and the identity of one write. */
export interface SinkWrite {
  /** The lease's epoch; a lower one than the sink was fenced with is refused with FENCED. */
  readonly epoch: number;
  /** `timeline:generation:stage:batch`; a token that the sink has taken writes nothing again. */
  readonly token: string;
  /** Source records that this write stands for, where the caller knows; summed up when the write is taken back. */
  readonly records?: number;
}

/** What a write did. */
export interface SinkWritten {
  /** Rows written; 0 for a token that was taken before. */
  readonly rows: number;
  readonly duplicate: boolean;
  /** The mark after this write. */
  readonly mark: SinkMark;
}

/** A row (or file) that somebody else changed since it was written, as people would name it. */
export interface ForeignChange {
  /** For example `flights[rowid=17]`. */
  readonly item: string;
  readonly change: "changed" | "deleted" | "taken";
}

/** What nobody can take back, and so stays where it is: sent messages, calls that were made. */
export interface StayingRecords {
  readonly total: number;
  /** Named in ranges, as people would: `orders[0] offsets 17..41`; at most 100. */
  readonly items: readonly string[];
}

/** What going back to a mark would do. */
export interface SinkInspection {
  /** Rows (or files) that would be taken out. */
  readonly remove: number;
  /** Rows whose earlier content would be put back. */
  readonly restore: number;
  /** Changes by others, at most the first 100; they are left alone unless forced. */
  readonly foreign: readonly ForeignChange[];
  readonly foreignTotal: number;
  /** True: what is needed to go back that far was trimmed; `oldest` is the oldest mark left. */
  readonly trimmed: boolean;
  readonly oldest: SinkMark;
  /** What was written since the mark and stays there, whatever is done; left out where all goes. */
  readonly stays?: StayingRecords;
  /** How much of what stays has no answer, where a sink answers it: going back is NOT_REVERTIBLE unless forced. Left out for none. */
  readonly unanswered?: number;
  /** Changes whenever the answer might: part of the plan's hash. */
  readonly fingerprint: string;
}

/** What going back did. */
export interface SinkReverted {
  readonly removed: number;
  readonly restored: number;
  /** The source records of the writes that were taken back. */
  readonly records: number;
  readonly kept: readonly ForeignChange[];
  /** What stays; what was done about it, where the sink was given a way to answer, is counted in `restored`. */
  readonly stays?: StayingRecords;
  /** The mark that now names the reverted data: a new one, so that the revert can itself be reverted. */
  readonly mark: SinkMark;
}

/**
 * Where a pipeline's records go. Every sink passes the sink kit (`@mementojs/memento/testing`).
 *
 * Order of calls: `open`, `fence`, then any of the others, `close` last. All effects of one call are atomic: a crash leaves
 * the data of before or of after. Rows of other timelines are never touched. LOCKED is thrown where the engine's own lock
 * is held by somebody else; it may be tried again.
 */
export interface Sink<Row = unknown> {
  /** For example `sqlite-table`. */
  readonly kind: string;
  readonly supports: SinkSupports;
  /** Where it writes, for people; without secrets. */
  describe(): string;
  open(context: SinkContext): Promise<void>;
  /**
   * An identity of the place itself, kept there: the same after the place was moved, copied or renamed, and another one for a
   * place that was made anew. Empty while the sink has never written anything there. Marks are kept by it.
   */
  place(): Promise<string>;
  /** False where there is nothing at the place yet, which the first call that writes would make. Without it, `open` has made what is needed. May be called before `fence`. */
  exists?(): Promise<boolean>;
  /** Raises the epoch; afterwards every lower one is refused. A lower epoch than the sink's is itself refused with FENCED. */
  fence(epoch: number): Promise<void>;
  mark(): Promise<SinkMark>;
  write(rows: readonly Row[], write: SinkWrite): Promise<SinkWritten>;
  /** Says what `revertTo(mark)` would do; changes nothing, works without a lease. */
  inspect(mark: SinkMark): Promise<SinkInspection>;
  /** Puts the timeline's data back to what it was at `mark`; `force` takes foreign changes too. Repeating it with the same token does nothing more. TRIMMED when it cannot. */
  revertTo(mark: SinkMark, write: SinkWrite, options: { readonly force: boolean }): Promise<SinkReverted>;
  /** Forgets what is needed only to go back to before `oldest`; later `inspect` says `trimmed` for such marks. */
  trim(oldest: SinkMark): Promise<void>;
  close(): Promise<void>;
}
