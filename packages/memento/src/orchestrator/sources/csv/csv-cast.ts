import { keepsDigits } from "../number-digits.ts";

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

/** A CSV value that was cast. */
export type CastValue = string | number | boolean | null;

/**
 * Reads a CSV value as what it looks like: `true` and `false`, a number as JSON writes it, null where it is empty.
 * A text stays as it is where a number would lose something of it: `007`, `1_000`, a whole number past 2^53 - 1, more digits than a
 * number holds.
 */
export function castCsvValue(text: string): CastValue {
  if (text === "") return null;
  if (text === "true") return true;
  if (text === "false") return false;
  if (!NUMBER.test(text)) return text;
  const number = Number(text);
  const isUnsafe = Number.isInteger(number) && !Number.isSafeInteger(number);
  return !isUnsafe && keepsDigits(text, number) ? number : text;
}

const COMMA_NUMBER = /^-?(?:0|[1-9][0-9]*),[0-9]+(?:[eE][+-]?[0-9]+)?$/;

/** The same for text in which a comma stands before the decimals: `1,5` is a number, `1.5` stays text. */
export function castCsvValueWithComma(text: string): CastValue {
  if (COMMA_NUMBER.test(text)) return castCsvValue(text.replace(",", "."));
  return text.includes(".") ? text : castCsvValue(text);
}
