import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../../core/errors.ts";
import { encodeValue } from "../../vault/codec.ts";
import { copyValue } from "../../vault/copy-value.ts";
import type { Pipeline } from "./pipeline.ts";
import { describeIssues } from "./standard-schema.ts";

/** Checks a run's parameters against the pipeline's schema. PARAMS_INVALID names each that does not fit. */
export async function parseParams(pipeline: Pipeline, params: unknown): Promise<unknown> {
  const parsed = await fitting(pipeline, params);
  encodeValue(parsed, "params");
  // Pipelines inside this one say now what they cannot take, and not when their turn has come.
  const scopes = new Map(pipeline.stages.map(({ scope }) => [scope?.prefix, scope]));
  for (const scope of scopes.values()) scope?.params(parsed);
  return parsed;
}

async function fitting(pipeline: Pipeline, params: unknown): Promise<unknown> {
  if (pipeline.params === null) return params;
  const result = await pipeline.params["~standard"].validate(params);
  if (result.issues !== undefined) {
    throw new MementoError(
      "PARAMS_INVALID",
      `The parameters of pipeline ${pipeline.name} do not fit: ${describeIssues(result.issues)}`,
    );
  }
  return result.value;
}

/** True when both are the same data; a prototype is none. */
export function sameParams(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(copyValue(a), copyValue(b));
}
