import { access, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";

import { MementoError, type VerifyState } from "@mementojs/memento";
import { systemCode } from "@mementojs/memento/core";

/**
 * Reads how far the verification of a store is from a file; null when there is none yet. INVALID_ARGUMENT for a file that
 * says something else or is of another store; IO_FAILED, with `details.path`, when it cannot be read or its folder is missing.
 */
export async function readVerifyState(file: string, store: string): Promise<VerifyState | null> {
  const text = await textOf(file);
  if (text === null) return null;
  const state = parsed(text);
  const hint = "Remove the file to begin anew, or name another one.";
  if (!isVerifyState(state))
    throw new MementoError("INVALID_ARGUMENT", `${file} does not say how far a verification is`, { hint });
  if (state.store !== store)
    throw new MementoError("INVALID_ARGUMENT", `${file} is of the verification of another store`, { hint });
  return state;
}

/** Writes down how far a verification is, whole or not at all. IO_FAILED, with `details.path`. */
export async function writeVerifyState(file: string, state: VerifyState): Promise<void> {
  try {
    // Moved into place whole, so that a crash leaves the one or the other.
    await writeFile(`${file}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
    await rename(`${file}.new`, file);
  } catch (error) {
    throw ioFailed(file, "written", error);
  }
}

async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw ioFailed(file, "read", error);
  }
  try {
    // Said now, and not when hours of reading are to be written down.
    await access(path.dirname(file));
    return null;
  } catch (error) {
    throw ioFailed(file, "written", error);
  }
}

function ioFailed(file: string, what: "read" | "written", cause: unknown): MementoError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MementoError("IO_FAILED", `${file} cannot be ${what}: ${reason}`, { cause, details: { path: file } });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function isVerifyState(value: unknown): value is VerifyState {
  if (!isObject(value)) return false;
  const { version, store, cursor, mementos, bytes, judged, findings } = value;
  return (
    version === 1 &&
    typeof store === "string" &&
    typeof cursor === "string" &&
    Number.isSafeInteger(mementos) &&
    Number.isSafeInteger(bytes) &&
    isObject(judged) &&
    Object.values(judged).every((ranges) => Array.isArray(ranges) && ranges.every(Array.isArray)) &&
    Array.isArray(findings) &&
    findings.every(isFinding)
  );
}

function isFinding(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { problem, mementos, lost, broken } = value;
  return typeof problem === "string" && Array.isArray(mementos) && isObject(lost) && Array.isArray(broken);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
