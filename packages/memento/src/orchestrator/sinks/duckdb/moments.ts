/** How many digits of a second the text of a moment has, without zeros at the end. */
export function fractionOfSecond(said: string): number {
  const [, digits = ""] = /:\d\d\.(\d+)/.exec(said) ?? [];
  return digits.replace(/0+$/, "").length;
}

/** True for the text of a day, or of midnight UTC on it as `Date` writes it. */
export function isDay(said: string): boolean {
  return /^[+-]?\d+-\d\d?-\d\d?(?: \(BC\))?(?:T00:00:00(?:\.0+)?Z)?$/.test(said) || /^-?infinity$/.test(said);
}

/** True for the text of a time that says how far it is from UTC, and is not in UTC itself. */
export function hasOffset(said: string): boolean {
  return /:\d\d(?:\.\d+)?\s*[+-][\d:]*[1-9]/.test(said);
}

/**
 * How many parts of a unit DuckDB keeps of an interval's text: of a second and what is longer, a millionth; of a year its months, of a
 * month its thirty days.
 */
const KEPT_PARTS: readonly (readonly [RegExp, bigint])[] = [
  [/^(?:us|usecs?|microseconds?)$/i, 1n],
  [/^(?:ms|msecs?|milliseconds?)$/i, 1_000n],
  [/^(?:mons?|months?)$/i, 30n],
  [/^quarters?$/i, 3n],
  [/^(?:y|yrs?|years?)$/i, 12n],
  [/^(?:decs?|decades?)$/i, 120n],
  [/^(?:c|cents?|century|centuries)$/i, 1_200n],
  [/^(?:mils?|millenniums?|millennia)$/i, 12_000n],
];

/** True for the text of an interval of which DuckDB would drop something: `1.0000005 seconds`, `0.01 years`. */
export function isCutInterval(said: string): boolean {
  for (const [, digits = "", unit = ""] of said.matchAll(/\.(\d+)\s*([a-z]*)/gi)) {
    const [, parts] = KEPT_PARTS.find(([name]) => name.test(unit)) ?? [unit, 1_000_000n];
    if ((BigInt(digits) * parts) % 10n ** BigInt(digits.length) !== 0n) return true;
  }
  return false;
}
