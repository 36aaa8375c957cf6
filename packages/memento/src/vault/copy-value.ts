/**
 * Plain data anew, as reading it out of a memento gives it, at a tenth of what encoding and decoding take. What the codec
 * refuses is handed on as it is.
 */
export function copyValue(value: unknown): unknown {
  return typeof value === "object" && value !== null ? copyObject(value, null) : value;
}

/** What was copied already, of what has objects inside: somebody's records may lead back to themselves. Null before the first one. */
type Copies = Map<object, object> | null;

function copyObject(value: object, known: Copies): object {
  const copied = known?.get(value);
  if (copied !== undefined) return copied;
  if (Array.isArray(value)) return copyArray(value, known);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return copyRecord(value, known);
  if (value instanceof Date) return new Date(value);
  if (value instanceof Map) return copyMap(value, known);
  if (value instanceof Set) return copySet(value, known);
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  return prototype === Uint8Array.prototype ? (value as Uint8Array).slice() : value;
}

function copyArray(original: readonly unknown[], known: Copies): unknown[] {
  // Holes stay holes.
  const copy = original.slice();
  let copies = known;
  for (let index = 0; index < copy.length; index++) {
    const item = copy[index];
    if (typeof item !== "object" || item === null) continue;
    copies = (copies ?? new Map<object, object>()).set(original, copy);
    copy[index] = copyObject(item, copies);
  }
  return copy;
}

function copyRecord(original: object, known: Copies): object {
  const copy: Record<string, unknown> = { ...original };
  let copies = known;
  for (const key in copy) {
    const member = copy[key];
    if (typeof member !== "object" || member === null) continue;
    copies = (copies ?? new Map<object, object>()).set(original, copy);
    copy[key] = copyObject(member, copies);
  }
  return copy;
}

function copyMap(original: ReadonlyMap<unknown, unknown>, known: Copies): Map<unknown, unknown> {
  const copy = new Map<unknown, unknown>();
  const copies = (known ?? new Map<object, object>()).set(original, copy);
  for (const [key, item] of original) copy.set(copyMember(key, copies), copyMember(item, copies));
  return copy;
}

function copySet(original: ReadonlySet<unknown>, known: Copies): Set<unknown> {
  const copy = new Set<unknown>();
  const copies = (known ?? new Map<object, object>()).set(original, copy);
  for (const item of original) copy.add(copyMember(item, copies));
  return copy;
}

function copyMember(value: unknown, copies: Copies): unknown {
  return typeof value === "object" && value !== null ? copyObject(value, copies) : value;
}
