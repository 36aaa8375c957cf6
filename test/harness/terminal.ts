import { spawn } from "node:child_process";
import process from "node:process";

import { shellWord } from "../../apps/cli/src/terminal/shell-word.ts";
import { mementoCommand } from "./command-line.ts";
import { findExecutables } from "./executables.ts";
import { shellEnvironment } from "./process.ts";

/** Says whether commands can be run on a terminal: that of `script`, a tool of util-linux. */
export function probeScript(): true | string {
  if (process.platform !== "linux") return "its options are those of Linux";
  return findExecutables("script").length > 0 ? true : "not on PATH";
}

/** What a terminal was sent, its escape character made visible as ␛, and how the command on it ended. */
export interface TerminalResult {
  readonly sent: string;
  readonly exitCode: number | null;
}

/** How a terminal is, and what is typed on it. */
export interface TerminalOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Default 100. */
  readonly columns?: number;
  /** Keys, each typed once the terminal has been sent the text before it. */
  readonly typed?: readonly (readonly [after: string, keys: string])[];
}

const PATIENCE_MS = 60_000;

/** Runs the command line in a folder, on a terminal; bounded. */
export async function mementoOnTerminal(
  folder: string,
  args: readonly string[],
  { env = {}, columns = 100, typed = [] }: TerminalOptions = {},
): Promise<TerminalResult> {
  const [file, all] = mementoCommand(args);
  const line = `stty cols ${columns} rows 30; exec ${[file, ...all].map((word) => shellWord(word)).join(" ")}`;
  const child = spawn("script", ["-qec", line, "/dev/null"], {
    cwd: folder,
    env: { ...shellEnvironment(), TERM: "xterm-256color", ...env },
    stdio: ["pipe", "pipe", "inherit"],
    timeout: PATIENCE_MS,
    killSignal: "SIGKILL",
  });
  const waiting = [...typed];
  let [sent, from] = ["", 0];
  child.stdout.on("data", (data: Buffer) => {
    sent += data.toString();
    const [next] = waiting;
    const at = next === undefined ? -1 : sent.indexOf(next[0], from);
    if (next === undefined || at < 0) return;
    from = at + next[0].length;
    waiting.shift();
    child.stdin.write(next[1]);
  });
  return await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode) => resolve({ sent: sent.replaceAll("\u001b", "␛"), exitCode }));
  });
}
