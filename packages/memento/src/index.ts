export * from "./caretaker/index.ts";
export { ERROR_CATALOGUE, isMementoError, MementoError, type ErrorCode } from "./core/errors.ts";
export type { MementoEntry, MementoReason, MementoStatus } from "./core/memento.ts";
export { Memento, type CaretakerPlace, type MementoOptions } from "./memento.ts";
export type { ApproveOptions, ApproveResult } from "./orchestrator/approval.ts";
export type { ApprovalDecision, ApprovalRecord } from "./orchestrator/approval-record.ts";
export type { CancelOptions, CancelResult } from "./orchestrator/cancel.ts";
export { fromEnvironment, fromFunction } from "./orchestrator/credentials/environment.ts";
export { definePipeline, isPipeline, type Pipeline } from "./orchestrator/pipeline.ts";
export { systemProcessProbe, type ProcessProbe } from "./vault/process-identity.ts";
export type * from "./orchestrator/participants/pipeline-participant.ts";
export type { AdoptChoice, AdoptOptions, AdoptPlan, AdoptResult, ForkData } from "./orchestrator/adopt.ts";
export type { DocumentChange, DocumentEdit, EditDocument } from "./orchestrator/edit-document.ts";
export type { EditOptions, EditResult } from "./orchestrator/edit.ts";
export type { RollbackPlan } from "./orchestrator/plan.ts";
export type { ResetChoice, ResetOptions, ResetPlan, ResetResult } from "./orchestrator/reset.ts";
export type { PlanOptions, RollbackOptions, RollbackResult } from "./orchestrator/rollback.ts";
export type { RunEvent } from "./orchestrator/run-event.ts";
export {
  PIECE,
  readSnapshot,
  type PipelineSnapshot,
  type ProgressRecord,
  type RunRecord,
} from "./orchestrator/run-state.ts";
export type * from "./orchestrator/schemas/check-pipeline.ts";
export type { SchemaStamp, ValueSchema } from "./orchestrator/schemas/value-schema.ts";
export type { RunOptions, RunResult } from "./orchestrator/runner.ts";
export { resolveTarget } from "./orchestrator/target.ts";
export type { CheckpointPolicy, Flow, FlowSummary, Stage, StageContext } from "./orchestrator/stage.ts";
export { listBackup, verifyFile } from "./portable.ts";
export type * from "./portable.ts";
export * from "./replicated.ts";
export type * from "./vault/archive/index.ts";
export type * from "./vault/repair.ts";
export type { StoreDigest } from "./vault/memento-sums.ts";
export type * from "./vault/transfer/index.ts";
export type { Damage, VerifyOptions, VerifyReport, VerifyState } from "./vault/verify.ts";
export type { KeySurvey, RevokeOptions, RotateOptions, RotateReport } from "./vault/index.ts";
