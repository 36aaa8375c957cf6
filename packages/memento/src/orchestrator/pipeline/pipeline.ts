import { MementoError } from "../../core/errors.ts";
import { checkName } from "../../core/ids.ts";
import type { CredentialProvider, Credential } from "../credentials/provider.ts";
import type { PipelineParticipant } from "../repair/participants/pipeline-participant.ts";
import { itemText, schemasOf } from "../schemas/pipeline-schemas.ts";
import { checkSchema, type ValueSchema } from "../schemas/value-schema.ts";
import type { Sink } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { orderStages } from "./graph.ts";
import { stageBuilder, type StageBuilder } from "./stage-builder.ts";
import type { CheckpointPolicy, Stage, StageDefinition } from "./stage.ts";
import type { StandardSchema } from "./standard-schema.ts";
import { inlineFactories, prefixed, type SubPipeline } from "./sub-pipeline.ts";

/** What a source or sink is built from. */
export interface ResourceContext<Params, CredentialName extends string = string> {
  readonly params: Params;
  readonly credentials: Readonly<Record<CredentialName, Credential>>;
}

/** How a run that was interrupted goes on: by itself, only when asked to, or never. */
export type ResumePolicy = "auto" | "ask" | "never";

/** A pipeline, as it is declared. */
export interface PipelineOptions<
  Params,
  Sources extends Record<string, Source>,
  Sinks extends Record<string, Sink<never>>,
  Credentials extends Record<string, CredentialProvider>,
> {
  readonly name: string;
  /** The version of the code; a memento keeps it. */
  readonly version: string;
  /** Standard Schema of the parameters; without one, any record of values is taken. */
  readonly params?: StandardSchema<Params>;
  /** The version of the state's shape, and the ways to it from earlier ones. What pipelines inside keep is theirs, and not cast by it. */
  readonly schema?: ValueSchema;
  /** The same for the offsets of sources, by name: what `Record<partition, offset>` a source has. */
  readonly offsetSchemas?: Readonly<Partial<Record<Extract<keyof Sources, string>, ValueSchema>>>;
  readonly credentials?: Credentials;
  /** How each source is built for a run. */
  readonly sources?: {
    readonly [Name in keyof Sources]: (
      context: ResourceContext<Params, Extract<keyof Credentials, string>>,
    ) => Sources[Name];
  };
  /** How each sink is built for a run. */
  readonly sinks?: {
    readonly [Name in keyof Sinks]: (
      context: ResourceContext<Params, Extract<keyof Credentials, string>>,
    ) => Sinks[Name];
  };
  /** What else goes back together with offsets, state and sinks, and how each is built for a run; not with `concurrency` above 1. */
  readonly participants?: Readonly<
    Record<string, (context: ResourceContext<Params, Extract<keyof Credentials, string>>) => PipelineParticipant>
  >;
  /** Default `stage`. */
  readonly checkpoint?: CheckpointPolicy;
  /** Default `auto`. */
  readonly resume?: ResumePolicy;
  /** The most records of one batch; default 1,000. */
  readonly batchRecords?: number;
  /** The most stages at once; default 1. */
  readonly concurrency?: number;
  /** Declares the stages; pure, called once. */
  readonly stages: (
    stage: StageBuilder<Params, Sources, Sinks, Extract<keyof Credentials, string>>,
  ) => readonly Stage[];
}

/** A declared pipeline. Made by `definePipeline`; holds nothing open. */
export interface Pipeline {
  readonly type: "memento.pipeline";
  readonly name: string;
  readonly version: string;
  readonly params: StandardSchema | null;
  readonly schema: ValueSchema | null;
  readonly offsetSchemas: Readonly<Record<string, ValueSchema>>;
  /** Of the state of pipelines inside this one, by the key under which it is kept. */
  readonly innerSchemas: Readonly<Record<string, ValueSchema>>;
  readonly credentials: Readonly<Record<string, CredentialProvider>>;
  readonly sources: Readonly<Record<string, (context: ResourceContext<unknown>) => Source>>;
  readonly sinks: Readonly<Record<string, (context: ResourceContext<unknown>) => Sink>>;
  readonly participants: Readonly<Record<string, (context: ResourceContext<unknown>) => PipelineParticipant>>;
  readonly checkpoint: CheckpointPolicy;
  readonly resume: ResumePolicy;
  readonly batchRecords: number;
  readonly concurrency: number;
  /** In an order in which each stage comes after those it needs. */
  readonly stages: readonly StageDefinition[];
}

/**
 * Declares a pipeline; pure. Throws INVALID_PIPELINE, naming the stage, for doubled names, an old name (`was`) that several
 * have or had, stages that are not there, cycles, and unknown sources or sinks.
 */
export function definePipeline<
  Params = Readonly<Record<string, unknown>>,
  Sources extends Record<string, Source> = Record<never, never>,
  Sinks extends Record<string, Sink<never>> = Record<never, never>,
  Credentials extends Record<string, CredentialProvider> = Record<never, never>,
>(options: PipelineOptions<Params, Sources, Sinks, Credentials>): Pipeline {
  const name = checkName("The pipeline", options.name);
  const { params = null, checkpoint = "stage", resume = "auto", batchRecords = 1_000, version } = options;
  const { concurrency = 1 } = options;
  for (const [option, value] of Object.entries({ batchRecords, concurrency })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new MementoError(
      "INVALID_PIPELINE",
      `Pipeline ${name}: ${option} is ${value} and must be a whole number from 1 on`,
    );
  }
  const { builder, parts } = stageBuilder<Params, Sources, Sinks, Extract<keyof Credentials, string>>();
  const declared = options.stages(builder).map(({ definition }) => definition);
  const subs = [...new Set(declared)].flatMap((definition) => parts.get(definition) ?? []);
  const stages = orderStages(
    name,
    declared.flatMap((definition) => parts.get(definition)?.stages ?? [definition]),
  );
  const pipeline: Pipeline = {
    type: "memento.pipeline",
    name,
    version,
    params,
    schema: options.schema ?? null,
    offsetSchemas: merged(
      name,
      "offset schema",
      (options.offsetSchemas ?? {}) as Readonly<Record<string, ValueSchema>>,
      subs,
      (sub) => prefixed(sub, sub.child.offsetSchemas),
    ),
    innerSchemas: merged(name, "state schema", {}, subs, innerSchemas),
    credentials: merged(name, "credential", options.credentials ?? {}, subs, (sub) =>
      prefixed(sub, sub.child.credentials),
    ),
    // The factories are only ever called with this pipeline's own parameters and credentials.
    sources: merged(name, "source", (options.sources ?? {}) as unknown as Pipeline["sources"], subs, (sub) =>
      inlineFactories(sub, sub.child.sources),
    ),
    sinks: merged(name, "sink", (options.sinks ?? {}) as unknown as Pipeline["sinks"], subs, (sub) =>
      inlineFactories(sub, sub.child.sinks),
    ),
    participants: merged(
      name,
      "participant",
      (options.participants ?? {}) as unknown as Pipeline["participants"],
      subs,
      (sub) => inlineFactories(sub, sub.child.participants),
    ),
    checkpoint,
    resume,
    batchRecords,
    concurrency,
    stages,
  };
  const atOnce = Math.max(concurrency, ...stages.map((stage) => (stage.type === "each" ? stage.concurrency : 1)));
  if (atOnce > 1 && Object.keys(pipeline.participants).length > 0)
    throw new MementoError(
      "INVALID_PIPELINE",
      `Pipeline ${name}: with participants its stages and items run one after the other, and concurrency is ${atOnce}`,
    );
  for (const stage of stages) checkResources(pipeline, stage);
  for (const [item, schema] of schemasOf(pipeline)) checkSchema(schema, itemText(item));
  return pipeline;
}

/** What the pipeline has itself, and what those inside bring under their names. INVALID_PIPELINE for a name that two of them have. */
function merged<Value>(
  pipeline: string,
  kind: string,
  own: Readonly<Record<string, Value>>,
  subs: readonly SubPipeline[],
  of: (sub: SubPipeline) => Readonly<Record<string, Value>>,
): Readonly<Record<string, Value>> {
  const all = new Map(Object.entries(own));
  const owners = new Map(Object.keys(own).map((name) => [name, `pipeline ${pipeline} itself`]));
  for (const sub of subs) {
    for (const [name, value] of Object.entries(of(sub))) {
      const owner = `the pipeline inside as ${sub.end.name}`;
      const other = owners.get(name);
      if (other !== undefined)
        throw new MementoError(
          "INVALID_PIPELINE",
          `Pipeline ${pipeline}: ${other} and ${owner} both have the ${kind} ${name}`,
        );
      all.set(name, value);
      owners.set(name, owner);
    }
  }
  return Object.fromEntries(all);
}

function innerSchemas(sub: SubPipeline): Readonly<Record<string, ValueSchema>> {
  const { schema, innerSchemas: deeper } = sub.child;
  // What is two levels down is kept inside of the state of its own parent, and cannot be told apart here.
  if (Object.keys(deeper).length > 0)
    throw new MementoError(
      "INVALID_PIPELINE",
      `Pipeline ${sub.child.name} has a pipeline inside whose state has a schema, and is inside another one itself`,
    );
  return schema === null ? {} : { [sub.scope.prefix]: schema };
}

/** True for what `definePipeline` returns, also from another copy of the library. */
export function isPipeline(value: unknown): value is Pipeline {
  return typeof value === "object" && value !== null && "type" in value && value.type === "memento.pipeline";
}

function checkResources(pipeline: Pipeline, stage: StageDefinition): void {
  const wanted: [kind: string, name: string, known: object][] = [];
  if (stage.type === "read") wanted.push(["source", stage.source, pipeline.sources]);
  if (stage.type === "write") wanted.push(["sink", stage.sink, pipeline.sinks]);
  if (stage.type === "map" && stage.quarantine !== null) wanted.push(["sink", stage.quarantine, pipeline.sinks]);
  for (const [kind, name, known] of wanted) {
    if (Object.hasOwn(known, name)) continue;
    const names = Object.keys(known).join(", ") || "none";
    throw new MementoError(
      "INVALID_PIPELINE",
      `Stage ${stage.name} names the ${kind} ${name}; the pipeline has ${names}`,
    );
  }
}
