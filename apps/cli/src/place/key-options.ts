import { ERROR_CATALOGUE, isMementoError, MementoError } from "@mementojs/memento";
import { keyRingFromFile, type KeySource } from "@mementojs/memento/vault";

import type { Io } from "../io.ts";

/** The keys in a file that an option names, read when they are needed. KEY_MISSING, with the option in its hint. */
export function keysInFile(file: string, option: string): KeySource {
  return async () => await askedBy(`${option} names it: check its path.`, async () => await keyRingFromFile(file));
}

/** What a variable holds that an option names. KEY_MISSING for an empty one. */
export function variableOf(
  name: string,
  { kind, option }: { readonly kind: "key" | "passphrase"; readonly option: string },
  { env }: Pick<Io, "env">,
): string {
  const value = env[name] ?? "";
  if (value !== "") return value;
  const hint = `Set ${name}, or name another variable by ${option}.`;
  throw new MementoError("KEY_MISSING", `The variable ${name} holds no ${kind}`, { hint });
}

/** Opens a store whose keys an option names, or could name: where they are missing, that is the way out. */
export async function askingFor<T>(option: string, open: () => Promise<T>): Promise<T> {
  return await askedBy(`Bring the store's key file back to where it was, or name its keys by ${option}.`, open);
}

async function askedBy<T>(hint: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    // A hint of the place that raised it knows more.
    if (!isMementoError(error, "KEY_MISSING") || error.hint !== ERROR_CATALOGUE.KEY_MISSING.hint) throw error;
    throw new MementoError("KEY_MISSING", error.message, { cause: error, details: error.details, hint });
  }
}
