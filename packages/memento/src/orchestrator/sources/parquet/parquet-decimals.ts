import type { SchemaElement } from "hyparquet";

import { keepsDigits } from "../number-digits.ts";
import { plainInteger } from "./parquet-values.ts";

/** How many decimals a column of decimals has; null for any other column. */
export function decimalScale({
  converted_type: converted,
  logical_type: logical,
  scale,
}: SchemaElement): number | null {
  const declared = logical?.type === "DECIMAL" ? logical.scale : converted === "DECIMAL" ? (scale ?? 0) : null;
  if (declared !== null && !(declared >= 0 && declared <= SCALE_MAX))
    throw new Error("parquet decimal scale not supported");
  return declared;
}

/** What a column is stored as, without what its values mean. */
export function storedElement(element: SchemaElement): SchemaElement {
  const { converted_type: _converted, logical_type: _logical, ...stored } = element;
  return stored;
}

const SCALE_MAX = 1000;
/** Any 15 digits, and any power of ten up to this one, are floats, so that dividing them gives the nearest float. */
const EASY_DIGITS = 10 ** 15;
const POWERS = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));

/**
 * A decimal as rows hold it: a number where one keeps all of its digits, else a bigint where it has no decimals, and its text where it has.
 */
export function decimalValue(stored: unknown, scale: number): number | bigint | string | null {
  if (stored === null || stored === undefined) return null;
  const unscaled = stored instanceof Uint8Array ? signedInteger(stored) : (stored as number | bigint);
  const power = POWERS[scale];
  if (power !== undefined && unscaled > -EASY_DIGITS && unscaled < EASY_DIGITS) return Number(unscaled) / power;
  if (scale === 0) return plainInteger(BigInt(unscaled));
  const text = decimalText(BigInt(unscaled), scale);
  const number = Number(text);
  return Math.abs(number) <= Number.MAX_SAFE_INTEGER && keepsDigits(text, number) ? number : text;
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, "0");
  return `${unscaled < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Big-endian, in two's complement. */
function signedInteger(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`));
}
