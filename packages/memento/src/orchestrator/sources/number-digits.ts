/**
 * True where nothing of a number's text was lost when it was read: written with as many digits as the text, the number is the text's own.
 * `0.1` keeps its digit, though no float is a tenth.
 */
export function keepsDigits(text: string, number: number): boolean {
  // A float keeps any 15 digits.
  if (text.length <= 15 && !/e/i.test(text)) return true;
  const digits = digitsOf(text);
  if (digits === "") return true;
  return Number.isFinite(number) && digits.length <= 100 && digitsOf(number.toPrecision(digits.length)) === digits;
}

/** The digits between the first and the last that is not 0. */
function digitsOf(text: string): string {
  return text.replace(/e.*$/i, "").replaceAll(/[-+.]/g, "").replace(/^0+/, "").replace(/0+$/, "");
}
