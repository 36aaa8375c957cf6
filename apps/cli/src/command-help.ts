import type { Command } from "commander";

import { EXIT_MEANINGS } from "./exit-code.ts";

/** What stands at the end of a command's help. */
export interface CommandHelp {
  /** Command lines, each with what it is for. */
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** The codes that the command can end with, besides 0, 1 and 2. */
  readonly exitCodes?: readonly number[];
  /** Further paragraphs. */
  readonly notes?: readonly string[];
}

/** What a target may be; for the help of every command that takes one. */
export const TARGET_NOTE = `A TARGET is a memento's id or the beginning of one, head, head~2 (two before the head), a sequence number,
stage:load (the newest taken at the end of that stage), start (a run's first memento), or a name (name:3 where it is a word of these).`;

/** Ends a command's help with notes, examples and exit codes. */
export function addHelp(command: Command, { examples, exitCodes = [], notes = [] }: CommandHelp): Command {
  const width = Math.max(...examples.map(([line]) => line.length));
  const shown = examples.map(([line, meaning]) => `  ${line.padEnd(width)}  ${meaning}`);
  const codes = [0, 1, 2, ...exitCodes].map((code) => `  ${String(code).padEnd(3)}  ${EXIT_MEANINGS[code] ?? ""}`);
  const parts = [...notes, `Examples:\n${shown.join("\n")}`, `Exit codes:\n${codes.join("\n")}`];
  return command.addHelpText("after", `\n${parts.join("\n\n")}\n`);
}
