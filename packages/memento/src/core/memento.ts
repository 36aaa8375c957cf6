import type { JsonObject } from "./json.ts";

/** What kind of originator a memento is of. */
export type OriginatorKind = "pipeline" | "document" | "table" | "file" | "configuration" | "value";

/** Why a memento was taken. */
export type MementoReason =
  | "save"
  | "start"
  | "stage"
  | "interval"
  | "risk"
  | "failure"
  | "manual"
  | "pause"
  | "interrupt"
  | "cancel"
  | "retry"
  | "item"
  | "sleep"
  | "approval"
  | "credential"
  | "rollback-begin"
  | "rollback"
  | "edit"
  | "reset"
  | "adopt"
  | "resume"
  | "upcast"
  | "fork";

/** Where the run stood when the memento was taken; `saved` for anything that is no run. */
export type MementoStatus =
  | "saved"
  | "running"
  | "paused"
  | "interrupted"
  | "failed"
  | "cancelled"
  | "completed"
  | "reverting";

/** Sizes in bytes. */
export interface MementoSizes {
  /** Encoded pieces that belong to the memento, wherever they are held. */
  readonly logicalBytes: number;
  /** Encoded pieces that this record itself holds, and for a stream the chunks that its parts hold. */
  readonly heldBytes: number;
}

/**
 * The clear part of a memento: what a store may know, index and list without a key. The sealed record authenticates
 * every field, so a changed one is found when the memento is read.
 */
export interface MementoEntry {
  readonly id: string;
  readonly timeline: string;
  /** 1 for a timeline's first memento; grows by one each; orders the timeline. */
  readonly sequence: number;
  /** The memento before it on its line of descent; null for the first. After a rollback it is the rolled-back head. */
  readonly parent: string | null;
  readonly epoch: number;
  readonly generation: number;
  readonly caretaker: string;
  readonly originator: string;
  readonly kind: OriginatorKind;
  readonly reason: MementoReason;
  readonly status: MementoStatus;
  /** ISO 8601 in UTC with milliseconds; for people, never for order. */
  readonly created: string;
  /** Chosen by the user; unique among the caretaker's live mementos. */
  readonly name?: string;
  readonly run?: string;
  /** The pipeline's code version. */
  readonly version?: string;
  readonly stage?: string;
  readonly stageIndex?: number;
  readonly resumeCount?: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Only the metadata paths that the caretaker declares as queryable. */
  readonly metadata: JsonObject;
  readonly sizes: MementoSizes;
}
