/**
 * A value as rows hold it: a copy of its own, null for what is missing, and a whole number as a number where a number
 * holds it exactly, else as the bigint that it is.
 */
export function plainValue(value: unknown): unknown {
  if (typeof value === "bigint") return plainInteger(value);
  if (value === undefined) return null;
  if (typeof value !== "object" || value === null) return value;
  // Pages share one value among many rows; a stage that changes its row must not change another.
  if (value instanceof Date) return new Date(value);
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) return value.map(plainValue);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plainValue(member)]));
}

/** Text of a page, as it is. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** A whole number as a number where one holds it exactly. */
export function plainInteger(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}
