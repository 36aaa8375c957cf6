import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { type ProcessResult, runProcess, shellEnvironment } from "./process.ts";

const bin = fileURLToPath(new URL("../../apps/cli/bin/memento.js", import.meta.url));

/** The path of a pipeline among the fixtures. */
export const pipelineFile = (name: string): string =>
  fileURLToPath(new URL(`../fixtures/pipelines/${name}`, import.meta.url));

/** Runs the command line in a folder, as a user's shell would; bounded. */
export async function memento(
  folder: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<ProcessResult> {
  const env = {
    ...shellEnvironment(),
    PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env["PATH"] ?? ""}`,
    ...environment,
  };
  return await runProcess(process.execPath, [bin, ...args], { cwd: folder, env, timeoutMs: 120_000 });
}

/** What starts the command line as a process of one's own. */
export const mementoCommand = (args: readonly string[]): readonly [file: string, args: readonly string[]] => [
  process.execPath,
  [bin, ...args],
];
