/** A decimal number as a `DECIMAL(width, scale)` keeps it, or why it cannot. */
export type DecimalText = { readonly text: string } | { readonly text: null; readonly problem: string };

const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,4}))?$/i;

/** Writes a number's text without an exponent; refuses one that the column would have to round, and what is no number. */
export function decimalText(said: string, width: number, scale: number): DecimalText {
  const parts = NUMBER.exec(said);
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = parts ?? [];
  if (parts === null || whole + fraction === "") return { text: null, problem: "is no number" };
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  const padded = point > 0 ? digits.padEnd(point, "0") : "0".repeat(1 - point) + digits;
  const place = Math.max(point, 1);
  const left = padded.slice(0, place).replace(/^0+(?=\d)/, "");
  const right = padded.slice(place).replace(/0+$/, "");
  if (right.length > scale) return { text: null, problem: "has more decimals than its column keeps" };
  if ((left === "0" ? 0 : left.length) > width - scale) return { text: null, problem: "is out of its column's range" };
  return { text: `${sign === "-" ? "-" : ""}${left}${right === "" ? "" : `.${right}`}` };
}
