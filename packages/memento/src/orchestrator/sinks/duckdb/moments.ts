/** How many digits of a second the text of a moment has, without zeros at the end. */
export function fractionOfSecond(said: string): number {
  const [, digits = ""] = /:\d\d\.(\d+)/.exec(said) ?? [];
  return digits.replace(/0+$/, "").length;
}

/** True for the text of a day, or of midnight UTC on it as `Date` writes it. */
export function isDay(said: string): boolean {
  return /^[+-]?\d+-\d\d?-\d\d?(?: \(BC\))?(?:T00:00:00(?:\.0+)?Z)?$/.test(said) || /^-?infinity$/.test(said);
}
