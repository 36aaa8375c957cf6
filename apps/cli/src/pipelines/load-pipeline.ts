import { execFile } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { isMementoError, isPipeline, MementoError, type Pipeline } from "@mementojs/memento";

import { placeOf } from "../failure.ts";

/** A pipeline and the file that defines it. */
export interface LoadedPipeline {
  readonly pipeline: Pipeline;
  /** Absolute. */
  readonly file: string;
}

/** Which of a file's pipelines is meant. */
export interface PipelineChoice {
  /** The name of an export or of a pipeline. */
  readonly name?: string | undefined;
  /** The pipeline's own name, whatever it is exported as. */
  readonly originator?: string | undefined;
}

/**
 * Loads a pipeline from a file: the one that is named, else the default export, else the only one. INPUT_MISSING for no
 * such file, PIPELINE_MISSING for no such pipeline in it, INVALID_PIPELINE with the place for a file that cannot be loaded.
 */
export async function loadPipeline(file: string, cwd: string, choice: PipelineChoice = {}): Promise<LoadedPipeline> {
  const absolute = path.resolve(cwd, file);
  if (!existsSync(absolute)) {
    throw new MementoError("INPUT_MISSING", `There is no file ${absolute}`, {
      hint: "Check the path of the pipeline's file.",
    });
  }
  if (statSync(absolute).isDirectory())
    throw new MementoError("INPUT_MISSING", `${absolute} is a folder, and not a file`, {
      hint: "Name the file in it that exports the pipeline.",
    });
  const exported = pipelinesOf(await importModule(absolute));
  return { pipeline: choosePipeline(exported, absolute, choice), file: absolute };
}

function choosePipeline(
  exported: ReadonlyMap<string, Pipeline>,
  file: string,
  { name, originator }: PipelineChoice,
): Pipeline {
  const names = [...exported].map(([key, pipeline]) =>
    key === "default" || key === pipeline.name ? pipeline.name : `${key} (${pipeline.name})`,
  );
  if (exported.size === 0) throw new MementoError("PIPELINE_MISSING", `${file} exports no pipeline`);
  const wanted = originator ?? name;
  if (wanted !== undefined) {
    const named = [...exported.values()].find((pipeline) => pipeline.name === wanted);
    const under = originator === undefined ? exported.get(wanted) : undefined;
    if (named !== undefined && under !== undefined && named !== under)
      throw new MementoError(
        "INVALID_ARGUMENT",
        `${file} exports the pipeline ${under.name} as ${wanted}, and another one is named so`,
        { hint: `Say --name ${under.name}, or give one of them another name.` },
      );
    const found = under ?? named;
    if (found !== undefined) return found;
    const hint = `It exports ${names.join(", ")}.`;
    throw new MementoError("PIPELINE_MISSING", `${file} exports no pipeline named ${wanted}`, { hint });
  }
  const distinct = new Set(exported.values());
  const [only] = distinct;
  const chosen = exported.get("default") ?? (distinct.size === 1 ? only : undefined);
  if (chosen !== undefined) return chosen;
  const hint = "Choose one by --name, or export one as default.";
  throw new MementoError("INVALID_ARGUMENT", `${file} exports ${distinct.size} pipelines: ${names.join(", ")}`, {
    hint,
  });
}

function pipelinesOf(module: Readonly<Record<string, unknown>>): Map<string, Pipeline> {
  const found = new Map<string, Pipeline>();
  for (const [name, value] of Object.entries(module)) if (isPipeline(value)) found.set(name, value);
  return found;
}

async function importModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    // A definition that contradicts itself has said so already.
    if (isMementoError(error)) throw error;
    throw await loadFailure(file, error);
  }
}

/** What Node says of a module that it takes for a script of the older kind. */
const OLD_MODULE = /Cannot use import statement outside a module|Unexpected token 'export'/u;

async function loadFailure(file: string, cause: unknown): Promise<MementoError> {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const place = cause instanceof SyntaxError ? await syntaxPlace(file, cause) : placeOf(cause);
  const where = place === null ? file : place;
  return new MementoError("INVALID_PIPELINE", `${where} cannot be loaded: ${reason}`, {
    cause,
    hint: OLD_MODULE.test(reason)
      ? 'Its package.json says "commonjs": set "type": "module" there (`npm pkg set type=module`), or name the file .mts.'
      : "Mend the file; the message names the place.",
    details: { file, place },
  });
}

/** `file:line` of a syntax error: Node writes it above the stack of some, and keeps that of others to itself. */
async function syntaxPlace(file: string, error: SyntaxError): Promise<string | null> {
  const known = firstPlace(error.stack ?? "");
  if (known !== null) return known;
  try {
    await promisify(execFile)(process.execPath, ["--check", file], { timeout: 10_000 });
    return null;
  } catch (checked) {
    const { stderr } = checked as { readonly stderr?: unknown };
    // No text means that the check itself could not be made; then the message stands without a line.
    return typeof stderr === "string" ? firstPlace(stderr) : null;
  }
}

function firstPlace(text: string): string | null {
  const { url, place } = /^(?<url>file:\/\/)?(?<place>\/.+:\d+)$/mu.exec(text.split("\n", 1)[0] ?? "")?.groups ?? {};
  if (place === undefined) return null;
  return url === undefined ? place : fileURLToPath(`${url}${place}`);
}
