import type { MementoReason, MementoStatus } from "../../core/memento.ts";
import type { CapturedPiece } from "../../vault/piece-capture.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import type { ProgressRecord } from "./run-state.ts";
import type { StageWork, StateChange, Unsettled } from "./stage-work.ts";

/** What one save says besides the run's present state. */
export interface SessionSave {
  readonly reason: MementoReason;
  /** Given as a function where it is to be known only when it is this save's turn. */
  readonly status: MementoStatus | (() => MementoStatus);
  /** Whose work is saved with it; nobody's when left out. */
  readonly work?: StageWork;
  readonly stage?: StageDefinition;
  /** The stage's output, which marks it as done. */
  readonly output?: { readonly value: unknown };
  /** True: the work is done, as an item is without being a stage's output; its progress goes. */
  readonly ended?: boolean;
  /** True: everything stays as the last memento has it, because what is in memory may be the middle of a batch. */
  readonly unchanged?: boolean;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly name?: string;
  /** True: the name moves here from the memento that has it. */
  readonly replaceName?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  /** Pieces that the session does not know of. */
  readonly extra?: ReadonlyMap<string, unknown>;
  readonly drop?: readonly string[];
}

/** What a save takes from the work it is of; settled once the memento is acknowledged. */
export interface Captured extends Unsettled {
  readonly pieces: Map<string, unknown>;
  readonly drop: string[];
  readonly unsaved: readonly (readonly [string, unknown])[];
  /** Outputs as they were at the ends of their stages; null where there are none. */
  readonly outputs: ReadonlyMap<string, CapturedPiece> | null;
  readonly state: readonly StateChange[];
  readonly progress: ProgressRecord | null;
}
