/** Any value that JSON text can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/** One text per value: object keys sorted by code unit, no white space. Used wherever JSON is hashed. */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value))
    return value.every(isScalar)
      ? JSON.stringify(value)
      : `[${value.map((item: Json) => canonicalJson(item)).join(",")}]`;
  const object = value as JsonObject;
  const members = Object.keys(object)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(object[key] ?? null)}`);
  return `{${members.join(",")}}`;
}

const isScalar = (value: Json): boolean => value === null || typeof value !== "object";

/** JSON text as by `JSON.stringify`, in which bigints stand in their digits. */
export function jsonWithBigints(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? digitsAsJson(one) : one));
  }
}

/** What stands for a bigint in a replacer of `JSON.stringify`: the types of the language do not name it yet. */
export function digitsAsJson(whole: bigint): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(whole));
}
