import { MementoError, type Pipeline } from "@mementojs/memento";

type Params = Readonly<Record<string, unknown>>;

/** Parameters as the command line has them: text by name. */
export type ParamTexts = Readonly<Record<string, string>>;

/**
 * Makes parameters of `--param NAME=VALUE`. A value that is JSON (42, true, null, [1], {"a":1}, "text") is read as such,
 * anything else is text; where the pipeline's schema refuses what was read and takes the text, the text is given.
 * `kept` are parameters that stand besides them and are judged too. PARAMS_INVALID, before anything is made or held.
 */
export async function paramsFor(pipeline: Pipeline, texts: ParamTexts, kept: Params = {}): Promise<Params> {
  const read = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, readValue(text)]));
  const first = await problemsOf(pipeline, { ...kept, ...read });
  if (first.length === 0) return read;
  const refused = new Set(first.map(({ name }) => name));
  const second = Object.fromEntries(
    Object.entries(read).map(([name, value]) => [name, refused.has(name) ? (texts[name] ?? value) : value]),
  );
  if ((await problemsOf(pipeline, { ...kept, ...second })).length === 0) return second;
  const problems = first.map(({ name, message }) => (name === "" ? message : `${name}: ${message}`));
  throw new MementoError(
    "PARAMS_INVALID",
    `The parameters of pipeline ${pipeline.name} do not fit: ${problems.join("; ")}`,
    {
      details: { params: [...refused] },
    },
  );
}

/** Numbers keep their text where reading would change it: leading zeros, digits past what a number holds. */
function readValue(text: string): unknown {
  if (!/^(?:-?\d|["[{]|(?:true|false|null)$)/u.test(text)) return text;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "number" && !Number.isSafeInteger(value) && String(value) !== text ? text : value;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

interface Problem {
  /** The parameter's name; empty for the whole. */
  readonly name: string;
  readonly message: string;
}

async function problemsOf(pipeline: Pipeline, params: Params): Promise<readonly Problem[]> {
  if (pipeline.params === null) return [];
  const { issues } = await pipeline.params["~standard"].validate(params);
  return (issues ?? []).map(({ message, path = [] }) => {
    const [first] = path;
    const key = typeof first === "object" ? first.key : first;
    return { name: key === undefined ? "" : String(key), message };
  });
}
