import { readFileSync } from "node:fs";

import { Command, CommanderError, type Argument } from "commander";

import { registerAdopt } from "./commands/adopt.ts";
import { registerApprove } from "./commands/approve.ts";
import { registerBackup } from "./commands/backup.ts";
import { registerCancel } from "./commands/cancel.ts";
import { registerCheckStore } from "./commands/check-store.ts";
import { registerCheck } from "./commands/check.ts";
import { registerCopy } from "./commands/copy.ts";
import { registerDemo } from "./commands/demo.ts";
import { registerDiff } from "./commands/diff.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerEdit } from "./commands/edit.ts";
import { registerExport } from "./commands/export.ts";
import { registerFork } from "./commands/fork.ts";
import { registerGc } from "./commands/gc.ts";
import { registerGet } from "./commands/get.ts";
import { registerHelp } from "./commands/help.ts";
import { registerImport } from "./commands/import.ts";
import { registerInit } from "./commands/init.ts";
import { registerKeys } from "./commands/keys.ts";
import { registerLog } from "./commands/log.ts";
import { registerLs } from "./commands/ls.ts";
import { registerPause } from "./commands/pause.ts";
import { registerPin } from "./commands/pin.ts";
import { registerPlan } from "./commands/plan.ts";
import { registerPolicy } from "./commands/policy.ts";
import { registerPut } from "./commands/put.ts";
import { registerRepair } from "./commands/repair.ts";
import { registerReset } from "./commands/reset.ts";
import { registerRestoreBackup } from "./commands/restore-backup.ts";
import { registerResume } from "./commands/resume.ts";
import { registerRm } from "./commands/rm.ts";
import { registerRollback } from "./commands/rollback.ts";
import { registerRun } from "./commands/run.ts";
import { registerShow } from "./commands/show.ts";
import { registerStats } from "./commands/stats.ts";
import { registerSync } from "./commands/sync.ts";
import { registerUnpin } from "./commands/unpin.ts";
import { registerVerify } from "./commands/verify.ts";
import { registerWatch } from "./commands/watch.ts";
import { refuseEmptyValues } from "./empty-values.ts";
import { EXIT } from "./exit-code.ts";
import { failureJson, failureOf, failureText, stackText } from "./failure.ts";
import { invocationOf, type GlobalOptions, type Runner } from "./invocation.ts";
import type { Io, Output } from "./io.ts";
import { toJsonText } from "./json-text.ts";
import { packageFile } from "./own-files.ts";
import { printable } from "./terminal/printable.ts";
import { styleOf } from "./terminal/style.ts";

/** Runs the command line; resolves to the exit code, and never rejects. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  let exitCode: number = EXIT.done;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    // Help and version were shown, and are no failure.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done;
    if (error instanceof CommanderError && error.code === "commander.help") return EXIT.usage;
    return report(error, io, askedFor(args));
  }
}

/** Shows an error that no command was there to catch, such as one that a pipeline's code throws from a timer; gives the exit code. */
export function reportStray(error: unknown, args: readonly string[], io: Io): number {
  return report(error, io, askedFor(args));
}

/** The options as far as they can be told from a command line that does not parse. */
function askedFor(args: readonly string[]): GlobalOptions {
  const end = args.indexOf("--");
  const options = end < 0 ? args : args.slice(0, end);
  return {
    ...(options.includes("--json") ? { json: true } : {}),
    ...(options.includes("--debug") ? { debug: true } : {}),
  };
}

function createProgram(io: Io, ended: (exitCode: number) => void): Command {
  const program = new Command("memento")
    .description("A memory that data pipelines can trust: run, inspect, plan and roll back.")
    .version(version(), "-v, --version", "show the version")
    .option("--store <url>", "the store: its URL, such as sqlite:FILE, file:FOLDER or postgres://HOST/DATABASE")
    .option("--json", "print one JSON document and nothing else")
    .option("--debug", "show where an error was thrown")
    .helpOption("-h, --help", "show this help")
    .configureHelp({
      showGlobalOptions: true,
      // Without "[options]", which every command has.
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map((argument) => humanReadableArgument(argument))].join(" "),
    })
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      // Errors are shown once, by `report`, as text or as JSON.
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(io.out.columns, 110),
      getErrHelpWidth: () => Math.min(io.err.columns, 110),
      getOutHasColors: () => io.out.colours,
      getErrHasColors: () => io.err.colours,
    })
    .exitOverride();
  const run = runner(program, io, ended);
  for (const [group, commands] of GROUPS) {
    program.commandsGroup(group);
    for (const register of commands) register(program, run);
  }
  program.commandsGroup("Help:");
  registerHelp(program);
  refuseEmptyValues(program);
  return program.addHelpText("after", HELP_END);
}

const GROUPS: readonly (readonly [string, readonly ((program: Command, run: Runner) => void)[]])[] = [
  ["Begin:", [registerInit, registerDemo]],
  ["Run:", [registerRun, registerResume, registerPause, registerApprove, registerCancel]],
  ["Look:", [registerWatch, registerLog, registerLs, registerShow, registerDiff, registerStats, registerCheck]],
  ["Go back:", [registerPlan, registerRollback, registerFork, registerAdopt, registerEdit, registerReset]],
  [
    "Keep:",
    [
      registerPut,
      registerGet,
      registerExport,
      registerImport,
      registerVerify,
      registerRepair,
      registerDoctor,
      registerKeys,
      registerPolicy,
      registerPin,
      registerUnpin,
      registerGc,
      registerRm,
    ],
  ],
  ["Move:", [registerCopy, registerSync, registerBackup, registerRestoreBackup, registerCheckStore]],
];

const HELP_END = `
The store is --store, else MEMENTO_STORE, else .memento/store.db in this folder or the nearest one above it.
Relative paths in a pipeline count from the folder that has .memento; with --store or MEMENTO_STORE, from here.
Files and stores that a command is given count from here, and so does MEMENTO_KEY_FILE; a --param is the pipeline's.
A sealed store's keys are those of MEMENTO_KEY, MEMENTO_KEY_FILE, MEMENTO_KEY_URL and MEMENTO_PASSPHRASE, else the file beside the store.

Exit codes:
  0    done
  1    failed
  2    the command line is wrong
  3    damage was found
  4    refused: the plan moved, the timeline is held, or something cannot be reverted
  130  interrupted by Ctrl-C; 143 stopped by SIGTERM; 141 nobody read its output any more
`;

function humanReadableArgument(argument: Argument): string {
  const name = argument.name() + (argument.variadic ? "..." : "");
  return argument.required ? `<${name}>` : `[${name}]`;
}

function runner(program: Command, io: Io, ended: (exitCode: number) => void): Runner {
  return async (work) => {
    const options = program.opts<GlobalOptions>();
    const invocation = invocationOf(io, options, (text) => show(io.err, `${text}\n`));
    if (invocation.json) io.reserveOutput();
    try {
      const { json, text, exitCode = EXIT.done } = await work(invocation);
      if (invocation.json) io.out.write(toJsonText(json));
      else show(io.out, withLineEnd(text()));
      ended(exitCode);
    } catch (error) {
      ended(report(error, io, options));
    }
  };
}

function withLineEnd(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

function report(error: unknown, io: Io, { json = false, debug = false }: GlobalOptions): number {
  const failure = failureOf(error);
  if (json) io.out.write(toJsonText(failureJson(failure)));
  else show(io.err, failureText(failure, styleOf(io.err)));
  if (debug) show(io.err, stackText(error));
  return failure.exitCode;
}

function show(output: Output, text: string): void {
  output.write(printable(text));
}

function version(): string {
  const text = readFileSync(packageFile("package.json"), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
