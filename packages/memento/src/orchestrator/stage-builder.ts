import { MementoError } from "../core/errors.ts";
import { checkName } from "../core/ids.ts";
import type { Sink } from "./sinks/sink.ts";
import type { Source } from "./sources/source.ts";
import type {
  CheckpointPolicy,
  Flow,
  FlowSummary,
  InvalidPolicy,
  Stage,
  StageContext,
  StageDefinition,
  TaskStage,
  MapStage,
} from "./stage.ts";
import type { StandardSchema } from "./standard-schema.ts";

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
}

/** Declares stages; what it returns goes into the list that `stages` gives back, and into `after` of later ones. */
export interface StageBuilder<Params, Sources, Sinks, CredentialName extends string> {
  /** A stage that runs once and gives an output. */
  task<Output>(
    name: string,
    run: (context: StageContext<Params, NameOf<Sources>, NameOf<Sinks>, CredentialName>) => Output,
  ): Stage<Awaited<Output>>;
  task<Output, const Before extends After>(
    name: string,
    options: StageOptions<Before>,
    run: (
      context: StageContext<Params, NameOf<Sources>, NameOf<Sinks>, CredentialName>,
      input: InputOf<Before>,
    ) => Output,
  ): Stage<Awaited<Output>>;
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

/** The builder that `definePipeline` hands to `stages`. */
export function stageBuilder<Params, Sources, Sinks, CredentialName extends string>(): StageBuilder<
  Params,
  Sources,
  Sinks,
  CredentialName
> {
  const builder = { task, read, map, write };
  // Types hold at the call sites above; the definitions below are the same for every pipeline.
  return builder as unknown as StageBuilder<Params, Sources, Sinks, CredentialName>;
}

function task(name: string, first: StageOptions | TaskStage["run"], second?: TaskStage["run"]): Stage {
  const options = typeof first === "function" ? {} : first;
  const run = typeof first === "function" ? first : second;
  if (run === undefined) throw new MementoError("INVALID_PIPELINE", `Stage ${name} has no function to run`);
  return { definition: { type: "task", ...common(name, options), run } };
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

function common(
  name: string,
  options: StageOptions,
): Pick<StageDefinition, "name" | "after" | "inputs" | "checkpoint" | "risky"> {
  const before: After = options.after ?? [];
  const named = isList(before)
    ? before.map((stage) => [nameOf(stage), nameOf(stage)] as const)
    : Object.entries(before).map(([key, stage]) => [key, nameOf(stage)] as const);
  return {
    name: checkName("The stage", name),
    after: named.map(([, stage]) => stage),
    inputs: Object.fromEntries(named),
    checkpoint: options.checkpoint ?? null,
    risky: options.risky ?? false,
  };
}

const nameOf = (stage: string | Stage): string => (typeof stage === "string" ? stage : stage.definition.name);

const isList = (after: After): after is readonly (string | Stage)[] => Array.isArray(after);
