import { MementoError } from "@mementojs/memento";
import type { Json } from "@mementojs/memento/core";

/** What a JSON text says. */
export interface ReadJson {
  readonly value: Json;
  /** The first number in it that `value` holds as another one, as it is written: too large, or too small. Null where there is none. */
  readonly lost: string | null;
}

/** Reads JSON, and looks whether every number is kept. SyntaxError for what is none. */
export function readJson(text: string): ReadJson {
  let lost: string | null = null;
  const value = JSON.parse(text, (_key, item: unknown, context?: { readonly source?: string }) => {
    if (typeof item === "number" && !isKept(item, context?.source ?? String(item))) lost ??= context?.source ?? "";
    return item;
  }) as Json;
  return { value, lost };
}

/** The same, where what is no JSON is text. */
export function readJsonOrText(text: string): ReadJson {
  try {
    return readJson(text);
  } catch (error) {
    if (error instanceof SyntaxError) return { value: text, lost: null };
    throw error;
  }
}

/** The error for a number that would come back as another one. `where` it stands, for people. */
export function lostNumber(number: string, where: string, hint = `Quote it as a string: "${number}".`): MementoError {
  return new MementoError("INVALID_ARGUMENT", `The number ${number} in ${where} cannot be kept exactly`, { hint });
}

function isKept(value: number, source: string): boolean {
  const isWhole = /^-?\d+(?:\.0+)?$/u.test(source);
  const isZero = value === 0 && /[1-9]/u.test(source.replace(/e.*$/iu, ""));
  return Number.isFinite(value) && !isZero && (!isWhole || Number.isSafeInteger(value));
}
