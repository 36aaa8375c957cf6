import type { PipelineSnapshot } from "../../run/run-state.ts";
import type { SinkReverted, SinkWrite, StayingRecords } from "../../sinks/sink.ts";
import type { RollbackPlan } from "../plan.ts";

/** What can take part in a restore. */
export type ParticipantKind = "source" | "sink" | "credential" | "ledger" | "originator" | "stage";

/** Where a restore comes from, and where it goes. */
export interface RestoreGoal {
  readonly now: PipelineSnapshot;
  readonly wanted: PipelineSnapshot;
}

/** What a participant adds to a plan. */
export interface PlanPart extends Partial<
  Pick<RollbackPlan, "sources" | "sinks" | "participants" | "undo" | "credentials">
> {
  /** True: it cannot go there, and refuses the plan unless it is forced by its name. */
  readonly refused?: boolean;
}

/** What became of one part of a restore. */
export interface PartEvidence {
  readonly kind: ParticipantKind;
  readonly name: string;
  readonly verdict: "reverted" | "compensated" | "re-acquired" | "unchanged" | "not revertible";
  /** The run whose stage was undone. */
  readonly run?: string;
}

/** What became of one sink. */
export interface SinkEvidence {
  readonly name: string;
  readonly verdict: PartEvidence["verdict"];
  readonly removed: number;
  readonly restored: number;
  readonly kept: SinkReverted["kept"];
  readonly stays?: StayingRecords;
}

/** What a participant did, and what the new head is to say of it. */
export interface PartReverted {
  readonly evidence: PartEvidence;
  readonly sink?: SinkEvidence;
  readonly pieces?: ReadonlyMap<string, unknown>;
}

/**
 * One part of a restore, as the restore sees it: it knows nothing else of sources, sinks, credentials, ledgers and stages.
 * Order of calls: `inspect` at any time; then `fence` of all, `revert` of each, `verify` of all once the new head is appended.
 * Each may be repeated after a crash.
 */
export interface Participant {
  readonly kind: ParticipantKind;
  readonly name: string;
  /** Tells it from all others of the restore: kind and name, and for the stage of a run also the run. */
  readonly key: string;
  /** True: what it has done cannot be asked of it, so that the restore itself remembers after `revert` that it is done. A crash between the two does it again. */
  readonly remembered: boolean;
  /** Says what going there would do; changes nothing. */
  inspect(goal: RestoreGoal): Promise<PlanPart>;
  /** Refuses every lower epoch from now on. */
  fence(epoch: number): Promise<void>;
  /** Goes there; `force` takes what others changed too. Repeating it with the same token does nothing more. */
  revert(goal: RestoreGoal, write: SinkWrite, options: { readonly force: boolean }): Promise<PartReverted>;
  /** Throws DAMAGED when it is not what the new head says. */
  verify(restored: PipelineSnapshot): Promise<void>;
}
