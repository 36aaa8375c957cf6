import { MementoError } from "../../core/errors.ts";
import type { TaskStage } from "../pipeline/stage.ts";
import { describeIssues } from "../pipeline/standard-schema.ts";

/** The value as the stage's schema gives it back; the value itself where there is no schema. SCHEMA_MISMATCH, naming stage and path. */
export async function fitted(stage: TaskStage, side: "input" | "output", value: unknown): Promise<unknown> {
  const schema = stage[side];
  if (schema === null) return value;
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  throw new MementoError(
    "SCHEMA_MISMATCH",
    `The ${side} of stage ${stage.name} does not fit its schema: ${describeIssues(result.issues)}`,
    { details: { stage: stage.name, side } },
  );
}
