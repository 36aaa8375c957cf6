import { MementoError } from "../../core/errors.ts";
import { checkName } from "../../core/ids.ts";
import type { Credential } from "../credentials/provider.ts";
import type { Pipeline, ResourceContext } from "./pipeline.ts";
import type { StageDefinition, StageScope, TaskStage } from "./stage.ts";
import { describeIssues } from "./standard-schema.ts";

/** What is said of a pipeline inside another one. */
export interface SubPipelineRequest {
  readonly name: string;
  readonly child: Pipeline;
  readonly params: (params: unknown) => unknown;
}

/** A pipeline inside another one: its stages under `name.`, and a last one called `name` whose output is what the child's ends gave. */
export interface SubPipeline {
  readonly child: Pipeline;
  readonly scope: StageScope;
  readonly stages: readonly StageDefinition[];
  readonly end: StageDefinition;
}

/** What has nothing before it in the child comes after what the whole comes after. */
export function subPipeline(
  { name, child, params }: SubPipelineRequest,
  whole: Omit<TaskStage, "type" | "run" | "input" | "output" | "schema" | "undo">,
): SubPipeline {
  const scope: StageScope = {
    prefix: `${name}.`,
    params: (given) => childParams(name, child, params(given)),
    batchRecords: child.batchRecords,
  };
  const needed = new Set(child.stages.flatMap(({ after }) => after));
  const ends = child.stages.filter((stage) => !needed.has(stage.name));
  const end: StageDefinition = {
    ...whole,
    type: "task",
    after: ends.length === 0 ? whole.after : ends.map((stage) => scope.prefix + stage.name),
    inputs: Object.fromEntries(ends.map((stage) => [stage.name, scope.prefix + stage.name])),
    run: (_context, outputs) => outputs,
    input: null,
    output: null,
    schema: null,
    undo: null,
  };
  return {
    child,
    scope,
    end,
    stages: [...child.stages.map((stage) => inlined(stage, child, scope, whole.after)), end],
  };
}

function inlined(stage: StageDefinition, child: Pipeline, own: StageScope, before: readonly string[]): StageDefinition {
  const full = (name: string): string => own.prefix + name;
  const { scope } = stage;
  const common = {
    name: checkName("The stage", full(stage.name)),
    after: stage.after.length === 0 ? before : stage.after.map(full),
    inputs: Object.fromEntries(Object.entries(stage.inputs).map(([name, from]) => [name, full(from)])),
    was: stage.was.map(full),
    checkpoint: stage.checkpoint ?? child.checkpoint,
    scope:
      scope === null
        ? own
        : {
            prefix: own.prefix + scope.prefix,
            params: (whole: unknown) => scope.params(own.params(whole)),
            batchRecords: scope.batchRecords,
          },
  };
  switch (stage.type) {
    case "read":
      return { ...stage, ...common, source: full(stage.source) };
    case "write":
      return { ...stage, ...common, sink: full(stage.sink) };
    case "map":
      return { ...stage, ...common, quarantine: stage.quarantine === null ? null : full(stage.quarantine) };
    case "task":
    case "each":
    case "approval":
      return { ...stage, ...common };
  }
}

type Factories<Made> = Readonly<Record<string, (context: ResourceContext<unknown>) => Made>>;

/** A child's sources, sinks or participants under `name.`, built from the child's own parameters and credentials. */
export function inlineFactories<Made>(sub: SubPipeline, factories: Factories<Made>): Factories<Made> {
  const { prefix, params } = sub.scope;
  return Object.fromEntries(
    Object.entries(factories).map(([name, build]) => [
      prefix + name,
      (context: ResourceContext<unknown>) =>
        build({ params: params(context.params), credentials: ownCredentials(prefix, context.credentials) }),
    ]),
  );
}

/** The entries of a record under `name.`. */
export function prefixed<Value>(
  { scope }: SubPipeline,
  values: Readonly<Record<string, Value>>,
): Readonly<Record<string, Value>> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [scope.prefix + key, value]));
}

function ownCredentials(
  prefix: string,
  credentials: Readonly<Record<string, Credential>>,
): Readonly<Record<string, Credential>> {
  const own = Object.entries(credentials).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, credential]) => [name.slice(prefix.length), credential]));
}

function childParams(name: string, child: Pipeline, params: unknown): unknown {
  if (child.params === null) return params;
  const result = child.params["~standard"].validate(params);
  if (result instanceof Promise) {
    throw new MementoError(
      "INVALID_PIPELINE",
      `The parameters of pipeline ${child.name} are checked by a schema that takes its time; inside another pipeline (${name}) it has to answer at once`,
    );
  }
  if (result.issues === undefined) return result.value;
  throw new MementoError(
    "PARAMS_INVALID",
    `The parameters of ${name} (pipeline ${child.name}) do not fit: ${describeIssues(result.issues)}`,
  );
}
