import { MementoError } from "../../core/errors.ts";
import { checkName } from "../../core/ids.ts";
import type { ValueSchema } from "../schemas/value-schema.ts";
import type { Sink } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import type { Pipeline } from "./pipeline.ts";
import { retryPolicy, type RetryOptions } from "./retry.ts";
import type {
  Approval,
  ApprovalStage,
  CheckpointPolicy,
  EachStage,
  Flow,
  FlowSummary,
  InvalidPolicy,
  MapStage,
  Stage,
  StageContext,
  StageDefinition,
  TaskStage,
  UndoContext,
} from "./stage.ts";
import type { StandardSchema } from "./standard-schema.ts";
import { subPipeline, type SubPipeline } from "./sub-pipeline.ts";

/** The stages that come before: by value, which carries their types on, or by name. */
export type After = Readonly<Record<string, Stage>> | readonly (string | Stage)[];

/** What a task receives: the outputs of the stages in `after`, by the names given there. */
export type InputOf<Before> = Before extends readonly unknown[]
  ? Readonly<Record<string, unknown>>
  : { readonly [Name in keyof Before]: Before[Name] extends Stage<infer Output> ? Output : unknown };

type RowOf<Resource> = Resource extends Source<infer Row> ? Row : unknown;
type SinkRowOf<Resource> = Resource extends Sink<infer Row> ? Row : unknown;
type NameOf<Resources> = Extract<keyof Resources, string>;

/** What every stage may say. */
export interface StageOptions<Before extends After = After> {
  readonly after?: Before;
  /** Overrides the pipeline's policy for this stage. */
  readonly checkpoint?: CheckpointPolicy;
  /** True: a memento is taken before the stage starts. Default false. */
  readonly risky?: boolean;
  /** Names that it had before: an unfinished run in which it is done under one of them goes on. No other stage has or had one of them. */
  readonly was?: string | readonly string[];
  /** Looked at when the stage's turn has come: false passes it over, and its output is undefined. Of a flow, what comes after it is passed over too. */
  readonly when?: (input: InputOf<Before>, context: StageContext<never>) => unknown;
  /** How it is tried again when it fails; of a flow, the first that is given counts for the whole. Default: not at all. */
  readonly retry?: RetryOptions;
  /** The most that one attempt may take; sleeps do not count. Default: no limit. */
  readonly timeoutMs?: number;
  /** The longest that an attempt may be silent; reads, writes, progress and `heartbeat()` are signs of life. Default: no limit. */
  readonly heartbeatMs?: number;
}

/** What a task may say besides. */
export interface TaskOptions<
  Before extends After,
  Input,
  Output,
  Params = unknown,
  CredentialName extends string = string,
> extends StageOptions<Before> {
  /** Checks what the task is given; what the schema makes of it is what it gets. SCHEMA_MISMATCH. */
  readonly input?: StandardSchema<Input>;
  /** Checks what the task gives; what the schema makes of it is its output. SCHEMA_MISMATCH. */
  readonly output?: StandardSchema<Output>;
  /** The version of its output's shape, and the ways to it from earlier ones. */
  readonly schema?: ValueSchema;
  /** Takes back what the task did outside of all sinks; called when a rollback goes to before its end, at least once. */
  readonly undo?: (context: UndoContext<Params, CredentialName>, output: Output) => unknown;
}

/** What a pipeline inside another one may say. */
export interface PipelineStageOptions<Params> {
  readonly after?: After;
  /** Its parameters, out of those of the whole run; by default the same. */
  readonly params?: (params: Params) => unknown;
}

/** What a stage that goes over a list may say. */
export interface EachOptions<Before extends After, Item, Context> extends StageOptions<Before> {
  /** The list; asked for once, and kept. */
  readonly items: (input: InputOf<Before>, context: Context) => readonly Item[] | Promise<readonly Item[]>;
  /** The most items at once; default 1. */
  readonly concurrency?: number;
}

/** Declares stages; what it returns goes into the list that `stages` gives back, and into `after` of later ones. */
export interface StageBuilder<Params, Sources, Sinks, CredentialName extends string> {
  /** A stage that runs once and gives an output. */
  task<Output>(
    name: string,
    run: (context: StageContext<Params, NameOf<Sources>, NameOf<Sinks>, CredentialName>) => Output,
  ): Stage<Awaited<Output>>;
  task<const Before extends After, Output, Input = InputOf<Before>, Checked = Awaited<Output>>(
    name: string,
    options: TaskOptions<Before, Input, Checked, Params, CredentialName>,
    run: (context: StageContext<Params, NameOf<Sources>, NameOf<Sinks>, CredentialName>, input: Input) => Output,
  ): Stage<Checked>;
  /** A stage that runs once for each item of a list, with a memento for each that is done; its output is the list of their outputs. */
  each<const Before extends After, Item, Output>(
    name: string,
    options: EachOptions<Before, Item, StageContext<Params, NameOf<Sources>, NameOf<Sinks>, CredentialName>>,
    run: (
      context: StageContext<Params, NameOf<Sources>, NameOf<Sinks>, CredentialName>,
      item: Item,
      index: number,
    ) => Output,
  ): Stage<readonly Awaited<Output>[]>;
  /** A stage at which the run pauses until somebody approves (`memento approve`); its output says who did. */
  approval(name: string, options?: StageOptions & { readonly message?: string }): Approval;
  /**
   * Another pipeline as a part of this one: its stages, sources, sinks and credentials under `name.`, all on this one's timeline, so
   * that a resumption and a rollback cover both. Its output is what its last stages gave, by their names.
   */
  pipeline(
    name: string,
    child: Pipeline,
    options?: PipelineStageOptions<Params>,
  ): Stage<Readonly<Record<string, unknown>>>;
  /** Starts a flow: the records of a source. */
  read<Name extends NameOf<Sources>>(
    name: string,
    options: { readonly source: Name } & StageOptions,
  ): Flow<RowOf<Sources[Name]>>;
  /** Checks records against a schema; those that fail follow `onInvalid` (default `fail`). */
  map<Output>(
    name: string,
    options: MapOptions<Sinks> & { readonly after: Flow; readonly schema: StandardSchema<Output> },
  ): Flow<Output>;
  /** Checks, then changes each record: into one, several (an array) or none (undefined). */
  map<Row, Output, Checked = Row>(
    name: string,
    options: MapOptions<Sinks> & {
      readonly after: Flow<Row>;
      readonly schema?: StandardSchema<Checked>;
      readonly run: (
        record: Checked,
        context: StageContext<Params, NameOf<Sources>, NameOf<Sinks>, CredentialName>,
      ) => Output;
    },
  ): Flow<MappedRow<Output>>;
  /** Ends a flow: its records go to a sink. */
  write<Name extends NameOf<Sinks>>(
    name: string,
    options: { readonly after: Flow<SinkRowOf<Sinks[Name]>>; readonly sink: Name } & Omit<StageOptions, "after">,
  ): Stage<FlowSummary>;
}

type MappedRow<Output> = Awaited<Output> extends readonly (infer Item)[] ? Item : Exclude<Awaited<Output>, undefined>;

interface MapOptions<Sinks> extends Omit<StageOptions, "after"> {
  readonly onInvalid?: InvalidPolicy;
  readonly quarantine?: NameOf<Sinks>;
}

/** A builder, and the pipelines that were declared as parts: each by the stage at its end. */
export interface BuiltStages<Builder> {
  readonly builder: Builder;
  readonly parts: ReadonlyMap<StageDefinition, SubPipeline>;
}

/** The builder that `definePipeline` hands to `stages`. */
export function stageBuilder<Params, Sources, Sinks, CredentialName extends string>(): BuiltStages<
  StageBuilder<Params, Sources, Sinks, CredentialName>
> {
  const parts = new Map<StageDefinition, SubPipeline>();
  const pipeline = (name: string, child: Pipeline, options: PipelineStageOptions<unknown> = {}): Stage => {
    const { after = [], params = (whole) => whole } = options;
    const sub = subPipeline({ name, child, params }, common(name, { after }));
    parts.set(sub.end, sub);
    return { definition: sub.end };
  };
  const builder = { task, each, approval, pipeline, read, map, write };
  // Types hold at the call sites above; the definitions below are the same for every pipeline.
  return { builder: builder as unknown as StageBuilder<Params, Sources, Sinks, CredentialName>, parts };
}

function task(name: string, first: LooseTaskOptions | TaskStage["run"], second?: TaskStage["run"]): Stage {
  const options = typeof first === "function" ? {} : first;
  const run = typeof first === "function" ? first : second;
  if (run === undefined) throw new MementoError("INVALID_PIPELINE", `Stage ${name} has no function to run`);
  const { input = null, output = null, schema = null, undo = null } = options;
  return { definition: { type: "task", ...common(name, options), run, input, output, schema, undo } };
}

type LooseTaskOptions = StageOptions & { readonly schema?: ValueSchema } & Partial<
    Pick<TaskStage, "input" | "output" | "undo">
  >;

function each(
  name: string,
  options: StageOptions & Pick<EachStage, "items"> & { readonly concurrency?: number },
  run: EachStage["run"],
): Stage {
  const { items, concurrency = 1 } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new MementoError("INVALID_PIPELINE", `Stage ${name}: concurrency is ${concurrency}, and is at least 1`);
  return { definition: { type: "each", ...common(name, options), items, run, concurrency } };
}

function approval(name: string, options: StageOptions & Partial<Pick<ApprovalStage, "message">> = {}): Approval {
  return { definition: { type: "approval", ...common(name, options), message: options.message ?? "" } };
}

function read(name: string, options: StageOptions & { readonly source: string }): Stage {
  return { definition: { type: "read", ...common(name, options), source: options.source } };
}

function map(
  name: string,
  options: Partial<Pick<MapStage, "schema" | "onInvalid" | "quarantine" | "run">> &
    Omit<StageOptions, "after"> & { readonly after: Flow },
): Stage {
  const { schema = null, onInvalid = "fail", quarantine = null, run = null } = options;
  return {
    definition: {
      type: "map",
      ...common(name, { ...options, after: [options.after] }),
      schema,
      onInvalid,
      quarantine,
      run,
    },
  };
}

function write(
  name: string,
  options: Omit<StageOptions, "after"> & { readonly after: Flow; readonly sink: string },
): Stage {
  return { definition: { type: "write", ...common(name, { ...options, after: [options.after] }), sink: options.sink } };
}

type CommonPart = Pick<
  StageDefinition,
  | "name"
  | "after"
  | "inputs"
  | "checkpoint"
  | "risky"
  | "was"
  | "when"
  | "retry"
  | "timeoutMs"
  | "heartbeatMs"
  | "scope"
>;

function common(name: string, options: StageOptions): CommonPart {
  const before: After = options.after ?? [];
  const named = isList(before)
    ? before.map((stage) => [nameOf(stage), nameOf(stage)] as const)
    : Object.entries(before).map(([key, stage]) => [key, nameOf(stage)] as const);
  const { timeoutMs = null, heartbeatMs = null } = options;
  for (const [limit, value] of Object.entries({ timeoutMs, heartbeatMs }))
    if (value !== null && !(value > 0))
      throw new MementoError("INVALID_PIPELINE", `Stage ${name}: ${limit} is ${value}, and is more than 0`);
  return {
    name: checkName("The stage", name),
    after: named.map(([, stage]) => stage),
    inputs: Object.fromEntries(named),
    checkpoint: options.checkpoint ?? null,
    risky: options.risky ?? false,
    was: typeof options.was === "string" ? [options.was] : (options.was ?? []),
    when: options.when ?? null,
    retry: options.retry === undefined ? null : retryPolicy(name, options.retry),
    timeoutMs,
    heartbeatMs,
    scope: null,
  };
}

const nameOf = (stage: string | Stage): string => (typeof stage === "string" ? stage : stage.definition.name);

const isList = (after: After): after is readonly (string | Stage)[] => Array.isArray(after);
