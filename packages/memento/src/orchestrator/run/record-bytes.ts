import { isMementoError } from "../../core/errors.ts";
import { encodeValue, type EncodedValue } from "../../vault/codec.ts";

/**
 * Records as bytes: what digests are made of, and what is kept of those that are refused. Records themselves need not be plain data, as documents of MongoDB
 * are not: an object of a class is what its `toJSON` says, or its own members, and what is neither data nor has any is null.
 */
export function recordBytes(value: unknown, root = "records"): EncodedValue {
  try {
    return encodeValue(value, root);
  } catch (error) {
    if (!isMementoError(error, "UNSUPPORTED_VALUE")) throw error;
    return encodeValue(plainOf(value, []), root);
  }
}

/** `above` are the objects that hold the value: one of them inside itself is null. */
function plainOf(value: unknown, above: readonly object[]): unknown {
  if (typeof value === "function" || typeof value === "symbol") return null;
  if (typeof value !== "object" || value === null) return value;
  if (above.includes(value)) return null;
  const inside = [...above, value];
  const each = (member: unknown): unknown => plainOf(member, inside);
  if (value instanceof Date) return new Date(value);
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(each);
  if (value instanceof Map) return new Map([...value].map(([key, member]) => [each(key), each(member)]));
  if (value instanceof Set) return new Set([...value].map(each));
  const json = value as { readonly toJSON?: () => unknown };
  if (typeof json.toJSON === "function") return each(json.toJSON());
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, each(member)]));
}
