import process from "node:process";
import { createInterface } from "node:readline/promises";
import { isatty } from "node:tty";

import { MementoError } from "@mementojs/memento";
import { isDiskFull, systemClock, systemCode, type Clock } from "@mementojs/memento/core";

import { printable } from "./terminal/printable.ts";

/** One of a command's two outputs. */
export interface Output {
  readonly isTerminal: boolean;
  /** Columns of the terminal; 80 where it does not say, or is none. */
  readonly columns: number;
  /** True: colours may be used. */
  readonly colours: boolean;
  write(text: string): void;
  /** Writes bytes as they are, as fast as the other side takes them. */
  writeBytes?(bytes: Uint8Array): Promise<void>;
}

/** A signal that asks a process to stop. */
export type StopSignal = "SIGINT" | "SIGTERM";

/** What a command has of the world; passed in, so that tests own it. */
export interface Io {
  /** IO_FAILED where that folder is gone. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly out: Output;
  readonly err: Output;
  /** Standard input, piece by piece. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Asks a question on the terminal; null where there is none to ask on. CANCELLED where Ctrl-C or Ctrl-D is the answer. */
  readonly ask: ((question: string) => Promise<string>) | null;
  /** Calls back on each stop signal, which then does nothing else; the returned function ends that. */
  onStop(listener: (signal: StopSignal) => void): () => void;
  /** Keeps standard output for `out`: what a pipeline's own code writes there goes to standard error from now on. */
  reserveOutput(): void;
  /** Makes relative paths in a pipeline's code count from this folder. `cwd` stays: what is typed counts from there. */
  enter(folder: string): void;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** The process's own terminal, environment and signals. */
export function processIo(): Io {
  const { stdin, stdout, stderr, env } = process;
  const cwd = currentFolder();
  return {
    get cwd() {
      if (cwd !== null) return cwd;
      throw new MementoError("IO_FAILED", "The folder in which the command was started is no longer there", {
        hint: "Change into one that is there, and start it again.",
      });
    },
    env,
    clock: systemClock,
    out: outputOf(stdout, env),
    err: outputOf(stderr, env),
    input: stdin,
    ask: isatty(stdin.fd) && isatty(stderr.fd) ? askOnTerminal : null,
    onStop: (listener) => {
      process.on("SIGINT", listener);
      process.on("SIGTERM", listener);
      return () => {
        process.off("SIGINT", listener);
        process.off("SIGTERM", listener);
      };
    },
    reserveOutput: () => {
      stdout.write = stderr.write.bind(stderr);
    },
    enter: (folder) => process.chdir(folder),
    exit: (code) => process.exit(code),
  };
}

/** Null for a folder that was removed since somebody went into it. */
function currentFolder(): string | null {
  try {
    return process.cwd();
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    return null;
  }
}

function outputOf(stream: typeof process.stdout | typeof process.stderr, env: Io["env"]): Output {
  const isTerminal = isatty(stream.fd);
  const write = stream.write.bind(stream);
  const plain = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  return {
    isTerminal,
    get columns() {
      return stream.columns > 0 ? stream.columns : 80;
    },
    colours: isTerminal && !plain,
    write: (text) => void write(text),
    writeBytes: async (bytes) =>
      await new Promise((resolve, reject) => {
        write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
  };
}

/** The error for a standard output that takes nothing more, as on a full disk. DISK_FULL, IO_FAILED. */
export function unwritableOutput(cause: unknown): MementoError {
  const message = `Standard output cannot be written (${systemCode(cause) ?? "unknown reason"})`;
  return new MementoError(isDiskFull(cause) ? "DISK_FULL" : "IO_FAILED", message, { cause });
}

async function askOnTerminal(question: string): Promise<string> {
  const { stdin, stderr } = process;
  const lines = createInterface({ input: stdin, output: stderr });
  const left = new AbortController();
  lines.once("SIGINT", () => left.abort(unanswered("Stopped by Ctrl-C", { signal: "SIGINT" })));
  lines.once("close", () => left.abort(unanswered("The question was not answered", {})));
  try {
    // What is asked about comes from a store, or from a table, and may hold anything.
    return await lines.question(printable(question), { signal: left.signal });
  } catch (error) {
    if (!left.signal.aborted) throw error;
    stderr.write("\n");
    throw left.signal.reason;
  } finally {
    lines.close();
  }
}

/** Every question is asked before anything is done. */
function unanswered(message: string, details: Readonly<Record<string, unknown>>): MementoError {
  return new MementoError("CANCELLED", message, { details, hint: "Nothing was changed." });
}
