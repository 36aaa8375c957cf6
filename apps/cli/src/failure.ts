import { fileURLToPath } from "node:url";

import { ERROR_CATALOGUE, isMementoError, type ErrorCode, type MementoError } from "@mementojs/memento";
import { unsuppressed } from "@mementojs/memento/core";
import { CommanderError } from "commander";

import { EXIT, exitCodeOf } from "./exit-code.ts";
import { signalExitCode } from "./interrupts.ts";
import { PACKAGE_FOLDER } from "./own-files.ts";
import type { Style } from "./terminal/style.ts";

/** An error as the command line shows it. */
export interface Failure {
  /** A code of the catalogue; `UNEXPECTED` for an error that is none of ours. */
  readonly code: ErrorCode | "UNEXPECTED";
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly exitCode: number;
  /** Where in somebody's own file it happened, `file:line:column`; null when unknown. */
  readonly place: string | null;
}

/** Ways out that name the command line's own options, where the catalogue speaks of the library's. */
const HINTS: Partial<Record<ErrorCode, string>> = {
  NOT_REVERTIBLE: "Go on without them by --force NAME for each, or choose another target.",
  PLAN_MOVED: "Look at the new plan with `memento plan`, and apply it by its hash.",
  PORT_UNKNOWN: "Begin it with one of these; docs/stores.md describes the URLs of each.",
  KEY_MISSING:
    "Bring the key file back to where it was, or set what the store was sealed by: MEMENTO_KEY, MEMENTO_KEY_FILE, MEMENTO_KEY_URL or MEMENTO_PASSPHRASE.",
  PARAMS_INVALID:
    "Give each parameter as --param NAME=VALUE (to an edit: --set params.NAME=VALUE); the message names what it takes.",
};

/** Judges an error: what to say, and how to end. */
export function failureOf(thrown: unknown): Failure {
  const error = unsuppressed(thrown);
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /u, "").replace(/\n\s*/u, " ");
    const hint = "See the command's --help for what it takes.";
    return { code: "INVALID_ARGUMENT", message, hint, details: {}, exitCode: EXIT.usage, place: null };
  }
  if (isMementoError(error)) {
    const { code, message, details } = error;
    // A hint of the place that raised it knows more than ours.
    const isGeneral = error.hint === ERROR_CATALOGUE[code]?.hint;
    const hint = (isGeneral ? HINTS[code] : undefined) ?? error.hint;
    return {
      code,
      message,
      hint,
      details,
      exitCode: exitCodeFor(error),
      place: placeInCode(error),
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  const hint = "This is a defect in Memento, or in a pipeline's own sources and sinks; --debug shows where.";
  return { code: "UNEXPECTED", message, hint, details: {}, exitCode: EXIT.failed, place: placeOf(error) };
}

/** Work that a signal cut off ends as the signal would have ended it. */
function exitCodeFor({ code, details }: MementoError): number {
  const { signal } = details;
  return code === "CANCELLED" && (signal === "SIGINT" || signal === "SIGTERM")
    ? signalExitCode(signal)
    : exitCodeOf(code);
}

/** Where a person's own code went wrong; other errors are not about code. */
function placeInCode(error: MementoError): string | null {
  if (error.code === "STAGE_FAILED") return placeOf(error.cause);
  return error.code === "INVALID_PIPELINE" && error.cause === undefined ? placeOf(error) : null;
}

/** The failure as JSON output has it. */
export function failureJson({ code, message, hint, details, place }: Failure): object {
  return { error: { code, message, hint, details, ...(place === null ? {} : { place }) } };
}

/** The failure as a person reads it: message, way out, code. */
export function failureText({ code, message, hint, place }: Failure, style: Style): string {
  const lines = [`${style.red("error:")} ${message}`];
  if (place !== null) lines.push(`  ${style.dim("at:")}   ${place}`);
  lines.push(`  ${style.dim("hint:")} ${hint}`);
  if (code !== "UNEXPECTED") lines.push(`  ${style.dim("code:")} ${code}`);
  return `${lines.join("\n")}\n`;
}

/** Where an error was thrown, for `--debug`: its stack and those of its causes. */
export function stackText(error: unknown): string {
  if (!(error instanceof Error)) return `${String(error)}\n`;
  const stack = error.stack ?? error.message;
  return error.cause === undefined ? `${stack}\n` : `${stack}\ncaused by: ${stackText(error.cause)}`;
}

const LIBRARY = fileURLToPath(new URL(".", import.meta.resolve("@mementojs/memento")));

/** The first line of the stack that is in neither Node, an installed package, nor ourselves. */
export function placeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  for (const line of (error.stack ?? "").split("\n")) {
    const place = /(?:\(|at )((?:file:\/\/)?\/[^()]+:\d+:\d+)\)?$/u.exec(line)?.[1];
    if (place === undefined) continue;
    const file = place.startsWith("file:") ? fileURLToPath(place) : place;
    if (!file.includes("/node_modules/") && !file.startsWith(LIBRARY) && !file.startsWith(PACKAGE_FOLDER)) return file;
  }
  return null;
}
