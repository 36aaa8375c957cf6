import { MementoError, type Pipeline } from "@mementojs/memento";

type Params = Readonly<Record<string, unknown>>;

/** Parameters as the command line has them: text by name. */
export type ParamTexts = Readonly<Record<string, string>>;

/**
 * Makes parameters of `--param NAME=VALUE`. A value that is JSON (42, true, null, [1], {"a":1}, "text") is read as such,
 * anything else is text, and so is a number that would not be written the same way again (007, 0.10); where the pipeline's
 * schema refuses a value, the other reading is tried. `kept` are parameters that stand besides them and are judged too.
 * PARAMS_INVALID, before anything is made or held.
 */
export async function paramsFor(pipeline: Pipeline, texts: ParamTexts, kept: Params = {}): Promise<Params> {
  const readings = new Map(Object.entries(texts).map(([name, text]) => [name, readingsOf(text)]));
  const read = Object.fromEntries([...readings].map(([name, { first }]) => [name, first]));
  const problems = await problemsOf(pipeline, { ...kept, ...read });
  if (problems.length === 0) return read;
  const refused = new Set(problems.map(({ name }) => name));
  const second = Object.fromEntries(
    [...readings].map(([name, { first, other }]) => [name, refused.has(name) ? other : first]),
  );
  const stillRefused = new Set((await problemsOf(pipeline, { ...kept, ...second })).map(({ name }) => name));
  if (stillRefused.size === 0) return second;
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
  readonly first: unknown;
  /** What else the text may mean; the same where it means nothing else. */
  readonly other: unknown;
}

function readingsOf(text: string): Readings {
  const value = asJson(text);
  if (value === undefined) return { first: text, other: text };
  const exact = typeof value !== "number" || String(value) === text;
  return exact ? { first: value, other: text } : { first: text, other: value };
}

/** Undefined for what is not JSON. */
function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
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
