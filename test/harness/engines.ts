/**
 * Which engines and tools a test run can use, and what becomes of the tests of one that is missing.
 *
 * `MEMENTO_TEST` unset: a missing engine is written down as not run, and the reporter prints it by name.
 * `MEMENTO_TEST=all`: a missing engine fails. Any other value fails too, so that a misspelt one cannot pass for
 * a complete run.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import process from "node:process";

/** Says whether an engine can be used: `true`, or the reason why not, for people to read. */
export type Probe = () => true | string | Promise<true | string>;

/** An engine that was looked for and not found, with the reason its probe gave. */
export interface MissingEngine {
  readonly engine: string;
  readonly reason: string;
}

/** The variables that this module reads; tests of the module pass their own. */
export interface EngineEnvironment {
  readonly MEMENTO_TEST?: string | undefined;
  readonly MEMENTO_NOT_RUN_FILE?: string | undefined;
}

/**
 * Probes an engine before its tests are declared: `describe.skipIf(!(await requireEngine("strace", probe)))`.
 *
 * Gives true when the engine can be used. Gives false, and registers the engine as not run, when it cannot and the
 * run does not insist. Throws when `MEMENTO_TEST=all`. An error inside the probe is not an answer: it passes through.
 */
export async function requireEngine(
  name: string,
  probe: Probe,
  environment: EngineEnvironment = process.env,
): Promise<boolean> {
  const everythingRequired = requiresEverything(environment);
  const answer = await probe();
  if (answer === true) return true;
  if (everythingRequired) {
    throw new Error(`MEMENTO_TEST=all requires ${name}, which cannot be used: ${answer}`);
  }
  const missing: MissingEngine = { engine: name, reason: answer };
  if (environment.MEMENTO_NOT_RUN_FILE !== undefined) {
    // One short line in append mode: test files run in processes of their own, and their lines must not mix.
    appendFileSync(environment.MEMENTO_NOT_RUN_FILE, `${JSON.stringify(missing)}\n`);
  }
  return false;
}

/** Whether this run insists on every engine; throws when `MEMENTO_TEST` has a value that means nothing. */
export function requiresEverything(environment: EngineEnvironment = process.env): boolean {
  const wanted = environment.MEMENTO_TEST ?? "";
  if (wanted !== "" && wanted !== "all") {
    throw new Error(`MEMENTO_TEST is "${wanted}"; leave it unset, or set it to "all".`);
  }
  return wanted === "all";
}

/** The engines registered in a file by `requireEngine`, each once, in the order of their names. */
export function readMissingEngines(file: string): readonly MissingEngine[] {
  if (!existsSync(file)) return [];
  const byName = new Map<string, MissingEngine>();
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (line === "") continue;
    const missing = JSON.parse(line) as MissingEngine;
    byName.set(missing.engine, missing);
  }
  return [...byName.values()].toSorted((a, b) => a.engine.localeCompare(b.engine));
}
