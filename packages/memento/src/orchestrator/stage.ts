import type { Json } from "../core/json.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { Credential } from "./credentials/provider.ts";
import type { SourceBatch, SourceOffsets } from "./sources/source.ts";
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
  /** Plain data that is kept with every memento of the timeline; change it freely. */
  readonly state: Record<string, unknown>;
  readonly progress: StageProgress;
  /** Aborts on Ctrl-C, SIGTERM, pause and takeover. */
  readonly signal: AbortSignal;
  /** Takes a memento now. Call it only between batches, where state, offsets and sinks describe the same moment. */
  checkpoint(options?: {
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly description?: string;
  }): Promise<MementoEntry>;
  /** Reads a source from where it stands. The batch counts as done when the loop asks for the next one. */
  read(source: SourceName): AsyncIterable<SourceBatch<unknown>>;
  /** Writes rows to a sink under the next token: once, whatever happens. */
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
}

/** A stage that runs once, from the outputs of the stages before it to an output of its own. */
export interface TaskStage extends StageBase {
  readonly type: "task";
  readonly run: (context: StageContext<never>, input: Readonly<Record<string, unknown>>) => unknown;
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
export type StageDefinition = TaskStage | ReadStage | MapStage | WriteStage;

declare const output: unique symbol;
declare const row: unique symbol;

/** A stage as its author holds it: the type of its output goes on to the stages after it. */
export interface Stage<Output = unknown> {
  readonly definition: StageDefinition;
  readonly [output]?: Output;
}

/** A flow stage: besides its summary as output, its records go on. */
export interface Flow<Row = unknown> extends Stage<FlowSummary> {
  readonly [row]?: Row;
}
