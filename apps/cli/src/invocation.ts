import path from "node:path";

import type { Io } from "./io.ts";
import { styleOf, type Style } from "./terminal/style.ts";

/** What every command is given: the world, and the options that all commands have. */
export interface Invocation {
  readonly io: Io;
  /** For standard output. */
  readonly style: Style;
  /** True: the one thing on standard output will be a JSON document. */
  readonly json: boolean;
  /** The store that was named by `--store`; null when none was. */
  readonly store: string | null;
  /** Says something beside the result, on standard error, at once. */
  note(text: string): void;
}

/** What a command has to say when it is done. */
export interface Outcome {
  /** The one document of `--json`. */
  readonly json: unknown;
  /** The same for a person; made only when it is shown. */
  readonly text: () => string;
  /** Default 0. */
  readonly exitCode?: number;
}

/** Runs a command's work and shows its outcome; never throws. Made once for each process by `createProgram`. */
export type Runner = (work: (invocation: Invocation) => Promise<Outcome>) => Promise<void>;

/** The options that all commands have. */
export interface GlobalOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** Puts an invocation together. */
export function invocationOf(io: Io, { store, json = false }: GlobalOptions, note: (text: string) => void): Invocation {
  return { io: { ...io, env: anchored(io) }, style: styleOf(io.out), json, store: store ?? null, note };
}

/** The environment, with the key file where it was meant to be: a command may go on in the project's folder. */
function anchored({ cwd, env }: Pick<Io, "cwd" | "env">): Io["env"] {
  const file = env["MEMENTO_KEY_FILE"] ?? "";
  return file === "" ? env : { ...env, MEMENTO_KEY_FILE: path.resolve(cwd, file) };
}
