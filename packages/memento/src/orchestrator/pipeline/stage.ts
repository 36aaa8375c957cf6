import type { Json } from "../../core/json.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { ApprovalDecision } from "../control/approval-record.ts";
import type { Credential } from "../credentials/provider.ts";
import type { PipelineParticipant } from "../repair/participants/pipeline-participant.ts";
import type { ValueSchema } from "../schemas/value-schema.ts";
import type { SourceBatch, SourceOffsets } from "../sources/source.ts";
import type { RetryPolicy } from "./retry.ts";
import type { StandardSchema } from "./standard-schema.ts";

/**
 * When mementos are taken besides a run's first and last: after each stage (`stage`), also inside a stage every so many
 * records or milliseconds, only where `checkpoint()` is called (`manual`), or not at all (`off`).
 */
export type CheckpointPolicy = "stage" | "manual" | "off" | CheckpointInterval;

/** A memento is due when either limit is reached; it is taken at the next point between two batches. */
export interface CheckpointInterval {
  readonly records?: number;
  readonly ms?: number;
}

/** What to do with a record that fails its schema. */
export type InvalidPolicy =
  | "fail"
  | "quarantine"
  /** Quarantine up to so many, then stop with TOO_MANY_INVALID. */
  | { readonly stopAfter: number };

/** A record that failed its schema. */
export interface InvalidRecord {
  readonly record: unknown;
  readonly issues: string;
}

/** What a flow stage has done so far, and at the end its output. */
export interface FlowSummary {
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly invalid: number;
  /** The first records that failed, at most 20. */
  readonly invalidSamples: readonly InvalidRecord[];
  /** Chained SHA-256 of all batches that came in and went out; null before the first. */
  readonly inputDigest: string | null;
  readonly outputDigest: string | null;
}

/** What a stage can see and do. */
export interface StageContext<
  Params = unknown,
  SourceName extends string = string,
  SinkName extends string = string,
  CredentialName extends string = string,
> {
  readonly params: Params;
  readonly run: { readonly id: string; readonly key: string | null; readonly resumeCount: number };
  readonly stage: string;
  /** Where each source stands: after the last record that is covered by a finished batch. */
  readonly offsets: Readonly<Record<string, SourceOffsets>>;
  readonly schemaVersions: Readonly<Record<string, string>>;
  /** Short-lived secrets; never put one into state, an output or a log. */
  readonly credentials: Readonly<Record<CredentialName, Credential>>;
  /** What the pipeline declares to go back together with its data; as it was built, of the type that it has. */
  readonly participants: Readonly<Record<string, PipelineParticipant>>;
  /** Plain data that is kept with every memento of the timeline; change it freely. */
  readonly state: Record<string, unknown>;
  readonly progress: StageProgress;
  /** Aborts on Ctrl-C, SIGTERM and takeover, and when the attempt is given up: by its timeout, or a missing heartbeat. */
  readonly signal: AbortSignal;
  /** Says that the stage is alive; reads, writes and progress say so too. Needed only where the stage has `heartbeatMs`. */
  heartbeat(): void;
  /**
   * Waits for so many milliseconds, or until a moment, across restarts: the moment is saved before the wait, and a run that is
   * taken up again waits for the rest alone. `name` tells the sleeps of a stage apart; each is slept once.
   * INVALID_ARGUMENT in the middle of a batch.
   */
  sleep(name: string, wait: number | { readonly until: Date }): Promise<void>;
  /**
   * Takes a memento now. A name that this stage of this run has given before moves to it; one that another memento has is EXISTS, or
   * moves too with `replace` (default false). INVALID_ARGUMENT in the middle of a batch, where state, offsets and sinks do not describe
   * the same moment; NAME_INVALID.
   */
  checkpoint(options?: {
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly description?: string;
    readonly replace?: boolean;
  }): Promise<MementoEntry>;
  /**
   * Reads a source from where it stands. The batch counts as done when the loop asks for the next one; where the loop is left before, it
   * comes again. INVALID_ARGUMENT where it is left after a write, and where the source is being read by another loop of the stage.
   */
  read(source: SourceName): AsyncIterable<SourceBatch<unknown>>;
  /** Writes rows to a sink under the next token: once, whatever happens. Calls at once are made one after the other. */
  write(sink: SinkName, rows: readonly unknown[]): Promise<void>;
  log(message: string, fields?: Readonly<Record<string, Json>>): void;
}

/** How far a stage is; shown to people, kept with its mementos. */
export interface StageProgress {
  readonly records: number;
  /** The whole, where it is known. */
  total: number | null;
  /** Counts work that is not read from a source. */
  add(records: number): void;
}

interface StageBase {
  readonly name: string;
  /** Names of the stages that must be done before. */
  readonly after: readonly string[];
  /** What the stage calls the outputs of those stages, and which stage each one is. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly checkpoint: CheckpointPolicy | null;
  /** True: a memento is taken before the stage starts. */
  readonly risky: boolean;
  /** Names that the stage had before. */
  readonly was: readonly string[];
  /** False from it skips the stage. */
  readonly when: ((input: Readonly<Record<string, unknown>>, context: StageContext<never>) => unknown) | null;
  readonly retry: RetryPolicy | null;
  /** The most one attempt may take, sleeps left out. */
  readonly timeoutMs: number | null;
  /** The longest an attempt may be silent. */
  readonly heartbeatMs: number | null;
  /** Set for stages that came with a pipeline inside this one. */
  readonly scope: StageScope | null;
}

/** How a stage of a pipeline inside another one sees what is its own. */
export interface StageScope {
  /** Stands before the names of its stages, sources, sinks and credentials: `child.`. */
  readonly prefix: string;
  /** The child's parameters, out of those of the run. PARAMS_INVALID. */
  readonly params: (params: unknown) => unknown;
  readonly batchRecords: number;
}

/** A stage that runs once, from the outputs of the stages before it to an output of its own. */
export interface TaskStage extends StageBase {
  readonly type: "task";
  readonly run: (context: StageContext<never>, input: Readonly<Record<string, unknown>>) => unknown;
  readonly input: StandardSchema | null;
  readonly output: StandardSchema | null;
  /** The version of the output's shape. */
  readonly schema: ValueSchema | null;
  /** Takes back, outside of all sinks, what the stage did; called when a rollback goes to before its end. */
  readonly undo: ((context: UndoContext<never>, output: unknown) => unknown) | null;
}

/** What undoing a stage can see. */
export interface UndoContext<Params = unknown, CredentialName extends string = string> {
  readonly params: Params;
  readonly run: { readonly id: string; readonly key: string | null };
  readonly stage: string;
  readonly credentials: Readonly<Record<CredentialName, Credential>>;
  readonly signal: AbortSignal;
}

/** A stage that runs once for each item of a list, with a memento for each that is done. */
export interface EachStage extends StageBase {
  readonly type: "each";
  readonly items: (input: Readonly<Record<string, unknown>>, context: StageContext<never>) => unknown;
  readonly run: (context: StageContext<never>, item: unknown, index: number) => unknown;
  /** The most items at once. */
  readonly concurrency: number;
}

/** A stage that waits for somebody's approval. */
export interface ApprovalStage extends StageBase {
  readonly type: "approval";
  readonly message: string;
}

/** A stage through which records flow: the first one of a flow reads a source. */
export interface ReadStage extends StageBase {
  readonly type: "read";
  readonly source: string;
}

/** A stage that checks or changes records on their way. */
export interface MapStage extends StageBase {
  readonly type: "map";
  readonly schema: StandardSchema | null;
  readonly onInvalid: InvalidPolicy;
  /** A sink for records that failed their schema, as `{ record, issues }` in JSON text. */
  readonly quarantine: string | null;
  readonly run: ((record: unknown, context: StageContext<never>) => unknown) | null;
}

/** A stage that hands records to a sink. */
export interface WriteStage extends StageBase {
  readonly type: "write";
  readonly sink: string;
}

/** Any stage, as the runner sees it. */
export type StageDefinition = TaskStage | EachStage | ApprovalStage | ReadStage | MapStage | WriteStage;

declare const output: unique symbol;
declare const row: unique symbol;

/** A stage as its author holds it: the type of its output goes on to the stages after it. */
export interface Stage<Output = unknown> {
  readonly definition: StageDefinition;
  readonly [output]?: Output;
}

/** An approval, whose output says who gave it. */
export type Approval = Stage<ApprovalDecision>;

/** A flow stage: besides its summary as output, its records go on. */
export interface Flow<Row = unknown> extends Stage<FlowSummary> {
  readonly [row]?: Row;
}
