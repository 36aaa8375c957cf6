import { MementoError, type Pipeline } from "@mementojs/memento";

import { lostNumber, readJsonOrText, type ReadJson } from "../exact-json.ts";

type Params = Readonly<Record<string, unknown>>;

/** Parameters as the command line has them: text by name. */
export type ParamTexts = Readonly<Record<string, string>>;

/**
 * Makes parameters of `--param NAME=VALUE`. A value that is JSON (42, true, null, [1], {"a":1}, "text") is read as such,
 * anything else is text, and so is a number that would not be written the same way again (007, 0.10) or kept as another one
 * (12345678901234567890); where the pipeline's schema refuses a value, the other reading is tried. `kept` are parameters that
 * stand besides them and are judged too. PARAMS_INVALID, before anything is made or held; INVALID_ARGUMENT where a number
 * would be kept as another one.
 */
export async function paramsFor(pipeline: Pipeline, texts: ParamTexts, kept: Params = {}): Promise<Params> {
  const readings = new Map(Object.entries(texts).map(([name, text]) => [name, readingsOf(text)]));
  const problems = await problemsOf(pipeline, { ...kept, ...paramsOf(readings) });
  const refused = new Set(problems.map(({ name }) => name));
  const chosen = new Map(
    [...readings].map(([name, both]) => [name, refused.has(name) ? { first: both.other, other: both.first } : both]),
  );
  for (const [name, { first }] of chosen) if (first.lost !== null) throw lostNumber(first.lost, `parameter ${name}`);
  const params = paramsOf(chosen);
  if (refused.size === 0) return params;
  const stillRefused = new Set((await problemsOf(pipeline, { ...kept, ...params })).map(({ name }) => name));
  if (stillRefused.size === 0) return params;
  const messages = problems.filter(({ name }) => stillRefused.has(name)).map(({ message }) => message);
  throw new MementoError(
    "PARAMS_INVALID",
    `The parameters of pipeline ${pipeline.name} do not fit: ${messages.join("; ")}`,
    { details: { params: [...stillRefused] } },
  );
}

/** A sentence for each parameter that the schema accepts and drops: mistyped, or no parameter of this pipeline. */
export async function droppedParams(pipeline: Pipeline, params: Params): Promise<readonly string[]> {
  const result = await pipeline.params?.["~standard"].validate(params);
  if (result === undefined || result.issues !== undefined) return [];
  const { value } = result;
  if (typeof value !== "object" || value === null) return [];
  const taken = Object.keys(value).join(", ");
  return Object.keys(params)
    .filter((name) => !(name in value))
    .map((name) => `${pipeline.name} takes no parameter ${name}${taken === "" ? "" : `, but ${taken}`}`);
}

interface Readings {
  readonly first: ReadJson;
  /** What else the text may mean; the same where it means nothing else. */
  readonly other: ReadJson;
}

function readingsOf(text: string): Readings {
  const asJson = readJsonOrText(text);
  const asText = { value: text, lost: null };
  const { value, lost } = asJson;
  const isExact = typeof value !== "number" || (lost === null && String(value) === text);
  return isExact ? { first: asJson, other: asText } : { first: asText, other: asJson };
}

function paramsOf(readings: ReadonlyMap<string, Readings>): Params {
  return Object.fromEntries([...readings].map(([name, { first }]) => [name, first.value]));
}

interface Problem {
  /** The parameter's name; empty for the whole. */
  readonly name: string;
  /** What is wrong, with the place inside the parameter. */
  readonly message: string;
}

async function problemsOf(pipeline: Pipeline, params: Params): Promise<readonly Problem[]> {
  if (pipeline.params === null) return [];
  const { issues } = await pipeline.params["~standard"].validate(params);
  return (issues ?? []).map(({ message, path = [] }) => {
    const steps = path.map((step) => String(typeof step === "object" ? step.key : step));
    return { name: steps[0] ?? "", message: steps.length === 0 ? message : `${steps.join(".")}: ${message}` };
  });
}
