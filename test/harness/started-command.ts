import { spawn } from "node:child_process";

import { mementoCommand } from "./command-line.ts";
import { type ProcessResult, shellEnvironment } from "./process.ts";

/** A command line that goes on, to be watched and stopped. */
export interface StartedCommand extends AsyncDisposable {
  readonly pid: number;
  /** Resolves once standard error holds the text; rejects when the command ends or a minute passes before. */
  says(text: string): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** How it ended. */
  readonly ended: Promise<ProcessResult>;
}

const PATIENCE_MS = 60_000;

/** Starts the command line in a folder. What is still alive when it is disposed of is killed. */
export function startMemento(folder: string, args: readonly string[]): StartedCommand {
  const [file, all] = mementoCommand(args);
  const child = spawn(file, all, {
    cwd: folder,
    env: shellEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  const watchers = new Set<() => void>();
  child.stdout.on("data", (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on("data", (data: Buffer) => {
    stderr += data.toString();
    for (const watcher of watchers) watcher();
  });
  const ended = new Promise<ProcessResult>((resolve) => {
    child.once("close", (exitCode, signal) => {
      resolve({ exitCode, signal, stdout, stderr });
      for (const watcher of watchers) watcher();
    });
  });
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0,
    says: async (text) =>
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => settle(`was not said in ${PATIENCE_MS} ms`), PATIENCE_MS);
        const settle = (problem: string | null): void => {
          clearTimeout(timer);
          watchers.delete(look);
          if (problem === null) resolve();
          else reject(new Error(`${JSON.stringify(text)} ${problem}:\n${stderr}`));
        };
        const look = (): void => {
          if (stderr.includes(text)) settle(null);
          else if (isOver()) settle("was not said before the end");
        };
        watchers.add(look);
        look();
      }),
    signal: (signal) => void child.kill(signal),
    ended,
    [Symbol.asyncDispose]: async () => {
      if (!isOver()) child.kill("SIGKILL");
      await ended;
    },
  };
}
