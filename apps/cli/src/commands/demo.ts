import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { MementoError } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Outcome, Runner } from "../invocation.ts";
import { packageFile } from "../own-files.ts";

/** The demonstration beside this command in its workspace; a published package does not carry its data. */
const DEMO = packageFile("../../examples/flights/demo.ts");

/** `memento demo`: a load that is killed and resumed, corrupted and rolled back, on real data. */
export function registerDemo(program: Command, run: Runner): void {
  const command = program
    .command("demo")
    .summary("see a run killed, resumed and rolled back")
    .description(
      "Loads real flights, kills the run in its middle, resumes it, corrupts a load, finds it, and rolls it back. Works in MEMENTO_DEMO_DIR.",
    )
    .argument("[arguments...]", "handed on to the demonstration")
    .allowUnknownOption()
    .action(async (args: readonly string[]) => await run(async ({ json }) => await demo(args, json)));
  addHelp(command, { examples: [["memento demo", "takes a minute or two"]] });
}

interface DemoModule {
  readonly main: (args: readonly string[]) => Promise<number>;
}

async function demo(args: readonly string[], json: boolean): Promise<Outcome> {
  if (!existsSync(fileURLToPath(DEMO))) {
    throw new MementoError("INPUT_MISSING", "The demonstration and its data are not part of the installed package", {
      hint: "Clone the repository that package.json names, and run `npm ci && npm run demo` in it.",
    });
  }
  const exitCode = json ? await demoBeside(args) : await ((await import(DEMO.href)) as DemoModule).main(args);
  return { json: { exitCode, done: exitCode === EXIT.done }, text: () => "", exitCode };
}

const STARTER =
  "import(process.argv[1]).then(({ main }) => main(process.argv.slice(2))).then((code) => { process.exitCode = code; });";

/** The demonstration in a process of its own whose output goes to standard error: standard output is for the one document. */
async function demoBeside(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, ["-e", STARTER, DEMO.href, ...args], {
    stdio: ["inherit", process.stderr, "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? EXIT.failed;
}
