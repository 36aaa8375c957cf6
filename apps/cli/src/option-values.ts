import type { Json } from "@mementojs/memento/core";
import { InvalidArgumentError } from "commander";

/** Collects a repeated option's values. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Reads a whole number from 1 on. */
export function wholeNumber(value: string): number {
  if (!/^[1-9]\d{0,8}$/u.test(value)) throw new InvalidArgumentError("It must be a whole number from 1 on.");
  return Number(value);
}

/** Collects repeated `key=value` options; a key may stand once. */
export function collectPairs(
  value: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = value.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must have the form NAME=VALUE.");
  const key = value.slice(0, at);
  if (Object.hasOwn(before, key)) throw new InvalidArgumentError(`${key} is given twice.`);
  return { ...before, [key]: value.slice(at + 1) };
}

/** Collects repeated `path=value` options; a value that is JSON counts as that, any other as text. */
export function collectValues(
  value: string,
  before: Readonly<Record<string, Json>> = {},
): Readonly<Record<string, Json>> {
  const [[path, text] = ["", ""]] = Object.entries(collectPairs(value));
  if (Object.hasOwn(before, path)) throw new InvalidArgumentError(`${path} is given twice.`);
  return { ...before, [path]: jsonOrText(text) };
}

function jsonOrText(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
