import type { Json } from "../../../core/json.ts";
import type { ForeignChange, SinkContext, SinkWrite } from "../../sinks/sink.ts";

/** A participant's word for "what I hold of this timeline as of now"; null is "nothing yet". Opaque to everyone else. */
export type ParticipantMark = Json;

/** What going back to a mark would do. */
export interface ParticipantInspection {
  /** Entries that would be taken out. */
  readonly remove: number;
  /** Entries whose earlier content would be put back. */
  readonly restore: number;
  /** Changes by others, at most the first 100; they are left alone unless forced. */
  readonly foreign: readonly ForeignChange[];
  readonly foreignTotal: number;
  /** Why it cannot go there, in one sentence; empty where it can. */
  readonly problem: string;
  /** Changes whenever the answer might: part of the plan's hash. */
  readonly fingerprint: string;
}

/** What going back did. */
export interface ParticipantReverted {
  readonly removed: number;
  readonly restored: number;
  readonly kept: readonly ForeignChange[];
  /** The mark that now names what it holds: a new one, so that the revert can itself be reverted. */
  readonly mark: ParticipantMark;
}

/**
 * Something of a pipeline's own that goes back together with its offsets, state and sinks: the ledger of an ingestion, or
 * another originator. The stages write to it themselves, by `context.participants`; its mark is asked for and kept with
 * every memento that describes finished work, and a run that is resumed first takes it back to the mark of its head.
 *
 * Order of calls: `open`, `fence`, then any of the others and the stages' own, `close` last. What it does under an epoch lower
 * than the one that it was fenced with last is refused with FENCED, also by another process. All effects of one call are
 * atomic, and what belongs to other timelines is never touched.
 */
export interface PipelineParticipant {
  readonly kind: "ledger" | "originator";
  /** What it is, for people; without secrets. */
  describe(): string;
  open(context: SinkContext): Promise<void>;
  /** Raises the epoch; what the stages write from now on carries it. */
  fence(epoch: number): Promise<void>;
  mark(): Promise<ParticipantMark>;
  /** Says what `revertTo(mark)` would do; changes nothing, works without a lease. */
  inspect(mark: ParticipantMark): Promise<ParticipantInspection>;
  /** Goes back to what it held at `mark`. Repeating it with the same token does nothing more. */
  revertTo(mark: ParticipantMark, write: SinkWrite, options: { readonly force: boolean }): Promise<ParticipantReverted>;
  /** Forgets what is needed only to go back to before `oldest`. */
  trim?(oldest: ParticipantMark): Promise<void>;
  close(): Promise<void>;
}
